//! A run that is asked to end drains what is in flight, within its deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::kit::{Fault, World, item};
use crate::engine::{Finished, Options};

const DRAIN: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn a_stop_under_load_confirms_what_is_in_flight() {
    let world = World::new();
    let run = world.start(Options { max_changes: 4, ..Options::default() });
    world.quiet().await;
    world.hold("sink.a.flush");
    for n in 0..50 {
        world.commit([item(n, 1, "one of many")]);
    }
    world.until("it is captured", |inner| inner.seen.iter().any(|it| it.starts_with("Captured"))).await;
    sleep(Duration::from_secs(1)).await;
    run.ask();
    sleep(Duration::from_secs(1)).await;
    world.release("sink.a.flush");
    assert_eq!(run.end().await.unwrap(), Finished::Drained);
    assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 50);
    assert_eq!(world.seen("Draining").len(), 1);
    world.assert_converged();
}

#[tokio::test(start_paused = true)]
async fn an_idle_run_ends_at_once() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    let before = Instant::now();
    assert_eq!(run.stop().await.unwrap(), Finished::Drained);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(world.calls("source.close"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_source_that_is_away() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.script("source.poll", [Fault::away()]);
    world.script("source.open", std::iter::repeat_n(Fault::away(), 1_000));
    sleep(Duration::from_secs(30)).await;
    let before = Instant::now();
    assert_eq!(run.stop().await.unwrap(), Finished::Drained);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_hangs_is_cut_off_at_the_deadline() {
    for call in ["sink.a.flush", "builder.resolve", "source.poll", "source.close", "state.apply"] {
        let world = World::new();
        let run = world.start(Options { drain: DRAIN, ..Options::default() });
        world.quiet().await;
        world.hold(call);
        world.commit([item(1, 1, "one")]);
        sleep(Duration::from_secs(1)).await;
        let before = Instant::now();
        assert_eq!(run.stop().await.unwrap(), Finished::CutOff, "{call}");
        assert!(before.elapsed() <= DRAIN + Duration::from_millis(10), "{call}: {:?}", before.elapsed());
        world.release(call);
        let run = world.start(Options::default());
        world.quiet().await;
        world.assert_converged();
        run.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_it_starts_ends_it_at_once() {
    for call in ["source.inspect", "sink.a.open", "sink.a.ensure", "source.prepare", "sink.a.seeded"] {
        let world = World::new();
        world.hold(call);
        let run = world.start(Options::default());
        sleep(Duration::from_secs(5)).await;
        let before = Instant::now();
        assert_eq!(run.stop().await.unwrap(), Finished::Drained, "{call}");
        assert!(before.elapsed() < Duration::from_secs(1), "{call}: {:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_backfill() {
    for once in [false, true] {
        let world = World::new();
        world.commit((0..20).map(|at| item(at, 1, "a row")));
        world.hold("snapshot.next");
        let run = world.start(Options { once, ..Options::default() });
        sleep(Duration::from_secs(5)).await;
        world.commit([item(30, 1, "live")]);
        sleep(Duration::from_secs(1)).await;
        let before = Instant::now();
        assert_eq!(run.stop().await.unwrap(), Finished::Drained);
        assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
        assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 2);
        world.release("snapshot.next");
        let run = world.start(Options::default());
        world.quiet().await;
        world.assert_converged();
        run.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_kept_alive_while_it_drains() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("sink.a.flush");
    world.commit([item(1, 1, "one")]);
    sleep(Duration::from_secs(1)).await;
    run.ask();
    let before = world.calls("source.keep");
    sleep(Duration::from_secs(10)).await;
    assert!(world.calls("source.keep") > before + 5);
    world.release("sink.a.flush");
    assert_eq!(run.end().await.unwrap(), Finished::Drained);
}
