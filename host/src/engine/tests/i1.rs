//! I1: a position is confirmed only after every document of every change before it is durable everywhere, or put aside.

use super::kit::{World, item};
use crate::engine::Options;

#[tokio::test(start_paused = true)]
async fn what_is_committed_reaches_the_sink_and_is_confirmed() {
    let world = World::new();
    world.commit([item(1, 1, "one")]);
    let run = world.start(Options::default());
    world.quiet().await;
    world.commit([item(1, 1, "uno"), item(2, 1, "due")]);
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}
