//! Backfill: ranges side by side, resumed after a restart, only where it is wanted, live changes first.

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{Fault, ITEMS, SinkSetup, World, item, remove};
use crate::engine::Options;

fn small() -> Options {
    Options { backfill_documents: 2, flush_bytes: 0, confirm_interval: Duration::ZERO, ..Options::default() }
}

fn with_rows(rows: i64) -> std::sync::Arc<World> {
    let world = World::new();
    world.commit((0..rows).map(|at| item(at, 1, "a row")));
    world
}

#[tokio::test(start_paused = true)]
async fn ranges_are_read_side_by_side() {
    for by_range in [false, true] {
        let world = with_rows(20);
        world.lock().builder.by_range = by_range;
        let call = if by_range { "ranges.build" } else { "snapshot.next" };
        world.hold(call);
        let run = world.start(Options { backfill_parts: 3, ..small() });
        sleep(Duration::from_secs(5)).await;
        assert_eq!(world.calls(call), 3);
        world.release(call);
        world.quiet().await;
        world.assert_converged();
        run.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whole_ranges_are_preferred_to_keys() {
    let world = with_rows(5);
    world.lock().builder.by_range = true;
    let run = world.start(Options::default());
    world.quiet().await;
    assert_eq!((world.calls("snapshot.next"), world.calls("builder.build")), (0, 0));
    assert!(world.calls("ranges.build") > 0);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_backfill_goes_on_after_what_was_durable() {
    for (by_range, stream) in [(false, false), (true, false), (false, true)] {
        let world = World::with(&[("a", SinkSetup { stream, generations: !stream, ..SinkSetup::default() })]);
        world.commit((0..20).map(|at| item(at, 1, "a row")));
        world.lock().builder.by_range = by_range;
        let call = if by_range { "ranges.build" } else { "snapshot.next" };
        let moment = Fault::Slow(Duration::from_millis(1));
        world.script(call, std::iter::repeat_n(moment, 6).chain(std::iter::repeat_n(Fault::Hang, 9)));
        let run = world.start(Options { backfill_parts: 1, ..small() });
        world
            .until("a good part is remembered", |inner| {
                let rows = |record: &Vec<u8>| String::from_utf8_lossy(record).matches("\"done\":true").count();
                inner.state.get("backfill/items").map(rows) == Some(1)
            })
            .await;
        run.kill().await;
        world.lock().faults.forget(call);
        world.commit([remove(ITEMS, 1), item(2, 1, "changed meanwhile")]);
        let before = world.calls(call);
        let run = world.start(Options { backfill_documents: 100, ..small() });
        world.quiet().await;
        let again = world.seen("SeedStarted { index: \"items\"");
        assert!(again.last().unwrap().contains("resumed_at: 1"), "{again:?}");
        assert_eq!(world.calls(call), before + 2);
        world.assert_converged();
        run.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn another_mapping_starts_again() {
    let world = with_rows(10);
    world.script("snapshot.next", (0..3).map(|_| Fault::Slow(Duration::ZERO)).chain((0..9).map(|_| Fault::Hang)));
    let run = world.start(small());
    world.until("a part is remembered", |inner| inner.state.contains_key("backfill/items")).await;
    run.kill().await;
    world.lock().faults.forget("snapshot.next");
    world.lock().builder.hash = "2".to_owned();
    let run = world.start(small());
    world.quiet().await;
    assert!(world.seen("SeedStarted { index: \"items\"").last().unwrap().contains("resumed_at: 0"));
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_joins_later_is_seeded_alone() {
    let world = with_rows(5);
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    let before = world.lock().sinks["a"].applied.len();
    world.lock().sinks.insert("b".to_owned(), super::kit::sink(SinkSetup::default()));
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    assert_eq!(world.lock().sinks["a"].applied.len(), before);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_index_that_is_unseeded_is_seeded() {
    let world = with_rows(5);
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    world.lock().sinks.get_mut("a").unwrap().drop_index("groups");
    let before = world.seen("SeedStarted").len();
    let run = world.start(Options::default());
    world.quiet().await;
    let seen = world.seen("SeedStarted");
    assert!(seen.len() == before + 1 && seen[before].contains("groups"), "{seen:?}");
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn skip_backfill_goes_straight_to_live() {
    let world = with_rows(5);
    let run = world.start(Options { skip_backfill: true, ..Options::default() });
    world.until("it is prepared", |inner| inner.store.slot.is_some()).await;
    world.commit([item(7, 1, "live")]);
    world.until("it is confirmed", |inner| inner.told.last() == Some(&2)).await;
    assert_eq!(world.calls("snapshot.open"), 0);
    assert_eq!(world.lock().sinks["a"].content("items").len(), 1);
    run.stop().await.unwrap();
    // What was skipped is not taken for seeded later.
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn live_changes_are_confirmed_while_a_backfill_is_under_way() {
    let world = with_rows(5);
    world.hold("snapshot.next");
    let run = world.start(Options::default());
    world.until("it is being read", |inner| inner.faults.calls.contains_key("snapshot.next")).await;
    world.commit([item(9, 1, "live")]);
    world.until("it is confirmed", |inner| inner.told.last() == Some(&2)).await;
    world.release("snapshot.next");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_backfill_comes_to_its_end_although_live_changes_never_stop() {
    let world = with_rows(30);
    let options = Options { max_changes: 1, ..small() };
    // Eight changes come in the time that one takes.
    world.script("builder.resolve", std::iter::repeat_n(Fault::Slow(Duration::from_millis(1)), 50_000));
    world.script("snapshot.next", std::iter::repeat_n(Fault::Slow(Duration::from_millis(5)), 100));
    let run = world.start(options);
    let busy = std::sync::Arc::clone(&world);
    let writer = tokio::spawn(async move {
        for n in 0.. {
            busy.commit((0..8).map(|at| item(100 + at, n, "live")));
            sleep(Duration::from_millis(1)).await;
        }
    });
    let seeded = world.until("it is seeded", |inner| inner.sinks["a"].seeded("items").is_some());
    tokio::time::timeout(Duration::from_secs(10), seeded).await.unwrap();
    writer.abort();
    world.lock().faults.forget("builder.resolve");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_range_whose_cursor_stands_still_is_not_read_for_ever() {
    let world = with_rows(9);
    world.lock().builder.by_range = true;
    world.lock().builder.stands_still = true;
    let run = world.start(small());
    assert!(matches!(run.end().await, Err(crate::engine::EngineError::Crashed { .. })));
}
