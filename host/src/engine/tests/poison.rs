//! Documents that end the instance of a builder or a sink: found by halving, and treated as any document that cannot be built or
//! is rejected.

use super::kit::{Edit, Fault, ITEMS, SinkSetup, World, item, truncate};
use crate::engine::{EngineError, OnError, Options, StageError};
use crate::limits;

fn skipping() -> Options {
    Options { on_error: OnError::Skip, ..Options::default() }
}

/// So many items, some of which kill their builder.
fn items(count: i64, deadly: impl Fn(i64) -> bool) -> Vec<Edit> {
    (1..=count).map(|at| item(at, 1, if deadly(at) { "deadly" } else { "harmless" })).collect()
}

fn quarantined(world: &World) -> usize {
    world.lock().state.keys().filter(|key| key.starts_with("quarantine/builder/items/")).count()
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_those_alone_are_put_aside_and_come_back_when_they_can_be_built() {
    let world = World::new();
    let run = world.start(skipping());
    world.quiet().await;
    world.commit(items(200, |at| at % 67 == 0));
    world.quiet().await;
    assert_eq!(quarantined(&world), 2);
    world.assert_converged();
    world.commit([item(67, 1, "well again"), item(134, 1, "deadly still")]);
    world.quiet().await;
    assert_eq!(quarantined(&world), 1);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_document_alone_in_its_batch_ends_no_run() {
    let world = World::new();
    let run = world.start(skipping());
    world.quiet().await;
    world.commit([item(1, 1, "deadly")]);
    world.quiet().await;
    world.commit([item(2, 1, "two")]);
    world.quiet().await;
    assert_eq!(quarantined(&world), 1);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_a_seeded_index_too() {
    let world = World::with(&[("a", SinkSetup::default())]);
    world.commit(items(500, |at| at % 100 == 7));
    let run = world.start(Options { backfill_documents: 64, ..skipping() });
    world.quiet().await;
    assert_eq!(quarantined(&world), 5);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_the_run_is_to_stop_the_document_is_named() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.commit(items(50, |at| at == 33));
    match run.end().await {
        Err(EngineError::Rejected { index, id, reason, .. }) => {
            assert_eq!((index.as_str(), id.as_str()), ("items", "33"));
            assert!(reason.contains("the build trapped"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(quarantined(&world), 0);
}

/// What fails now this way and now that is no document's fault.
#[tokio::test(start_paused = true)]
async fn a_builder_that_fails_in_several_ways_puts_nothing_aside() {
    let world = World::new();
    let run = world.start(skipping());
    world.quiet().await;
    let violation = |text: &str| Fault::Fail(StageError::Violation(text.to_owned()));
    world.script("builder.build", [violation("a"), violation("b"), Fault::crash(), violation("c"), violation("d")]);
    world.commit([item(1, 1, "one")]);
    world.quiet().await;
    assert_eq!(quarantined(&world), 0);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_builder_that_builds_nothing_ends_the_run() {
    let world = World::new();
    let run = world.start(skipping());
    world.quiet().await;
    world.commit(items(100, |_| true));
    let error = run.end().await.unwrap_err();
    assert!(matches!(error, EngineError::Crashed { .. }), "{error:?}");
    assert!(quarantined(&world) <= limits::engine::POISON_IN_A_ROW);
}

/// Items, some of which kill the sink that they are written to.
fn lethal(count: i64, lethal: impl Fn(i64) -> bool) -> Vec<Edit> {
    (1..=count).map(|at| item(at, 1, if lethal(at) { "lethal" } else { "harmless" })).collect()
}

fn rejected(world: &World, sink: &str) -> usize {
    let prefix = format!("quarantine/{sink}/items/");
    world.lock().state.keys().filter(|key| key.starts_with(&prefix)).count()
}

#[tokio::test(start_paused = true)]
async fn of_what_a_sink_is_given_those_alone_that_end_it_are_put_aside() {
    let world = World::with(&[("a", SinkSetup::default()), ("b", SinkSetup::default())]);
    world.commit(lethal(300, |at| at % 100 == 7));
    let run = world.start(Options { backfill_documents: 64, ..skipping() });
    world.quiet().await;
    assert_eq!((rejected(&world, "a"), rejected(&world, "b")), (3, 3));
    world.assert_converged();
    world.commit(lethal(200, |at| at == 150));
    world.quiet().await;
    assert_eq!((rejected(&world, "a"), rejected(&world, "b")), (2, 2));
    world.assert_converged();
    world.commit([item(1, 1, "lethal")]);
    world.quiet().await;
    world.commit([item(1, 1, "well again"), item(150, 1, "well again"), item(207, 1, "well again")]);
    world.quiet().await;
    assert_eq!((rejected(&world, "a"), rejected(&world, "b")), (0, 0));
    world.assert_converged();
    run.stop().await.unwrap();
}

/// A truncate, and in the same batch rows that kill the sink: what was there before is gone, and nothing that came is.
#[tokio::test(start_paused = true)]
async fn what_an_entry_clears_is_cleared_once() {
    let world = World::new();
    world.commit(lethal(20, |_| false));
    let run = world.start(skipping());
    world.quiet().await;
    world.commit([truncate(ITEMS)].into_iter().chain(lethal(9, |at| at == 1 || at == 6)));
    world.quiet().await;
    assert_eq!(rejected(&world, "a"), 2);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_dies_of_nothing_puts_nothing_aside() {
    let world = World::new();
    let run = world.start(skipping());
    world.quiet().await;
    world.script("sink.a.flush", (0..60).map(|_| Fault::crash()));
    world.commit(lethal(3, |_| false));
    let error = run.end().await.unwrap_err();
    assert!(matches!(error, EngineError::Crashed { .. }), "{error:?}");
    assert_eq!(rejected(&world, "a"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_takes_nothing_any_more_ends_the_run() {
    let world = World::new();
    let run = world.start(skipping());
    world.quiet().await;
    world.commit(lethal(100, |_| true));
    let error = run.end().await.unwrap_err();
    assert!(matches!(error, EngineError::Crashed { .. }), "{error:?}");
    assert!(rejected(&world, "a") <= limits::engine::POISON_IN_A_ROW);
}
