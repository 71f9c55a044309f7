//! Remembered links, where the source does not tell where a deleted or moved row was: removed together with storing the
//! confirmation of what ended them; and an index counts as seeded only while every build of it has remembered them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::kit::{Fault, ITEMS, Running, World, group, item, remove};
use crate::engine::Options;

const LONG: Duration = Duration::from_secs(5);

/// Two groups, an item in the first, everything seeded.
async fn seeded() -> (Arc<World>, Running) {
    let world = World::new();
    world.lock().builder.untold = true;
    world.commit([group(1, "one"), group(2, "two"), item(7, 1, "seven")]);
    let run = world.start(Options::default());
    world.quiet().await;
    assert!(world.lock().links.links.contains(&(7, 1)));
    (world, run)
}

#[tokio::test(start_paused = true)]
async fn a_link_is_removed_together_with_the_confirmation() {
    let (world, run) = seeded().await;
    world.hold("state.apply");
    world.commit([remove(ITEMS, 7)]);
    world.until("it is flushed", |inner| !inner.sinks["a"].content("groups")["1"].contains("seven")).await;
    sleep(LONG).await;
    assert!(world.lock().links.links.contains(&(7, 1)), "nothing is confirmed yet");
    world.release("state.apply");
    world.quiet().await;
    assert!(world.lock().links.links.is_empty());
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_confirmation_finds_the_link_again() {
    let (world, run) = seeded().await;
    world.hold("sink.a.flush");
    world.commit([item(7, 2, "moved")]);
    world.until("it is on its way", |inner| inner.builder.built.last().is_some_and(|ids| ids.contains(&(1, 1)))).await;
    sleep(LONG).await;
    run.kill().await;
    world.release("sink.a.flush");
    assert!(world.lock().links.links.contains(&(7, 1)));
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    assert_eq!(world.lock().links.links.iter().copied().collect::<Vec<_>>(), [(7, 2)]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_of_many_documents_ended_waits_for_the_last_of_them() {
    let (world, run) = seeded().await;
    world.lock().builder.most = 1;
    // The item's own document goes first, that of the group it was in behind it.
    world.script("sink.a.flush", [Fault::Slow(Duration::from_millis(1))]);
    world.hold("builder.more");
    world.commit([remove(ITEMS, 7)]);
    world.until("the first is flushed", |inner| inner.sinks["a"].content("items").is_empty()).await;
    sleep(LONG).await;
    assert!(world.lock().links.links.contains(&(7, 1)));
    world.release("builder.more");
    world.quiet().await;
    world.assert_converged();
    assert!(world.lock().links.links.is_empty());
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn links_are_stored_before_a_document_made_of_them_is_written() {
    let (world, run) = seeded().await;
    world.hold("state.links");
    world.commit([item(8, 2, "eight")]);
    sleep(LONG).await;
    assert!(!world.lock().sinks["a"].content("groups")["2"].contains("eight"), "its link is not stored");
    world.release("state.links");
    world.until("it is written", |inner| inner.sinks["a"].content("groups")["2"].contains("eight")).await;
    run.kill().await;
    world.lock().links.crash();
    assert!(world.lock().links.links.contains(&(8, 2)));
}

#[tokio::test(start_paused = true)]
async fn an_index_whose_links_were_not_remembered_is_seeded_again() {
    let (world, run) = seeded().await;
    run.stop().await.unwrap();
    // While the source tells, nothing is remembered; when it no longer does, what was is not enough.
    for (untold, again) in [(true, 0), (false, 0), (true, 1), (true, 0)] {
        world.lock().builder.untold = untold;
        world.commit([item(8, 2, "eight")]);
        let before = world.seen("SeedStarted").len();
        let run = world.start(Options::default());
        world.quiet().await;
        run.stop().await.unwrap();
        let seen = world.seen("SeedStarted");
        assert_eq!(seen.len() - before, again, "{seen:?}");
        assert!(seen[before..].iter().all(|seen| seen.contains("groups")), "{seen:?}");
        assert_eq!(world.lock().links.links.contains(&(7, 1)), untold);
    }
    assert_eq!(world.seen("LinksIncomplete").len(), 1);
    world.assert_converged();
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_did_not_remember_is_not_gone_on_with() {
    let world = World::new();
    world.commit((0..8).map(|at| group(at, "a group")).chain((0..8).map(|at| item(at, at, "an item"))));
    let options = || Options { backfill_documents: 2, backfill_parts: 1, flush_bytes: 0, ..Options::default() };
    // The items in two ranges of two pages and an empty one each, and then a part of the groups.
    let slow = || Fault::Slow(Duration::from_millis(1));
    world.script("snapshot.next", (0..8).map(|_| slow()).chain((0..9).map(|_| Fault::Hang)));
    let run = world.start(options());
    world.until("a part is durable", |inner| inner.state.contains_key("backfill/groups")).await;
    run.kill().await;
    world.lock().faults.forget("snapshot.next");
    world.lock().builder.untold = true;
    let run = world.start(options());
    world.quiet().await;
    world.commit((0..8).map(|at| remove(ITEMS, at)));
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}
