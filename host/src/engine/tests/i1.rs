//! I1: a position is confirmed only after every document of every change before it is durable everywhere, or put aside.
//! The kit's source checks the same at every poll of every test.

use std::time::Duration;

use tokio::time::sleep;

use super::kit::{SinkSetup, World, item};
use crate::engine::{OnError, Options};

const LONG: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn nothing_is_confirmed_while_its_flush_is_under_way() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("sink.a.flush");
    world.commit([item(1, 1, "one")]);
    sleep(LONG).await;
    assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 0);
    world.release("sink.a.flush");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_slowest_sink_decides_what_is_confirmed() {
    let world = World::with(&[("a", SinkSetup::default()), ("b", SinkSetup::default())]);
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("sink.b.flush");
    world.commit([item(1, 1, "one")]);
    world.until("a has it", |inner| inner.sinks["a"].content("items").len() == 1).await;
    sleep(LONG).await;
    assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 0);
    world.release("sink.b.flush");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_source_hears_of_a_position_only_after_the_host_remembers_it() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("state.apply");
    world.commit([item(1, 1, "one")]);
    world.until("it is flushed", |inner| inner.sinks["a"].content("items").len() == 1).await;
    sleep(LONG).await;
    assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 0);
    world.release("state.apply");
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_be_built_is_put_aside_before_its_position_is_confirmed() {
    let world = World::new();
    let run = world.start(Options { on_error: OnError::Skip, ..Options::default() });
    world.quiet().await;
    world.commit([item(1, 1, "unbuildable")]);
    world.quiet().await;
    assert!(world.lock().state.contains_key("quarantine/builder/items/1"));
    world.commit([item(1, 1, "mended")]);
    world.quiet().await;
    assert!(!world.lock().state.contains_key("quarantine/builder/items/1"));
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_moves_on() {
    let world = World::new();
    let run = world.start(Options::default());
    world.quiet().await;
    for _ in 0..5 {
        world.commit([]);
    }
    world.quiet().await;
    assert_eq!(world.lock().store.slot.as_ref().unwrap().confirmed, 5);
    run.stop().await.unwrap();
}
