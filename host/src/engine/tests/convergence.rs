//! Random transactions, random faults, drops of the whole run at random moments; then quiet; then every sink must hold
//! what a full rebuild would give, and at no time may the source have been told more than was durable (the kit's source
//! looks at every poll).
//!
//! A run's seed is printed when it fails; `FLUSSO_ENGINE_SEED=n` replays it, `FLUSSO_ENGINE_RUNS=n` makes more of them.
//! `FLUSSO_ENGINE_THREADS=n` tells the stories side by side on so many real threads and in real time, where tasks race
//! as they do in the program (and a seed no longer replays).

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::kit::{Edit, GROUPS, ITEMS, Random, Running, SinkSetup, World, group, item, remove, truncate};
use crate::engine::{EngineError, Finished, OnError, Options, Reseed, WaitTarget};

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_sink_converges_whatever_happens_on_the_way() {
    let seeds = match setting("FLUSSO_ENGINE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("FLUSSO_ENGINE_RUNS").unwrap_or(300),
    };
    if let Some(threads) = setting("FLUSSO_ENGINE_THREADS") {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(threads as usize).enable_time().build().unwrap();
        return runtime.block_on(async {
            let stories: Vec<_> = seeds.map(|seed| (seed, tokio::spawn(one(seed)))).collect();
            for (seed, story) in stories {
                assert!(story.await.is_ok(), "the story of seed {seed} ended badly");
            }
        });
    }
    let mut failed = Vec::new();
    for seed in seeds {
        let story = std::panic::AssertUnwindSafe(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(one(seed));
        });
        if std::panic::catch_unwind(story).is_err() {
            eprintln!("^ seed {seed}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "replay with FLUSSO_ENGINE_SEED=n, n of {failed:?}");
}

/// One story.
async fn one(seed: u64) {
    let mut random = Random::new(seed);
    let names = ["a", "b", "c"];
    let sinks: Vec<_> = (0..=random.below(3) as usize)
        .map(|at| {
            let (generations, versions) = (!random.once_in(3), random.once_in(2));
            let lags = random.once_in(2);
            (names[at], SinkSetup { generations, versions, lags, ..SinkSetup::default() })
        })
        .collect();
    let world = World::with(&sinks);
    {
        let mut inner = world.lock();
        let frequency = *random.pick(&[0, 200, 60, 30]);
        inner.faults.random = Some((Random::new(random.next()), frequency));
        inner.builder.by_range = random.once_in(2);
        inner.builder.instances = 1 + random.below(3) as usize;
        inner.builder.repeats = random.once_in(2);
        inner.builder.most = *random.pick(&[1, 3, usize::MAX]);
        inner.builder.names_all = random.once_in(3);
        inner.builder.untold = random.once_in(2);
        inner.poll_most = *random.pick(&[1, 2, 5, usize::MAX]);
    }
    for _ in 0..random.below(4) {
        world.commit(transaction(&mut random));
    }
    let mut writer = Some(tokio::spawn(write(Arc::clone(&world), Random::new(random.next()))));
    let mut reseed = Reseed::Nothing;
    for _ in 0..1 + random.below(6) {
        let run = world.start(options(&mut random, std::mem::take(&mut reseed)));
        let asking = asks(&run, &mut random);
        sleep(Duration::from_millis([20, 200, 2_000][random.below(3) as usize] * random.below(100) / 100)).await;
        if random.once_in(4) {
            run.ask();
            let _ =
                timeout(Duration::from_millis(random.below(500)), async { sleep(Duration::from_secs(1)).await }).await;
        }
        if run.is_over() {
            match run.end().await {
                Ok(Finished::Done) => panic!("it was not asked for anything that ends"),
                Ok(_) | Err(EngineError::Crashed { .. }) => {}
                Err(EngineError::HistoryLost { .. }) => reseed = Reseed::Everything,
                Err(error) => panic!("{error}"),
            }
        } else {
            run.kill().await;
        }
        asking.abort();
        match random.below(12) {
            0 => {
                world.lock().store.slot = None;
                reseed = Reseed::Everything;
            }
            1 => world.lock().forget(),
            // From one run to the next the source tells more, or less.
            5 => {
                let mut inner = world.lock();
                inner.builder.untold = !inner.builder.untold;
            }
            2 => world
                .lock()
                .sinks
                .values_mut()
                .next()
                .unwrap()
                .drop_index(["items", "groups"][random.below(2) as usize]),
            3 => reseed = Reseed::Indexes(vec![["items", "groups"][random.below(2) as usize].to_owned()]),
            4 => reseed = Reseed::Everything,
            _ => {}
        }
    }
    let rest = random.once_in(2);
    if rest {
        writer.take().unwrap().await.unwrap();
    }
    let faults = if random.once_in(2) { None } else { Some((Random::new(random.next()), 0)) };
    world.lock().faults.random = faults;
    let once = rest && random.once_in(2);
    loop {
        let options = options(&mut random, std::mem::take(&mut reseed));
        if once {
            let options = Options { once, timeout: Some(Duration::from_secs(600)), ..options };
            match world.start(options).end().await {
                Ok(finished) => break assert_eq!(finished, Finished::Done),
                // The slot was dropped under a run that did not live to see it.
                Err(EngineError::HistoryLost { .. }) => reseed = Reseed::Everything,
                Err(error) => panic!("{error}"),
            }
            continue;
        }
        let run = world.start(options);
        if let Some(writer) = writer.take() {
            writer.await.unwrap();
        }
        tokio::select! {
            () = world.quiet() => {}
            () = run.over() => {
                assert!(matches!(run.end().await, Err(EngineError::HistoryLost { .. })));
                reseed = Reseed::Everything;
                continue;
            }
        }
        world.assert_converged();
        break assert_eq!(run.stop().await.unwrap(), Finished::Drained);
    }
    world.assert_converged();
}

fn options(random: &mut Random, reseed: Reseed) -> Options {
    Options {
        prefix: String::new(),
        max_changes: *random.pick(&[1, 2, 7, 256]),
        max_delay: Duration::from_millis(random.below(50)),
        backfill_documents: *random.pick(&[1, 2, 5, 2_000]),
        backfill_parts: 1 + random.below(3) as u32,
        queue_changes: *random.pick(&[4, 16, 8_192]),
        max_in_flight: *random.pick(&[1, 400, 16 << 20]),
        max_lead: *random.pick(&[0, 500, 64 << 20]),
        flush_bytes: *random.pick(&[0, 300, 1 << 20]),
        confirm_interval: Duration::from_millis(random.below(60)),
        crash_budget: 30,
        on_error: OnError::Skip,
        reseed,
        ..Options::default()
    }
}

/// Now and then somebody asks for an index to be built anew, or waits for a change.
fn asks(run: &Running, random: &mut Random) -> JoinHandle<()> {
    let (control, mut random) = (run.control.clone(), Random::new(random.next()));
    tokio::spawn(async move {
        while random.once_in(2) {
            sleep(Duration::from_millis(random.below(300))).await;
            let index = *random.pick(&["items", "groups"]);
            if random.once_in(2) {
                let _ = control.reindex(index).await;
            } else {
                let _ = control.wait(index, WaitTarget::Now, Duration::from_millis(random.below(500))).await;
            }
        }
    })
}

async fn write(world: Arc<World>, mut random: Random) {
    for _ in 0..random.below(60) {
        let edits = transaction(&mut random);
        if random.once_in(4) {
            world.commit_hidden(edits);
            sleep(Duration::from_millis(random.below(30))).await;
            world.reveal();
        } else {
            world.commit(edits);
        }
        if !random.once_in(3) {
            sleep(Duration::from_millis(random.below(60))).await;
        }
    }
}

/// Anything a transaction may do, on few keys, so that it meets itself again.
fn transaction(random: &mut Random) -> Vec<Edit> {
    let size = *random.pick(&[0, 1, 1, 1, 2, 3, 8, 40]);
    let mut edits = Vec::new();
    for _ in 0..size {
        let (key, parent) = (random.below(12) as i64, random.below(4) as i64);
        let value = match random.below(40) {
            0 => "poison".to_owned(),
            1 => "unbuildable".to_owned(),
            _ => format!("v{}", random.below(1_000)),
        };
        match random.below(24) {
            0..12 => edits.push(item(key, parent, &value)),
            12..16 => edits.push(group(parent, &value)),
            16..19 => edits.push(remove(ITEMS, key)),
            19..21 => edits.push(remove(GROUPS, parent)),
            // A changed key; a key deleted and inserted again.
            21 => edits.extend([remove(ITEMS, key), item(key + 1, parent, &value)]),
            22 => edits.extend([remove(ITEMS, key), item(key, parent, &value)]),
            _ if random.once_in(4) => edits.push(truncate(*random.pick(&[ITEMS, GROUPS]))),
            _ if random.once_in(8) => edits.push(Edit::Reshape(*random.pick(&[ITEMS, GROUPS]))),
            _ => {}
        }
    }
    edits
}
