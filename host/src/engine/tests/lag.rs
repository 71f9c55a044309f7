//! The lag of the source: asked for now and then, and reported to the observer and to the handle on the run.

use std::time::Duration;

use super::kit::{World, item};
use crate::engine::Options;

#[tokio::test(start_paused = true)]
async fn the_lag_of_the_source_is_read_now_and_then() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("sink.a.flush");
    world.commit([item(1, 1, "one")]);
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(run.control.lag(), Some(1), "one transaction is not confirmed");
    let reports = world.seen("Lag").len();
    assert!((1..=3).contains(&reports), "every few seconds, not at every poll: {reports}");
    world.release("sink.a.flush");
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(run.control.lag(), Some(0));
    run.stop().await.unwrap();
}
