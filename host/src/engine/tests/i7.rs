//! I7: an index is marked seeded, under the current history, only after its whole snapshot is flushed; when history is
//! lost, every sink is marked unseeded before a new slot is made (the kit's source looks when it makes one).

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{Edit, Fault, ITEMS, SinkSetup, World, item};
use crate::engine::{EngineError, OnError, OnHistoryLoss, Options, Reseed};

fn rows(count: i64) -> impl Iterator<Item = Edit> {
    (0..count).map(|at| item(at, 1, "a row"))
}

/// A backfill that reads two pages of items (and the one empty page of groups), and then no more.
fn stuck_after_two_pages(world: &World) {
    let moment = || Fault::Slow(Duration::from_millis(1));
    world.script("snapshot.next", [moment(), moment(), moment()].into_iter().chain((0..9).map(|_| Fault::Hang)));
}

#[tokio::test(start_paused = true)]
async fn an_index_is_not_marked_seeded_while_a_part_of_it_is_not_flushed() {
    let world = World::new();
    world.commit(rows(10));
    // One group begins each of the two indexes; then documents, two at a time.
    world.script("sink.a.flush", (0..4).map(|_| Fault::Slow(Duration::from_millis(1))).chain([Fault::Hang]));
    let run = world.start(Options { backfill_documents: 2, flush_bytes: 0, ..Options::default() });
    world.until("a part is flushed", |inner| inner.sinks["a"].content("items").len() >= 2).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.lock().sinks["a"].seeded("items"), None);
    run.kill().await;
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_from_a_snapshot_is_known_before_its_index_is_marked_seeded() {
    let world = World::new();
    world.commit([item(1, 1, "unbuildable"), item(2, 1, "two")]);
    world.hold("snapshot.next");
    let run = world.start(Options { on_error: OnError::Skip, ..Options::default() });
    world
        .until("it has begun", |inner| inner.state.keys().filter(|key| key.starts_with("seeding/")).count() == 2)
        .await;
    world.hold("state.apply");
    world.release("snapshot.next");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.lock().sinks["a"].seeded("items"), None);
    world.release("state.apply");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_slot_stops_the_run_unless_it_may_seed_again() {
    let world = World::new();
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    world.lock().store.slot = None;
    assert!(matches!(world.start(Options::default()).end().await, Err(EngineError::HistoryLost { .. })));
    assert!(world.lock().store.slot.is_none());
    world.commit(rows(5));
    let run = world.start(Options { reseed: Reseed::Everything, ..Options::default() });
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_slot_is_replaced_where_the_operator_allowed_it_beforehand() {
    let world = World::new();
    world.commit(rows(3));
    let options = Options { on_history_loss: OnHistoryLoss::Reseed, ..Options::default() };
    let run = world.start(options.clone());
    world.quiet().await;
    run.stop().await.unwrap();
    world.lock().store.slot = None;
    world.commit(rows(5));
    let run = world.start(options);
    world.quiet().await;
    assert_eq!(world.seen("HistoryLost").len(), 1);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slot_lost_while_it_is_followed_ends_the_run() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.lock().store.slot = None;
    world.commit(rows(1));
    assert!(matches!(run.end().await, Err(EngineError::HistoryLost { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_forgot_everything_seeds_again_under_a_new_history() {
    let world = World::new();
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    world.lock().forget();
    let run = world.start(Options::default());
    world.quiet().await;
    assert_eq!(world.lock().sinks["a"].seeded("items"), Some("history 2"));
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_index_removed_behind_the_hosts_back_is_seeded_again() {
    let world = World::new();
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    world.lock().sinks.get_mut("a").unwrap().drop_index("items");
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

/// Two runs, and then the sink is what it was after the first.
async fn restored(world: &std::sync::Arc<World>) {
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    let backup = world.lock().sinks["a"].places.clone();
    let run = world.start(Options::default());
    world.commit(rows(5));
    world.quiet().await;
    run.stop().await.unwrap();
    world.lock().sinks.get_mut("a").unwrap().places = backup;
}

#[tokio::test(start_paused = true)]
async fn an_index_restored_from_a_backup_is_not_taken_for_what_the_host_left_behind() {
    let world = World::new();
    restored(&world).await;
    let lost = world.start(Options::default()).end().await.unwrap_err();
    assert!(matches!(&lost, EngineError::HistoryLost { reason } if reason.contains("backup")), "{lost}");
    // Documents that were durable are not any more.
    world.lock().touched.clear();
    let run = world.start(Options { on_history_loss: OnHistoryLoss::Reseed, ..Options::default() });
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
    let seeds = world.seen("SeedStarted").len();
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    assert_eq!(world.seen("SeedStarted").len(), seeds, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_dies_between_new_marks_and_remembering_them_is_no_backup() {
    let world = World::new();
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    let seeds = world.seen("SeedStarted").len();
    // One of two marks is written, then both, and not remembered.
    for call in ["sink.a.mark", "state.apply"] {
        world.script(call, [Fault::Slow(Duration::from_millis(1)), Fault::Hang]);
        let run = world.start(Options::default());
        sleep(Duration::from_secs(5)).await;
        run.kill().await;
        world.lock().faults.forget(call);
    }
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    assert_eq!(world.seen("SeedStarted").len(), seeds);
    world.assert_converged();
}

#[tokio::test(start_paused = true)]
async fn a_half_seeded_index_removed_behind_the_hosts_back_is_seeded_from_the_start() {
    let world = World::new();
    world.commit(rows(10));
    stuck_after_two_pages(&world);
    let run = world.start(Options { backfill_documents: 2, confirm_interval: Duration::ZERO, ..Options::default() });
    world.until("a part is remembered", |inner| inner.state.contains_key("backfill/items")).await;
    run.kill().await;
    world.lock().sinks.get_mut("a").unwrap().drop_index("items");
    world.lock().faults.forget("snapshot.next");
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_half_seeded_index_made_anew_behind_the_hosts_back_is_seeded_from_the_start() {
    let world = World::new();
    world.commit(rows(10));
    stuck_after_two_pages(&world);
    let run = world.start(Options { backfill_documents: 2, confirm_interval: Duration::ZERO, ..Options::default() });
    world.until("a part is remembered", |inner| inner.state.contains_key("backfill/items")).await;
    run.kill().await;
    world.lock().sinks.get_mut("a").unwrap().remake_index("items", "99", "a document of another client");
    world.lock().faults.forget("snapshot.next");
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_sink_notices_that_its_index_was_removed() {
    let world = World::new();
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    world.lock().sinks.get_mut("a").unwrap().drop_index("items");
    world.script("sink.a.flush", [Fault::away()]);
    let ended = run.end().await.unwrap_err();
    assert!(matches!(&ended, EngineError::RestartRequired { .. }), "{ended}");
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_moves_on_does_not_keep_an_idle_sink_from_its_flush() {
    let world = World::new();
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    let before = world.calls("sink.a.flush");
    for _ in 0..12 {
        world.commit([]);
        sleep(Duration::from_secs(10)).await;
    }
    assert!(world.calls("sink.a.flush") >= before + 3);
    run.stop().await.unwrap();
}

/// Seeds, then seeds again into a generation beside the live index, with faults on the way.
async fn rebuilt(call: &str, faults: impl IntoIterator<Item = Fault>, kill: bool) {
    let world = World::new();
    world.commit(rows(6));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    world.script(call, faults);
    let reseed = Reseed::Indexes(vec!["items".to_owned()]);
    let run = world.start(Options { reseed, backfill_documents: 2, ..Options::default() });
    let begun = |inner: &super::kit::Inner| inner.sinks["a"].journal.iter().filter(|it| *it == "begin items").count();
    world.until("it has begun", |inner| begun(inner) == 1).await;
    sleep(Duration::from_secs(30)).await;
    if kill {
        run.kill().await;
        let run = world.start(Options::default());
        world.quiet().await;
        world.assert_converged();
        run.stop().await.unwrap();
    } else {
        world.quiet().await;
        world.assert_converged();
        run.stop().await.unwrap();
    }
    assert_eq!(world.lock().sinks["a"].content("items").len(), 6);
    // Nothing was done twice.
    assert_eq!(begun(&world.lock()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_promotion_whose_answer_was_lost_is_recognised() {
    rebuilt("sink.a.promote", [Fault::lost()], false).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_promotion_and_mark_does_not_promote_an_empty_generation() {
    // The start renews the marks of two indexes first.
    let moment = || Fault::Slow(Duration::from_millis(1));
    rebuilt("sink.a.mark", [moment(), moment(), Fault::Hang], true).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_of_a_generation_goes_on_with_it() {
    rebuilt("sink.a.promote", [Fault::Hang], true).await;
}

#[tokio::test(start_paused = true)]
async fn a_backfill_is_not_resumed_in_a_generation_that_another_attempt_began() {
    let world = World::new();
    world.commit(rows(10));
    let options =
        Options { backfill_documents: 2, flush_bytes: 0, confirm_interval: Duration::ZERO, ..Options::default() };
    stuck_after_two_pages(&world);
    let run = world.start(options.clone());
    world.until("a part is remembered", |inner| inner.state.contains_key("backfill/items")).await;
    // The table is reshaped, so all of it is read again; the host dies right after the new generation is begun.
    world.hold("snapshot.next");
    world.hold("builder.build");
    world.commit([Edit::Reshape(ITEMS)]);
    world.release("builder.build");
    sleep(Duration::from_secs(5)).await;
    run.kill().await;
    world.release("snapshot.next");
    world.lock().faults.forget("snapshot.next");
    let run = world.start(options);
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_without_generations_is_cleared_before_it_is_seeded_again() {
    let world = World::with(&[("a", SinkSetup { generations: false, ..SinkSetup::default() })]);
    world.commit(rows(6));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    // Rows go while nobody follows, and the history with them.
    world.lock().store.slot = None;
    world.commit([super::kit::remove(ITEMS, 3), super::kit::remove(ITEMS, 4)]);
    let run = world.start(Options { reseed: Reseed::Everything, ..Options::default() });
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_sat_out_a_run_is_seeded_again() {
    let world = World::with(&[("a", SinkSetup::default()), ("b", SinkSetup::default())]);
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    let left_out = world.lock().sinks.remove("b").unwrap();
    world.commit(rows(5));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    {
        // What was confirmed without the sink is not held against it.
        let mut inner = world.lock();
        inner.touched.clear();
        inner.sinks.insert("b".to_owned(), left_out);
    }
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_was_left_out_while_nothing_moved_is_not_seeded_again() {
    let world = World::with(&[("a", SinkSetup::default()), ("b", SinkSetup::default())]);
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    let left_out = world.lock().sinks.remove("b").unwrap();
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    world.lock().sinks.insert("b".to_owned(), left_out);
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    assert_eq!(world.seen("SeedStarted").len(), 2, "one a seed of each index, in the first run");
}

#[tokio::test(start_paused = true)]
async fn what_reads_a_table_that_was_not_recorded_is_seeded_again() {
    let world = World::new();
    world.commit(rows(3));
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    let seeds = world.seen("SeedStarted").len();
    world.lock().store.unrecorded = vec![ITEMS];
    let run = world.start(Options::default());
    world.quiet().await;
    run.stop().await.unwrap();
    assert!(world.seen("SeedStarted").len() > seeds);
    world.assert_converged();
}
