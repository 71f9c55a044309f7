//! I3: the source is prepared before the first row of a snapshot is read.

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{World, item};
use crate::engine::Options;

#[tokio::test(start_paused = true)]
async fn no_row_is_read_before_the_source_is_prepared() {
    let world = World::new();
    world.commit([item(1, 1, "one")]);
    world.hold("source.prepare");
    let run = world.start(Options::default());
    sleep(Duration::from_secs(5)).await;
    assert!(world.calls("sink.a.ensure") > 0);
    assert_eq!((world.calls("snapshot.open"), world.calls("ranges.open")), (0, 0));
    world.release("source.prepare");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rows_written_between_slot_and_snapshot_and_during_it_are_not_missed() {
    let world = World::new();
    world.commit([item(1, 1, "one"), item(2, 1, "two")]);
    world.hold("snapshot.split");
    let run = world.start(Options::default());
    world.until("the slot is there", |inner| inner.store.slot.is_some()).await;
    world.commit([item(3, 1, "three")]);
    world.hold("builder.built");
    world.release("snapshot.split");
    sleep(Duration::from_secs(1)).await;
    world.commit([item(4, 1, "four"), item(1, 1, "uno")]);
    world.release("builder.built");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}
