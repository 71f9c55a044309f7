//! I12: a build never reads a state older than the changes that caused it, and a document's version says so. (That a
//! change is handed out only once it is visible is the source's part.)

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{World, item};
use crate::engine::Options;

#[tokio::test(start_paused = true)]
async fn a_document_carries_the_version_that_was_polled_before_its_build() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("builder.built");
    world.commit([item(1, 1, "one")]);
    world.until("it is read", |inner| inner.builder.built.len() == 1).await;
    world.commit([item(1, 1, "uno")]);
    sleep(Duration::from_secs(1)).await;
    world.release("builder.built");
    world.quiet().await;
    // The sink of the kit compares every document's version with the one that the builder read.
    world.assert_converged();
    let applied = world.lock().sinks["a"].applied.clone();
    let versions: Vec<_> = applied.iter().filter(|it| it.0 == "items").map(|it| it.2).collect();
    assert_eq!(versions, [1, 2]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_document_of_a_backfill_carries_the_version_that_was_polled_before_it_was_read() {
    let world = World::new();
    world.lock().builder.by_range = true;
    world.commit([item(1, 1, "one")]);
    world.hold("ranges.built");
    let run = world.start(Options::default());
    world.until("it is read", |inner| inner.faults.calls.get("ranges.built") == Some(&2)).await;
    world.commit([item(2, 2, "two")]);
    sleep(Duration::from_secs(1)).await;
    world.release("ranges.built");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}
