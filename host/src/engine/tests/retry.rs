//! What may pass is waited out: with backoff, within a time, a budget, or patience.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::kit::{Fault, World, item};
use crate::engine::{EngineError, Options, StageError};
use crate::limits;

fn times(fault: &Fault, count: usize) -> impl Iterator<Item = Fault> {
    std::iter::repeat_n(fault.clone(), count)
}

#[tokio::test(start_paused = true)]
async fn the_wait_doubles_up_to_its_limit_and_a_success_heals_it() {
    let world = World::new();
    let options = Options {
        retry_first: Duration::from_millis(100),
        retry_longest: Duration::from_millis(500),
        ..Options::default()
    };
    let run = world.start(options);
    world.quiet().await;
    world.script("builder.resolve", times(&Fault::away(), 5));
    world.commit([item(1, 1, "one")]);
    world.quiet().await;
    world.script("builder.resolve", times(&Fault::away(), 1));
    world.commit([item(1, 1, "uno")]);
    world.quiet().await;
    let waits: Vec<_> =
        world.seen("Retrying").iter().map(|it| it.split("after: ").nth(1).unwrap().to_owned()).collect();
    assert_eq!(waits, ["100ms }", "200ms }", "400ms }", "500ms }", "500ms }", "100ms }"]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stage_may_ask_for_a_longer_wait() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    let retry_after = Some(Duration::from_secs(7));
    world.script("sink.a.flush", [Fault::Fail(StageError::Transient { message: "busy".to_owned(), retry_after })]);
    let before = Instant::now();
    world.commit([item(1, 1, "one")]);
    world.quiet().await;
    assert!(before.elapsed() >= Duration::from_secs(7));
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stage_cannot_put_a_run_to_sleep() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    let retry_after = Some(Duration::from_secs(86_400));
    world.script("sink.a.flush", [Fault::Fail(StageError::Transient { message: "busy".to_owned(), retry_after })]);
    let before = Instant::now();
    world.commit([item(1, 1, "one")]);
    world.quiet().await;
    assert!(
        before.elapsed() <= limits::engine::RETRY_AFTER_LONGEST + Duration::from_secs(60),
        "{:?}",
        before.elapsed()
    );
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_resolve_whose_cursor_stands_still_ends_the_run() {
    let world = World::new();
    world.lock().builder.most = 1;
    let run = world.start(Options::default());
    world.quiet().await;
    world.lock().builder.stands_still = true;
    world.commit([item(1, 1, "one"), item(2, 1, "two"), item(3, 2, "three")]);
    let error = run.end().await.unwrap_err().to_string();
    assert!(error.contains("the cursor of a resolve did not move"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_away_is_opened_again_where_it_was_confirmed() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.commit([item(1, 1, "one")]);
    world.quiet().await;
    world.script("source.poll", times(&Fault::away(), 1));
    world.script("source.open", times(&Fault::away(), 20));
    sleep(Duration::from_secs(1)).await;
    world.commit([item(2, 1, "two")]);
    world.quiet().await;
    world.assert_converged();
    assert!(world.calls("source.open") > 20);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_from_an_older_opening_is_dropped() {
    let world = World::new();
    let run = world.start(Options { max_changes: 1, ..Options::default() });
    world.quiet().await;
    world.hold("builder.resolve");
    world.commit((0..10).map(|at| item(at, 1, "one of many")));
    world.until("it is being resolved", |inner| inner.faults.calls.get("builder.resolve") == Some(&1)).await;
    world.script("source.poll", times(&Fault::away(), 1));
    world.until("it is opened again", |inner| inner.faults.calls.get("source.open") == Some(&2)).await;
    sleep(Duration::from_secs(2)).await;
    world.release("builder.resolve");
    world.quiet().await;
    world.assert_converged();
    // The one that was under way, and all ten of the new opening.
    assert_eq!(world.lock().builder.resolved.len(), 11);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_opening_is_not_told_what_an_older_one_handed_out() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("state.apply");
    world.commit([item(1, 1, "one")]);
    world.until("it is flushed", |inner| inner.sinks["a"].content("items").len() == 1).await;
    sleep(Duration::from_secs(1)).await;
    world.hold("source.prepare");
    world.script("source.poll", times(&Fault::away(), 1));
    world.until("it is opened again", |inner| inner.faults.calls.get("source.prepare") == Some(&2)).await;
    world.release("state.apply");
    sleep(Duration::from_secs(1)).await;
    world.release("source.prepare");
    world.quiet().await;
    // The source of the kit compares what it is told with what it has handed out.
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_stays_away_ends_the_run_after_the_timeout() {
    for call in ["source.open", "source.poll", "builder.describe", "sink.a.open", "sink.a.flush", "snapshot.split"] {
        let world = World::new();
        world.commit([item(1, 1, "one")]);
        world.script(call, times(&Fault::away(), 10_000));
        let before = Instant::now();
        let run = world.start(Options { timeout: Some(Duration::from_secs(40)), ..Options::default() });
        match run.end().await {
            Err(EngineError::Unreachable { waited, .. }) => assert!(waited >= Duration::from_secs(40), "{call}"),
            other => panic!("{call}: {other:?}"),
        }
        assert!(before.elapsed() < Duration::from_secs(45), "{call}: {:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_dies_again_and_again_ends_the_run() {
    for call in ["builder.resolve", "builder.build", "sink.a.write", "source.poll", "snapshot.next"] {
        let world = World::new();
        world.commit([item(1, 1, "one")]);
        let run =
            world.start(Options { crash_budget: 3, skip_backfill: call != "snapshot.next", ..Options::default() });
        world.script(call, times(&Fault::crash(), 100));
        world.until("it is prepared", |inner| inner.store.slot.is_some()).await;
        world.commit([item(2, 1, "two")]);
        match run.end().await {
            Err(EngineError::Crashed { failures, .. }) => assert_eq!(failures, 4, "{call}"),
            other => panic!("{call}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_violation_twice_in_a_row_is_final_and_other_failures_are_not() {
    let violation = |text: &str| Fault::Fail(StageError::Violation(text.to_owned()));
    let healing = [violation("a"), violation("b"), Fault::crash(), violation("b"), Fault::away(), violation("b")];
    for call in ["builder.resolve", "builder.build", "sink.a.flush"] {
        let world = World::new();
        let run = world.start(Options { crash_budget: 9, ..Options::default() });
        world.quiet().await;
        world.script(call, healing.clone());
        world.commit([item(1, 1, "one")]);
        world.quiet().await;
        world.assert_converged();
        // Of a build or a flush it is found out whether it is a document's.
        world.script(call, times(&violation("a"), if call == "builder.resolve" { 2 } else { 6 }));
        world.commit([item(2, 1, "two")]);
        match run.end().await {
            Err(EngineError::Crashed { failures, .. }) => assert_eq!(failures, 2, "{call}"),
            other => panic!("{call}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_now_and_then_does_not_use_up_the_budget() {
    let world = World::new();
    let run = world.start(Options { crash_budget: 1, ..Options::default() });
    world.quiet().await;
    for n in 0..10 {
        world.script("sink.a.flush", times(&Fault::crash(), 1));
        world.commit([item(n, 1, "one of many")]);
        world.quiet().await;
    }
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_somebody_holds_is_waited_for_with_patience() {
    let busy = Fault::Fail(StageError::Busy("pid 7".to_owned()));
    let world = World::new();
    world.script("source.prepare", times(&busy, 8));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    let world = World::new();
    world.script("source.prepare", times(&busy, 10_000));
    let before = Instant::now();
    let ended = world.start(Options { busy_timeout: Duration::from_secs(75), ..Options::default() }).end().await;
    assert!(matches!(ended, Err(EngineError::Busy(_))), "{ended:?}");
    assert!((75..90).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_not_ready_is_waited_for_without_a_limit() {
    let world = World::new();
    // The kit's source answers this as "pending".
    world.script("source.prepare", times(&Fault::Fail(StageError::Unsupported("pid 7".to_owned())), 3_000));
    let run = world.start(Options { timeout: Some(Duration::from_secs(5)), ..Options::default() });
    world.quiet().await;
    assert_eq!(world.seen("Preparing").len(), 1);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_that_nothing_helps_against_ends_the_run_at_once() {
    for call in ["sink.a.flush", "builder.build", "source.poll", "state.apply"] {
        let world = World::new();
        let run = world.start(Options::default());
        world.quiet().await;
        world.script(call, [Fault::Fail(StageError::Fatal("no".to_owned()))]);
        world.commit([item(1, 1, "one")]);
        let ended = run.end().await;
        assert!(matches!(ended, Err(EngineError::Stage { .. } | EngineError::State(_))), "{call}: {ended:?}");
    }
}
