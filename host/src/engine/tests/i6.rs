//! I6: a sink that is away is waited for; a document that is refused follows its index's policy.

use std::time::Duration;

use super::kit::{Fault, SinkSetup, World, group, item};
use crate::engine::{EngineError, OnError, Options, Quarantined, StageError};
use crate::model::{Key, Value};

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_away_is_tried_again_and_nothing_is_confirmed_meanwhile() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.script("sink.a.flush", (0..5).map(|_| Fault::away()));
    world.commit([item(1, 1, "one")]);
    world
        .until("it has been away", |inner| inner.seen.iter().filter(|it| it.starts_with("Retrying")).count() == 5)
        .await;
    assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 0);
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_written_since_the_last_good_flush_is_written_again_to_a_fresh_instance() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    let opened = world.calls("sink.a.open");
    world.script("sink.a.flush", [Fault::lost(), Fault::crash()]);
    world.script("sink.a.write", [Fault::Slow(Duration::ZERO), Fault::away()]);
    world.commit([item(1, 1, "one"), item(2, 1, "two")]);
    world.quiet().await;
    assert_eq!(world.calls("sink.a.open"), opened + 3);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_takes_a_sink_too_long_is_flushed_in_smaller_parts() {
    let world = World::with(&[("a", SinkSetup { most: Some(2), ..SinkSetup::default() })]);
    let run = world.start(Options { max_changes: 1, ..Options::default() });
    world.quiet().await;
    world.hold("sink.a.flush");
    for at in 0..9 {
        world.commit([item(at, 1, "one of many")]);
    }
    world.until("all are built", |inner| inner.builder.built.concat().len() >= 9).await;
    world.release("sink.a.flush");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_decided_before_anything_is_put_aside() {
    let world = World::new();
    let on_error_by_index = vec![("groups".to_owned(), OnError::Skip)];
    let run = world.start(Options { on_error_by_index, ..Options::default() });
    world.quiet().await;
    world.commit([group(1, "poison"), item(1, 2, "poison")]);
    match run.end().await {
        Err(EngineError::Rejected { index, id, what, .. }) => assert_eq!([index, id, what], ["items", "1", "a"]),
        other => panic!("{other:?}"),
    }
    let inner = world.lock();
    assert!(!inner.state.keys().any(|key| key.starts_with("quarantine/")), "{:?}", inner.state.keys());
    assert_eq!(inner.store.slot.as_ref().unwrap().confirmed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_document_is_put_aside_and_the_rest_of_its_batch_lands() {
    let world = World::new();
    let run = world.start(Options { on_error: OnError::Skip, ..Options::default() });
    world.quiet().await;
    world.commit([item(1, 1, "poison"), item(2, 1, "two"), item(3, 1, "unbuildable")]);
    world.quiet().await;
    world.assert_converged();
    assert_eq!(world.lock().sinks["a"].content("items").len(), 1);
    assert_eq!(world.seen("Quarantined").len(), 2);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_that_is_full_ends_the_run_and_loses_nothing() {
    let world = World::new();
    let options = Options { on_error: OnError::Skip, quarantine_documents: 2, ..Options::default() };
    let run = world.start(options.clone());
    world.quiet().await;
    world.commit([item(1, 1, "poison"), item(2, 1, "poison")]);
    world.quiet().await;
    world.commit([item(3, 1, "poison")]);
    match run.end().await {
        Err(EngineError::Rejected { id, reason, .. }) => {
            assert!(id == "3" && reason.contains("holds 2 documents already"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // What could not be put aside comes again.
    let run = world.start(Options { quarantine_documents: 3, ..options });
    world.quiet().await;
    let kept = world.lock().state.keys().filter(|key| key.starts_with("quarantine/")).count();
    assert_eq!(kept, 3);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_later_success_clears_the_entry_also_after_a_restart() {
    let world = World::new();
    let options = Options { on_error: OnError::Skip, ..Options::default() };
    let run = world.start(options.clone());
    world.commit([item(1, 1, "poison"), item(2, 1, "unbuildable")]);
    world.quiet().await;
    run.stop().await.unwrap();
    assert!(world.lock().state.keys().filter(|key| key.starts_with("quarantine/")).count() >= 2);
    let run = world.start(options);
    world.commit([item(1, 1, "well"), item(2, 1, "well")]);
    world.quiet().await;
    assert!(!world.lock().state.keys().any(|key| key.starts_with("quarantine/")));
    world.assert_converged();
    run.stop().await.unwrap();
}

/// What is wrong with them is mended where no change tells of it.
#[tokio::test(start_paused = true)]
async fn a_document_that_is_built_again_leaves_the_quarantine_once_it_is_taken() {
    let world = World::new();
    let run = world.start(Options { on_error: OnError::Skip, ..Options::default() });
    world.quiet().await;
    world.commit([item(1, 1, "poison"), item(2, 1, "unbuildable")]);
    world.quiet().await;
    let kept = || -> Vec<Quarantined> {
        let inner = world.lock();
        let of_items = inner.state.iter().filter(|(key, _)| key.starts_with("quarantine/") && key.contains("/items/"));
        of_items.map(|(_, value)| serde_json::from_slice(value).unwrap()).collect()
    };
    let again = || kept().into_iter().map(|entry| (entry.index, entry.key.unwrap().into())).collect();
    assert_eq!(run.control.build_again(again()).await.ok(), Some(2));
    // No change is under way whose end could be waited for.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(kept().len(), 2, "nothing was mended");
    world.lock().store.rows[0].values_mut().for_each(|row| row.value = "well".to_owned());
    assert_eq!(run.control.build_again(again()).await.ok(), Some(2));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(kept().is_empty(), "{:?}", kept());
    assert_eq!(world.lock().sinks["a"].content("items").len(), 2);
    let unknown = vec![("itens".to_owned(), Key::new(vec![Value::Integer(1)]))];
    assert_eq!(run.control.build_again(unknown).await.ok(), Some(0));
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stops_at_a_refused_document_has_not_marked_its_index_seeded() {
    let world = World::new();
    world.commit([item(1, 1, "poison")]);
    let run = world.start(Options::default());
    assert!(matches!(run.end().await, Err(EngineError::Rejected { .. })));
    assert_eq!(world.lock().sinks["a"].seeded("items"), None);
}

#[tokio::test(start_paused = true)]
async fn a_document_of_two_generations_is_refused_once_also_at_the_promotion() {
    let world = World::new();
    world.commit([item(1, 1, "one")]);
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    let reseed = crate::engine::Reseed::Indexes(vec!["items".to_owned()]);
    world.hold("snapshot.next");
    let run = world.start(Options { on_error: OnError::Skip, reseed, ..Options::default() });
    world.until("it is begun", |inner| inner.state.contains_key("seeding/a/items")).await;
    // One flush holds up the lane, so that the refused document and the promotion go together behind it.
    world.hold("sink.a.flush");
    world.commit([item(3, 3, "three")]);
    world.until("it is flushed", |inner| inner.builder.built.len() == 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.commit([item(2, 2, "poison")]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.release("snapshot.next");
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.release("sink.a.flush");
    world.quiet().await;
    world.assert_converged();
    assert_eq!(world.seen("Quarantined").len(), 1);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_what_a_sink_was_not_given_ends_the_run_and_fills_no_quarantine() {
    let world = World::with(&[("a", SinkSetup { strangers: 1_000, ..SinkSetup::default() })]);
    let run = world.start(Options { on_error: OnError::Skip, ..Options::default() });
    world.commit([item(1, 1, "one")]);
    let error = run.end().await.unwrap_err().to_string();
    assert!(error.contains("stranger 0") && error.contains("which it was not given"), "{error}");
    assert!(world.seen("Quarantined").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_for_good_keeps_no_other_from_what_is_built() {
    let world = World::with(&[("a", SinkSetup::default()), ("b", SinkSetup::default())]);
    let run = world.start(Options { max_changes: 1, ..Options::default() });
    world.quiet().await;
    for sink in ["a", "b"] {
        world.hold(&format!("sink.{sink}.flush"));
    }
    let last = (0..9).map(|at| world.commit([item(at, 1, "one of many")])).max();
    world.until("all are built", |inner| inner.builder.built.concat().len() >= 9).await;
    world.script("sink.a.flush", [Fault::Fail(StageError::Fatal("it is broken".to_owned()))]);
    world.release("sink.a.flush");
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.release("sink.b.flush");
    assert!(run.end().await.is_err());
    let inner = world.lock();
    assert!(inner.sinks["a"].content("items").len() < 9);
    assert_eq!(inner.sinks["b"].content("items").len(), 9);
    assert!(inner.store.slot.as_ref().map(|slot| slot.confirmed) < last, "what one sink has alone is confirmed");
}
