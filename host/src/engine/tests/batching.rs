//! When a batch goes: full, late, or when nothing more is waiting.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::kit::{Edit, GROUPS, ITEMS, World, group, item};
use crate::engine::Options;

const LONG: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_lone_change_does_not_wait_for_the_clock() {
    let world = World::new();
    let run = world.start(Options { max_delay: LONG, ..Options::default() });
    world.quiet().await;
    sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    world.commit([item(1, 1, "one")]);
    world.until("it is durable", |inner| inner.sinks["a"].content("items").len() == 1).await;
    assert!(before.elapsed() <= Duration::from_millis(10), "{:?}", before.elapsed());
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_together_goes_together_and_never_more_than_the_limit() {
    let world = World::new();
    let run = world.start(Options { max_changes: 7, ..Options::default() });
    world.quiet().await;
    world.hold("builder.resolve");
    world.commit([item(1, 1, "first")]);
    world.until("it is being resolved", |inner| inner.faults.calls.get("builder.resolve") == Some(&1)).await;
    for n in 0..10 {
        world.commit([item(n, 1, "more")]);
    }
    sleep(Duration::from_secs(1)).await;
    world.release("builder.resolve");
    world.quiet().await;
    assert_eq!(world.lock().builder.resolved, [1, 7, 3]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_transaction_is_waited_for_no_longer_than_the_delay() {
    let world = World::new();
    let run = world.start(Options { max_delay: LONG, ..Options::default() });
    world.quiet().await;
    world.lock().poll_most = 2;
    let pause = Duration::from_secs(4);
    world.script("source.poll", [super::kit::Fault::Slow(pause), super::kit::Fault::Slow(pause)]);
    world.commit((0..5).map(|at| item(at, 1, "a part")));
    world.quiet().await;
    assert_eq!(world.lock().builder.resolved, [5]);
    let pause = Duration::from_secs(8);
    world.script("source.poll", [super::kit::Fault::Slow(pause), super::kit::Fault::Slow(pause)]);
    world.commit((0..5).map(|at| item(at, 2, "a part")));
    world.quiet().await;
    assert_eq!(world.lock().builder.resolved[1..], [4, 1]);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_next_batch_is_resolved_and_built_while_one_is_flushed() {
    let world = World::new();
    let run = world.start(Options { max_changes: 1, ..Options::default() });
    world.quiet().await;
    world.hold("sink.a.flush");
    world.commit([item(1, 1, "one")]);
    world.commit([item(2, 1, "two")]);
    world.commit([item(3, 1, "three")]);
    world.until("all are built", |inner| inner.builder.built.len() == 3).await;
    assert!(world.lock().sinks["a"].content("items").is_empty());
    world.release("sink.a.flush");
    world.quiet().await;
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_last_flush_before_it_is_quiet_is_told_that_it_is_caught_up() {
    let world = World::new();
    let run = world.start(Options { max_changes: 1, flush_bytes: 0, ..Options::default() });
    world.quiet().await;
    let before = world.lock().sinks["a"].journal.len();
    world.commit((0..5).map(|at| item(at, 1, "one of many")));
    world.quiet().await;
    let flushes = world.lock().sinks["a"].journal[before..].to_vec();
    assert_eq!(flushes, ["flush false", "flush false", "flush false", "flush false", "flush true"]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delete_and_an_insert_of_one_key_in_one_transaction_is_one_build() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.commit([item(1, 1, "one"), super::kit::remove(ITEMS, 1), item(1, 2, "again")]);
    world.quiet().await;
    assert_eq!(world.lock().builder.built.last().map(Vec::len), Some(3));
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn documents_that_a_reshaped_table_names_are_built_again() {
    let world = World::new();
    world.commit([group(1, "one"), group(2, "two")]);
    let run = world.start(Options::default());
    world.quiet().await;
    let before = world.lock().builder.built.len();
    world.commit([Edit::Reshape(GROUPS), item(1, 1, "a row")]);
    world.quiet().await;
    let built = world.lock().builder.built.split_off(before).concat();
    assert_eq!(built, [(GROUPS, 1), (GROUPS, 2), (ITEMS, 1), (GROUPS, 1)]);
    world.assert_converged();
    run.stop().await.unwrap();
}
