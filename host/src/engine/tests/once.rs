//! `--once`: seed what is unseeded, follow to the head, end.

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{Edit, Fault, ITEMS, SinkSetup, World, group, item};
use crate::engine::{Finished, Options};

fn once() -> Options {
    Options { once: true, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn it_seeds_follows_to_the_head_and_ends_with_everything_confirmed() {
    let world = World::new();
    world.commit([item(1, 1, "one"), group(1, "first")]);
    assert_eq!(world.start(once()).end().await.unwrap(), Finished::Done);
    world.assert_converged();
    assert!(world.seen("NothingToSeed").is_empty());
    world.commit([item(2, 1, "two")]);
    assert_eq!(world.start(once()).end().await.unwrap(), Finished::Done);
    world.assert_converged();
    assert_eq!(world.seen("NothingToSeed").len(), 1);
    assert!(world.seen("NothingToSeed")[0].contains("since: Some"));
    assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_reached_already_ends_it() {
    let world = World::new();
    world.commit([item(1, 1, "one")]);
    for _ in 0..3 {
        assert_eq!(world.start(once()).end().await.unwrap(), Finished::Done);
    }
    world.assert_converged();
}

#[tokio::test(start_paused = true)]
async fn what_it_wrote_is_found_when_it_ends() {
    let world = World::with(&[("a", SinkSetup { lags: true, ..SinkSetup::default() })]);
    assert_eq!(world.start(once()).end().await.unwrap(), Finished::Done);
    // The batch is full before its end is taken from the queue.
    world.commit([item(1, 1, "one")]);
    assert_eq!(world.start(Options { max_changes: 1, ..once() }).end().await.unwrap(), Finished::Done);
    assert_eq!(world.lock().sinks["a"].journal.last().map(String::as_str), Some("flush true"));
    world.assert_converged();
}

#[tokio::test(start_paused = true)]
async fn the_head_is_taken_when_the_last_seed_is_durable() {
    let world = World::new();
    world.commit([group(1, "first")]);
    // One of the two takes long to be planned.
    world.script("snapshot.split", [Fault::Slow(Duration::ZERO), Fault::Slow(Duration::from_secs(20))]);
    let run = world.start(Options { backfill_parts: 2, ..once() });
    let seeded = |inner: &super::kit::Inner, name| inner.sinks["a"].seeded(name).is_some();
    world.until("one is seeded", |inner| seeded(inner, "items") || seeded(inner, "groups")).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.calls("source.head"), 0);
    world.commit([item(5, 1, "while it is seeded")]);
    assert_eq!(run.end().await.unwrap(), Finished::Done);
    assert_eq!(world.calls("source.head"), 1);
    world.assert_converged();
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_after_the_head_was_taken_is_not_waited_for() {
    let world = World::new();
    assert_eq!(world.start(once()).end().await.unwrap(), Finished::Done);
    world.commit_hidden([item(1, 1, "before")]);
    let run = world.start(once());
    world.until("the head is taken", |inner| inner.faults.calls.get("source.head") == Some(&2)).await;
    sleep(Duration::from_secs(1)).await;
    world.commit_hidden([item(2, 1, "after")]);
    sleep(Duration::from_secs(1)).await;
    world.reveal();
    assert_eq!(run.end().await.unwrap(), Finished::Done);
    assert_eq!(world.lock().sinks["a"].content("items").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_is_asked_for_on_the_way_is_finished() {
    let world = World::new();
    world.commit([item(1, 1, "one")]);
    assert_eq!(world.start(once()).end().await.unwrap(), Finished::Done);
    world.commit([Edit::Reshape(ITEMS), item(2, 1, "two")]);
    assert_eq!(world.start(once()).end().await.unwrap(), Finished::Done);
    world.assert_converged();
    assert_eq!(world.lock().sinks["a"].journal.iter().filter(|it| *it == "promote items").count(), 1);
}
