//! I8: a crash at any instruction loses nothing.

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{Fault, GROUPS, ITEMS, SinkSetup, World, group, item, remove, truncate};
use crate::engine::{OnError, Options};

/// The same story, with the host dying at the n-th call of a stage, for every n there is.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_of_a_stage_loses_nothing() {
    for generations in [true, false] {
        let mut at = 0;
        loop {
            at += 1;
            let setup = SinkSetup { generations, ..SinkSetup::default() };
            let world = World::with(&[("a", setup), ("b", setup)]);
            world.lock().builder.by_range = at % 2 == 0;
            let options =
                Options { max_changes: 2, backfill_documents: 3, on_error: OnError::Skip, ..Options::default() };
            world.commit((0..7).map(|key| item(key, key % 2, "seeded")));
            world.lock().faults.crash_at = Some(at);
            let run = world.start(options.clone());
            for n in 0..3 {
                sleep(Duration::from_millis(20)).await;
                world.commit([item(n, 1, "live"), group(n, "live"), remove(ITEMS, n + 3), item(9, 0, "poison")]);
            }
            world.commit([truncate(ITEMS), item(1, 1, "after"), remove(GROUPS, 2)]);
            sleep(Duration::from_secs(2)).await;
            let over = world.lock().faults.crash_at.is_some();
            run.kill().await;
            world.lock().faults.crash_at = None;
            let run = world.start(options);
            world.commit([item(2, 1, "at last")]);
            world.quiet().await;
            world.assert_converged();
            run.stop().await.unwrap();
            if over {
                break;
            }
        }
        assert!(at > 100, "only {at} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_confirmed_comes_again_and_changes_nothing() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("state.apply");
    world.commit([item(1, 1, "one"), remove(ITEMS, 1), item(2, 1, "two")]);
    world.until("it is flushed", |inner| inner.sinks["a"].content("items").len() == 1).await;
    let first = world.lock().sinks["a"].content("items");
    run.kill().await;
    world.release("state.apply");
    world.script("sink.a.flush", [Fault::lost()]);
    let run = world.start(Options::default());
    world.quiet().await;
    assert_eq!(world.lock().sinks["a"].content("items"), first);
    world.assert_converged();
    run.stop().await.unwrap();
}
