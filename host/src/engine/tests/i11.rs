//! I11: memory is bounded.

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{SinkSetup, World, item};
use crate::engine::Options;

const LONG: Duration = Duration::from_secs(10);

/// How many events have been captured.
fn captured(world: &World) -> usize {
    let number = |seen: &str, name: &str| -> usize {
        let (_, rest) = seen.split_once(name).unwrap();
        rest.split([',', ' ']).next().unwrap().parse().unwrap()
    };
    let seen = world.seen("Captured");
    seen.iter().map(|seen| number(seen, "changes: ") + number(seen, "checkpoints: ")).sum()
}

#[tokio::test(start_paused = true)]
async fn the_queue_takes_no_more_than_its_limit_and_the_connection_is_kept_alive() {
    let world = World::new();
    let options = Options { queue_changes: 64, max_changes: 8, ..Options::default() };
    let run = world.start(options);
    world.quiet().await;
    world.hold("builder.resolve");
    for n in 0..1_000 {
        world.commit([item(n, 0, "one of many")]);
    }
    let before = world.calls("source.keep");
    sleep(LONG).await;
    assert!(captured(&world) <= 64 + 16, "{} are in memory", captured(&world));
    assert!(world.calls("source.keep") > before + 10);
    world.release("builder.resolve");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn checkpoints_alone_are_bounded_too() {
    let world = World::new();
    let run = world.start(Options { queue_changes: 64, max_in_flight: 4_096, ..Options::default() });
    world.quiet().await;
    world.hold("sink.a.flush");
    world.commit([item(1, 1, "one")]);
    for _ in 0..5_000 {
        world.commit([]);
        sleep(Duration::from_millis(1)).await;
    }
    sleep(LONG).await;
    assert!(captured(&world) < 150, "{} are in memory", captured(&world));
    world.release("sink.a.flush");
    world.quiet().await;
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_built_and_not_flushed_is_bounded() {
    let world = World::new();
    let run = world.start(Options { max_changes: 1, max_in_flight: 10_000, ..Options::default() });
    world.quiet().await;
    world.hold("sink.a.flush");
    for n in 0..200 {
        world.commit([item(n, n, &"x".repeat(900))]);
    }
    sleep(LONG).await;
    let built: usize = world.lock().builder.built.iter().map(Vec::len).sum();
    assert!((4..=22).contains(&built), "{built} documents of 1 kB");
    world.release("sink.a.flush");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_leads_another_by_no_more_than_max_lead() {
    let world = World::with(&[("fast", SinkSetup::default()), ("slow", SinkSetup::default())]);
    let options = Options { max_changes: 1, max_in_flight: 5_000, max_lead: 20_000, ..Options::default() };
    let run = world.start(options);
    world.quiet().await;
    world.hold("sink.slow.flush");
    for n in 0..200 {
        world.commit([item(n, 0, &"x".repeat(900))]);
    }
    sleep(LONG).await;
    let lead = world.lock().sinks["fast"].content("items").len();
    assert!((10..=25).contains(&lead), "it leads by {lead} documents of 1 kB");
    world.release("sink.slow.flush");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_every_limit_passes_alone() {
    let world = World::new();
    let run =
        world.start(Options { max_in_flight: 10, max_lead: 0, queue_changes: 1, queue_bytes: 1, ..Options::default() });
    world.commit((0..300).map(|n| item(n, 0, "one of many")));
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn large_documents_are_built_and_written_few_at_a_time() {
    let world = World::new();
    let run = world.start(Options { call_bytes: 4_000, max_in_flight: 16_000, ..Options::default() });
    world.quiet().await;
    let wide = "wide ".repeat(400);
    for round in 0..4 {
        world.commit((0..64).map(|at| item(at, 1, &format!("{wide}{round}"))));
        world.quiet().await;
    }
    let before = world.calls("builder.build");
    world.commit((0..64).map(|at| item(at, 1, &format!("{wide}last"))));
    world.quiet().await;
    assert!(world.calls("builder.build") - before >= 32, "at most two of 2 000 bytes in a call of 4 000");
    world.assert_converged();
    run.stop().await.unwrap();
}
