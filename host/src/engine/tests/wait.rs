//! Whoever waits for a change is answered when searches find it, not before, and not much later.

use std::sync::Arc;
use std::time::Duration;

use super::kit::{SinkSetup, World, item};
use crate::engine::{Options, WaitError, WaitOutcome, WaitTarget};

/// A sink that shows what it has only when it is told that it is caught up.
fn lagging() -> SinkSetup {
    SinkSetup { lags: true, ..SinkSetup::default() }
}

const PATIENCE: Duration = Duration::from_secs(60);

fn position(version: u64) -> WaitTarget {
    WaitTarget::Position(version.to_string())
}

fn found(world: &World, sink: &str, id: &str) -> Option<String> {
    world.lock().sinks[sink].shown.get("items")?.get(id).cloned()
}

#[tokio::test(start_paused = true)]
async fn a_change_is_found_when_the_answer_comes_although_more_is_always_waiting() {
    let world = World::with(&[("a", lagging()), ("b", SinkSetup::default())]);
    let run = world.start(Options { max_changes: 1, flush_bytes: 0, ..Options::default() });
    world.quiet().await;
    let writer = tokio::spawn({
        let world = Arc::clone(&world);
        async move {
            // So much that nothing ever waits for the clock.
            for n in 0..2_000 {
                world.commit((0..5).map(|at| item(100 + at, 1, &format!("load {n}"))));
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    for n in 0..5 {
        let version = world.commit([item(1, 1, &format!("mine {n}"))]);
        let answer = run.control.wait("items", position(version), PATIENCE).await.unwrap();
        assert!(matches!(answer, WaitOutcome::Found { .. }), "{answer:?}");
        for sink in ["a", "b"] {
            let text = found(&world, sink, "1").unwrap_or_default();
            assert!(text.contains(&format!("mine {n}")), "sink {sink} shows {text:?}");
        }
    }
    assert!(!writer.is_finished(), "the load was over before the last answer");
    writer.abort();
    run.kill().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_left_for_later_is_shown_when_somebody_waits_for_it() {
    let world = World::with(&[("a", lagging())]);
    let run = world.start(Options::default());
    world.quiet().await;
    let version = world.commit([item(1, 1, "one")]);
    world.quiet().await;
    run.stop().await.unwrap();
    // Nobody knows whether the run before had shown it.
    world.lock().sinks.get_mut("a").unwrap().shown.clear();
    let run = world.start(Options::default());
    world.quiet().await;
    world.lock().sinks.get_mut("a").unwrap().shown.clear();
    let answer = run.control.wait("items", position(version), PATIENCE).await.unwrap();
    assert_eq!(answer, WaitOutcome::Found { position: version.to_string() });
    assert!(found(&world, "a", "1").is_some());
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn now_is_everything_that_was_committed_before_the_question() {
    let world = World::with(&[("a", lagging())]);
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("sink.a.flush");
    world.commit([item(1, 1, "one")]);
    let answer = run.control.wait("items", WaitTarget::Now, Duration::from_secs(5)).await.unwrap();
    let WaitOutcome::TooLate { position, durable, seeding, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((position.as_deref(), durable.as_deref(), seeding), (Some("1"), Some("0"), false));
    world.release("sink.a.flush");
    let answer = run.control.wait("items", WaitTarget::Now, PATIENCE).await.unwrap();
    assert_eq!(answer, WaitOutcome::Found { position: "1".to_owned() });
    assert!(found(&world, "a", "1").is_some());
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_slowest_sink_decides_what_is_found() {
    let world = World::with(&[("a", lagging()), ("b", lagging())]);
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("sink.b.flush");
    let version = world.commit([item(1, 1, "one")]);
    world.until("one has it", |inner| inner.sinks["a"].content("items").len() == 1).await;
    let answer = run.control.wait("items", position(version), Duration::from_secs(5)).await.unwrap();
    assert!(matches!(answer, WaitOutcome::TooLate { .. }), "{answer:?}");
    world.release("sink.b.flush");
    let answer = run.control.wait("items", position(version), PATIENCE).await.unwrap();
    assert!(matches!(answer, WaitOutcome::Found { .. }) && found(&world, "b", "1").is_some());
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_promised_of_an_index_before_it_is_whole() {
    let world = World::with(&[("a", lagging())]);
    let version = world.commit([item(1, 1, "one")]);
    world.hold("snapshot.next");
    let run = world.start(Options::default());
    world.until("it is being seeded", |inner| inner.sinks["a"].journal.len() > 1).await;
    let answer = run.control.wait("items", position(version), Duration::from_secs(5)).await.unwrap();
    assert!(matches!(answer, WaitOutcome::TooLate { seeding: true, .. }), "{answer:?}");
    world.release("snapshot.next");
    let answer = run.control.wait("items", position(version), PATIENCE).await.unwrap();
    assert!(matches!(answer, WaitOutcome::Found { .. }) && found(&world, "a", "1").is_some());
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_waited_for_is_said() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    let answer = run.control.wait("itens", WaitTarget::Now, PATIENCE).await;
    assert!(matches!(answer, Err(WaitError::Unknown { .. })), "{answer:?}");
    let answer = run.control.wait("items", WaitTarget::Position("soon".to_owned()), PATIENCE).await;
    assert!(matches!(&answer, Err(WaitError::NoPosition(text)) if text.contains("soon")), "{answer:?}");
    let answer = run.control.wait("items", position(999), Duration::from_secs(5)).await.unwrap();
    assert!(matches!(answer, WaitOutcome::TooLate { .. }), "{answer:?}");
    run.stop().await.unwrap();
}
