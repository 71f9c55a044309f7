//! I5: what is flushed keeps the order of capture, and an older build never lands after a newer one.

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{Fault, ITEMS, SinkSetup, World, item, truncate};
use crate::engine::{OnError, Options};

#[tokio::test(start_paused = true)]
async fn documents_are_flushed_in_the_order_of_their_changes() {
    let world = World::with(&[("a", SinkSetup::default()), ("b", SinkSetup::default())]);
    let run = world.start(Options { max_changes: 3, flush_bytes: 2_000, ..Options::default() });
    world.quiet().await;
    world.script("sink.a.flush", (0..9).map(|n| Fault::Slow(Duration::from_millis(n * 7 % 30))));
    world.script("sink.b.flush", [Fault::lost(), Fault::away(), Fault::lost()]);
    for n in 0..40 {
        world.commit([item(n, 0, "new")]);
        sleep(Duration::from_millis(2)).await;
    }
    world.quiet().await;
    for (name, sink) in &world.lock().sinks {
        let mut ids: Vec<i64> = Vec::new();
        for (_, id, ..) in sink.applied.iter().filter(|(index, ..)| index == "items") {
            let id = id.parse().unwrap();
            // What was applied and whose answer was lost comes again, from the start of its group.
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        assert_eq!(ids, (0..40).collect::<Vec<_>>(), "sink {name}");
        let versions: Vec<_> = sink.applied.iter().filter(|(index, ..)| index == "groups").map(|it| it.2).collect();
        assert!(name == "b" || versions.is_sorted(), "sink {name}: {versions:?}");
    }
    world.assert_converged();
    run.stop().await.unwrap();
}

/// A world whose backfill has read item 1, and not handed it over.
async fn reading() -> (std::sync::Arc<World>, super::kit::Running) {
    let world = World::new();
    world.lock().builder.by_range = true;
    world.commit([item(1, 1, "old")]);
    world.hold("ranges.built");
    let run = world.start(Options { on_error: OnError::Skip, ..Options::default() });
    world.until("it is read", |inner| inner.faults.calls.get("ranges.built") == Some(&2)).await;
    (world, run)
}

#[tokio::test(start_paused = true)]
async fn an_older_read_of_a_backfill_never_lands_after_a_live_document() {
    let (world, run) = reading().await;
    world.commit([item(1, 1, "new")]);
    world.until("the live one is durable", |inner| inner.sinks["a"].content("items").len() == 1).await;
    world.release("ranges.built");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_older_read_of_a_backfill_does_not_stand_in_for_a_document_that_was_refused_since() {
    let (world, run) = reading().await;
    world.commit([item(1, 1, "unbuildable")]);
    world.until("it is put aside", |inner| inner.state.contains_key("quarantine/builder/items/1")).await;
    world.release("ranges.built");
    world.quiet().await;
    assert!(world.lock().state.contains_key("quarantine/builder/items/1"));
    assert!(world.lock().sinks["a"].content("items").is_empty());
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_older_read_of_a_backfill_does_not_bring_back_what_was_truncated() {
    let (world, run) = reading().await;
    world.lock().builder.names_all = true;
    world.commit([truncate(ITEMS)]);
    world.until("it is confirmed", |inner| inner.told.last() == Some(&2)).await;
    world.release("ranges.built");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}
