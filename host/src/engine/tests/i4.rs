//! I4: a document touched many times in a batch is built once.

use super::kit::{GROUPS, ITEMS, World, item};
use crate::engine::Options;

#[tokio::test(start_paused = true)]
async fn a_document_touched_many_times_in_a_batch_is_built_once() {
    let world = World::new();
    world.lock().builder.repeats = true;
    let run = world.start(Options::default());
    world.quiet().await;
    let before = world.lock().builder.built.len();
    world.commit((0..50).map(|n| item(n % 3, 7, "again")));
    world.quiet().await;
    let built = world.lock().builder.built.split_off(before);
    assert_eq!(built, [[(ITEMS, 0), (GROUPS, 7), (ITEMS, 1), (ITEMS, 2)]]);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_resolved_in_one_call_and_built_in_one() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    let before = (world.calls("builder.resolve"), world.calls("builder.build"), world.calls("sink.a.write"));
    world.commit((0..60).map(|n| item(n, n, "one of many")));
    world.quiet().await;
    let after = (world.calls("builder.resolve"), world.calls("builder.build"), world.calls("sink.a.write"));
    assert_eq!(after, (before.0 + 1, before.1 + 1, before.2 + 1));
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_large_build_is_spread_over_the_instances_and_comes_back_in_order() {
    let world = World::new();
    world.lock().builder.instances = 3;
    let run = world.start(Options::default());
    world.quiet().await;
    let before = world.lock().builder.built.len();
    world.hold("builder.built");
    world.commit((0..250).map(|n| item(n, 0, "one of many")));
    world.until("all of it is being built", |inner| inner.builder.built.len() == before + 3).await;
    let sizes: Vec<_> = world.lock().builder.built[before..].iter().map(Vec::len).collect();
    assert_eq!(sizes, [84, 84, 83]);
    world.release("builder.built");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}
