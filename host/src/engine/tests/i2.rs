//! I2: only whole transactions are confirmed.

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{Fault, World, item};
use crate::engine::Options;

const MOMENT: Fault = Fault::Slow(Duration::from_millis(1));

#[tokio::test(start_paused = true)]
async fn a_batch_boundary_inside_a_transaction_moves_nothing() {
    let world = World::new();
    let options = Options { max_changes: 2, ..Options::default() };
    let run = world.start(options.clone());
    world.commit([item(100, 1, "before")]);
    world.quiet().await;
    world.lock().poll_most = 2;
    world.script("source.poll", [MOMENT, MOMENT, Fault::Hang]);
    world.commit((0..7).map(|at| item(at, 1, "a part")));
    world.until("six of seven are durable", |inner| inner.sinks["a"].content("items").len() == 7).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.lock().told.last(), Some(&1));
    let before = world.lock().builder.resolved.len();
    run.kill().await;
    let run = world.start(options);
    world.quiet().await;
    world.assert_converged();
    // All of it came again.
    assert_eq!(world.lock().builder.resolved[before..].iter().sum::<usize>(), 7);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_of_changes_that_touch_very_many_documents_goes_with_the_last_of_them() {
    let world = World::new();
    let options = Options { backfill_documents: 2, flush_bytes: 0, ..Options::default() };
    let run = world.start(options.clone());
    world.quiet().await;
    world.lock().builder.most = 3;
    world.script("sink.a.flush", [MOMENT, MOMENT, MOMENT, Fault::Hang]);
    world.commit((0..9).map(|at| item(at, at, "a part")));
    world.until("a part is durable", |inner| inner.sinks["a"].content("items").len() >= 3).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 0);
    run.kill().await;
    let run = world.start(options);
    world.quiet().await;
    world.assert_converged();
    let largest = world.lock().builder.built.iter().map(Vec::len).max();
    assert!(largest <= Some(2), "{largest:?} documents in one call");
    run.stop().await.unwrap();
}
