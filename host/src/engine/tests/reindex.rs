//! An index that is built anew because somebody asked: beside the live one, which stays whole, in step and marked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::kit::{Edit, ITEMS, SinkSetup, World, group, item};
use crate::engine::{IndexStatus, OnError, Options, ReindexError};

fn rows(count: i64) -> impl Iterator<Item = Edit> {
    (0..count).map(|at| item(at, 1, "a row"))
}

fn is_asked_for(world: &World) -> bool {
    world.lock().state.keys().any(|key| key.starts_with("asked/"))
}

/// Whether something stands in the journal of a sink.
fn did(world: &World, sink: &str, what: &str) -> usize {
    world.lock().sinks[sink].journal.iter().filter(|line| *line == what).count()
}

/// From now on a reader looks at the live items all the time: there must never be fewer than there were.
fn read_on(world: &Arc<World>, least: usize) -> tokio::task::JoinHandle<()> {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        loop {
            {
                let mut inner = world.lock();
                let less = inner.sinks.iter().filter(|(_, sink)| sink.content("items").len() < least);
                let less: Vec<_> = less.map(|(name, _)| name.clone()).collect();
                inner
                    .wrong
                    .extend(less.into_iter().map(|name| format!("sink {name}: a reader found less than before")));
            }
            sleep(Duration::from_millis(1)).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn live_changes_reach_both_and_one_promotion_ends_it() {
    let world = World::with(&[("a", SinkSetup::default()), ("b", SinkSetup { lags: true, ..SinkSetup::default() })]);
    world.commit(rows(5));
    let run = world.start(Options::default());
    world.quiet().await;
    let reader = read_on(&world, 5);
    world.hold("snapshot.next");
    run.control.reindex("items").await.unwrap();
    world.until("a generation is begun", |inner| inner.sinks["b"].journal.contains(&"begin items".to_owned())).await;
    world.commit([item(7, 1, "meanwhile")]);
    world.until("the live one has it", |inner| inner.sinks.values().all(|sink| sink.content("items").len() == 6)).await;
    {
        let inner = world.lock();
        for sink in inner.sinks.values() {
            let places = sink.places.values().filter(|place| place.index == "items");
            let with = places.filter(|place| place.documents.contains_key("7")).count();
            assert_eq!(with, 2, "the live one and the generation have it");
            assert!(sink.seeded("items").is_some(), "nothing is wrong with the live one");
        }
    }
    let progress = run.control.indexes().unwrap();
    assert!(matches!(&progress[0], (name, IndexStatus::Rebuilding(_)) if name == "items"), "{progress:?}");
    assert_eq!(progress[1].1, IndexStatus::Seeded);
    world.release("snapshot.next");
    world.until("it is done", |inner| !inner.state.keys().any(|key| key.starts_with("asked/"))).await;
    for sink in ["a", "b"] {
        assert_eq!(did(&world, sink, "promote items"), 1, "sink {sink}");
        assert_eq!(did(&world, sink, "unmark items"), 1, "sink {sink}: only at the first seeding");
    }
    assert_eq!(run.control.indexes().unwrap()[0].1, IndexStatus::Seeded);
    reader.abort();
    world.assert_converged();
    run.stop().await.unwrap();
}

/// The same story, with the host dying at the n-th call of a stage after somebody asked, for every n there is.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_goes_on_with_it_and_the_live_one_stays_whole() {
    let (mut at, mut resumed) = (0, 0);
    loop {
        at += 1;
        let world = World::with(&[("a", SinkSetup::default()), ("b", SinkSetup::default())]);
        world.lock().builder.by_range = at % 2 == 0;
        let options = Options { max_changes: 2, backfill_documents: 3, on_error: OnError::Skip, ..Options::default() };
        world.commit(rows(7));
        let run = world.start(options.clone());
        world.quiet().await;
        let reader = read_on(&world, 7);
        world.lock().faults.crash_at = Some(at);
        let asking = tokio::spawn({
            let control = run.control.clone();
            async move { control.reindex("items").await }
        });
        for n in 0..3 {
            sleep(Duration::from_millis(20)).await;
            world.commit([item(n, 1, "live"), group(n, "live"), item(9, 0, "poison")]);
        }
        sleep(Duration::from_secs(2)).await;
        let over = world.lock().faults.crash_at.is_some();
        run.kill().await;
        asking.abort();
        world.lock().faults.crash_at = None;
        let left = is_asked_for(&world);
        let before = ["a", "b"].map(|sink| did(&world, sink, "promote items"));
        let run = world.start(options);
        world.commit([item(2, 1, "at last")]);
        world.quiet().await;
        world.until("it is done", |inner| !inner.state.keys().any(|key| key.starts_with("asked/"))).await;
        for (sink, before) in ["a", "b"].into_iter().zip(before) {
            if left && before == 0 {
                resumed += 1;
                assert_eq!(did(&world, sink, "promote items"), 1, "call {at}: sink {sink} went on with it");
                assert_eq!(did(&world, sink, "unmark items"), 1, "call {at}: sink {sink}, only at the first seeding");
            }
        }
        reader.abort();
        world.assert_converged();
        run.stop().await.unwrap();
        if over {
            break;
        }
    }
    assert!(at > 50 && resumed > 20, "{at} calls, {resumed} of them in the middle of it");
}

#[tokio::test(start_paused = true)]
async fn documents_that_are_wrong_end_what_was_asked_for_and_begin_it_anew() {
    let world = World::new();
    world.commit(rows(5));
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("snapshot.next");
    run.control.reindex("items").await.unwrap();
    world.until("a generation is begun", |inner| inner.sinks["a"].journal.contains(&"begin items".to_owned())).await;
    world.commit([Edit::Reshape(ITEMS)]);
    world.until("the live one is no longer marked", |inner| inner.sinks["a"].seeded("items").is_none()).await;
    assert!(matches!(&run.control.indexes().unwrap()[0].1, IndexStatus::Seeding(_)));
    world.release("snapshot.next");
    world.quiet().await;
    world.until("it is done", |inner| !inner.state.keys().any(|key| key.starts_with("asked/"))).await;
    assert_eq!(did(&world, "a", "promote items"), 1);
    world.assert_converged();
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_or_is_being_built_is_refused() {
    let world = World::new();
    world.commit(rows(5));
    world.hold("snapshot.next");
    let run = world.start(Options::default());
    world.until("it is being seeded", |inner| inner.sinks["a"].journal.len() > 1).await;
    assert!(matches!(run.control.reindex("items").await, Err(ReindexError::AlreadyRunning(_))));
    assert!(matches!(run.control.reindex("itens").await, Err(ReindexError::Unknown { known, .. }) if known.len() == 2));
    world.release("snapshot.next");
    world.quiet().await;
    assert!(!is_asked_for(&world));
    let control = run.control.clone();
    run.stop().await.unwrap();
    assert!(matches!(control.reindex("items").await, Err(ReindexError::NotRunning)));
}

#[tokio::test(start_paused = true)]
async fn a_sink_without_generations_says_that_its_index_is_not_whole_meanwhile() {
    let world = World::with(&[("a", SinkSetup { generations: false, ..SinkSetup::default() })]);
    world.commit(rows(5));
    let run = world.start(Options::default());
    world.quiet().await;
    world.hold("snapshot.next");
    run.control.reindex("items").await.unwrap();
    world.until("it is cleared", |inner| inner.sinks["a"].content("items").is_empty()).await;
    assert_eq!(world.lock().sinks["a"].seeded("items"), None);
    assert!(matches!(&run.control.indexes().unwrap()[0].1, IndexStatus::Seeding(_)));
    run.kill().await;
    world.release("snapshot.next");
    let run = world.start(Options::default());
    world.quiet().await;
    world.assert_converged();
    run.stop().await.unwrap();
}
