//! The world that a test lives in, and the runs in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::builder::{BuilderSetup, Builders};
use super::faults::{Fault, Faults};
use super::links::Links;
use super::sink::{SinkSetup, SinkState, Sinks};
use super::source::Sources;
use super::state::States;
use super::store::{Edit, NAMES, Store};
use crate::engine::stage::{Result, Sink};
use crate::engine::{
    EngineError, Finished, Observation, Observer, Options, RunHandle, StageError, Stop, connect, control, shutdown,
};

/// Everything that survives a crash of the engine, and what was seen.
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) sinks: BTreeMap<String, SinkState>,
    pub(crate) state: BTreeMap<String, Vec<u8>>,
    pub(crate) links: Links,
    pub(crate) faults: Faults,
    pub(crate) builder: BuilderSetup,
    /// What a stage saw the engine do wrong.
    pub(crate) wrong: Vec<String>,
    pub(crate) seen: Vec<String>,
    /// How much was seen before the current run.
    pub(crate) seen_before: usize,
    /// Grows with every run, so that what an earlier one left behind stands still.
    pub(crate) incarnation: u64,
    /// The size of the biggest `poll` answer; splits transactions.
    pub(crate) poll_most: usize,
    /// What the source was told is confirmed, in order.
    pub(crate) told: Vec<u64>,
    /// The touched documents that a confirmation is checked against: the last transaction that touched each.
    pub(crate) touched: BTreeMap<(u32, i64), u64>,
    pub(crate) touched_to: u64,
}

impl Inner {
    /// The state folder is lost.
    pub(crate) fn forget(&mut self) {
        self.state.clear();
        self.links = Links::default();
    }
}

/// The world.
pub(crate) struct World {
    pub(crate) inner: Mutex<Inner>,
    pub(crate) changed: Notify,
}

impl World {
    /// A world with one sink, `a`.
    pub(crate) fn new() -> Arc<Self> {
        Self::with(&[("a", SinkSetup::default())])
    }

    /// A world with these sinks.
    pub(crate) fn with(sinks: &[(&str, SinkSetup)]) -> Arc<Self> {
        let sinks = sinks.iter().map(|(name, setup)| ((*name).to_owned(), SinkState::new(*setup))).collect();
        let inner = Inner {
            store: Store::default(),
            sinks,
            state: BTreeMap::new(),
            links: Links::default(),
            faults: Faults::default(),
            builder: BuilderSetup::default(),
            wrong: Vec::new(),
            seen: Vec::new(),
            seen_before: 0,
            incarnation: 0,
            poll_most: usize::MAX,
            told: Vec::new(),
            touched: BTreeMap::new(),
            touched_to: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner), changed: Notify::new() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Commits a transaction that everybody sees at once. Returns its version.
    pub(crate) fn commit(&self, edits: impl IntoIterator<Item = Edit>) -> u64 {
        let mut inner = self.lock();
        let version = inner.store.commit(edits.into_iter().collect());
        while inner.store.reveal() {}
        drop(inner);
        self.changed.notify_waiters();
        version
    }

    /// Commits a transaction that nobody sees before [`World::reveal`].
    pub(crate) fn commit_hidden(&self, edits: impl IntoIterator<Item = Edit>) -> u64 {
        self.lock().store.commit(edits.into_iter().collect())
    }

    pub(crate) fn reveal(&self) {
        self.lock().store.reveal();
        self.changed.notify_waiters();
    }

    /// What happens to the next calls of a name.
    pub(crate) fn script(&self, call: &str, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.script(call, faults);
    }

    /// Calls of this name do not get through until they are released.
    pub(crate) fn hold(&self, call: &str) {
        self.lock().faults.held.insert(call.to_owned());
    }

    pub(crate) fn release(&self, call: &str) {
        self.lock().faults.held.remove(call);
        self.changed.notify_waiters();
    }

    /// How often something was called.
    pub(crate) fn calls(&self, call: &str) -> usize {
        self.lock().faults.calls.get(call).copied().unwrap_or(0)
    }

    /// Where every call of a stage passes. Returns the error to answer with after the call has been done.
    pub(crate) async fn gate(&self, incarnation: u64, call: &str) -> Result<Option<StageError>> {
        let (wait, fault) = {
            let mut inner = self.lock();
            if let Some(left) = &mut inner.faults.crash_at {
                *left -= 1;
                if *left == 0 {
                    inner.faults.crash_at = None;
                    inner.incarnation += 1;
                }
            }
            inner.faults.draw(call)
        };
        if let Some(wait) = wait {
            sleep(wait).await;
        } else {
            tokio::task::yield_now().await;
        }
        loop {
            let changed = self.changed.notified();
            if self.lock().incarnation != incarnation {
                std::future::pending::<()>().await;
            }
            if !self.lock().faults.held.contains(call) {
                break;
            }
            changed.await;
        }
        match fault {
            None | Some(Fault::Slow(_)) => Ok(None),
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Lost(error)) => Ok(Some(error)),
            Some(Fault::Hang) => std::future::pending().await,
        }
    }

    /// Starts a run.
    pub(crate) fn start(self: &Arc<Self>, options: Options) -> Running {
        let incarnation = {
            let mut inner = self.lock();
            inner.incarnation += 1;
            inner.links.crash();
            inner.seen_before = inner.seen.len();
            inner.incarnation
        };
        let world = Arc::clone(self);
        let (stop, ear) = shutdown();
        let (control, registry) = control();
        let handle = tokio::spawn(async move {
            let source = Arc::new(Sources { world: Arc::clone(&world), incarnation });
            let builder = Arc::new(Builders { world: Arc::clone(&world), incarnation });
            let state = Arc::new(States { world: Arc::clone(&world), incarnation });
            let names: Vec<String> = world.lock().sinks.keys().cloned().collect();
            let sink = |name| Arc::new(Sinks { world: Arc::clone(&world), incarnation, name }) as Arc<dyn Sink>;
            let sinks = names.into_iter().map(sink).collect();
            let watch = Arc::new(Watch(Arc::clone(&world)));
            let connected = connect(source, builder, watch, options).await?;
            connected.run(sinks, state, ear, &registry).await
        });
        Running { world: Arc::clone(self), handle, stop, control }
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Inner) -> bool) {
        for _ in 0..200_000 {
            if is_so(&self.lock()) {
                return;
            }
            sleep(Duration::from_millis(3)).await;
        }
        panic!("it never came to it: {what}\n{}", self.describe());
    }

    /// Waits until the current run has every index seeded and everything committed confirmed.
    pub(crate) async fn quiet(&self) {
        self.until("everything is seeded and confirmed", |inner| {
            let Some(slot) = &inner.store.slot else { return false };
            let seeded = |sink: &SinkState| NAMES.iter().all(|name| sink.seeded(name) == Some(slot.history.as_str()));
            let prepared = inner.seen[inner.seen_before..].iter().any(|seen| seen.starts_with("Prepared"));
            prepared && slot.confirmed == inner.store.log.len() as u64 && inner.sinks.values().all(seeded)
        })
        .await;
    }

    /// Every sink holds what a full rebuild would give, but for documents in the quarantine.
    pub(crate) fn assert_converged(&self) {
        let inner = self.lock();
        assert!(inner.wrong.is_empty(), "{:#?}", inner.wrong);
        for (name, sink) in &inner.sinks {
            for index in 0..2 {
                let aside = |id: &str| {
                    let key = |by: &str| format!("quarantine/{by}/{}/{id}", NAMES[index as usize]);
                    inner.state.contains_key(&key(name)) || inner.state.contains_key(&key("builder"))
                };
                let mut held = sink.content(NAMES[index as usize]);
                let keys = inner.store.rows[index as usize].keys();
                let mut want: BTreeMap<String, String> =
                    keys.filter_map(|at| Some((at.to_string(), inner.store.document(index, *at)?))).collect();
                let poison =
                    |text: &str| ["poison", "unbuildable", "deadly", "lethal"].iter().any(|word| text.contains(word));
                let refused: Vec<_> = want.iter().filter(|(_, text)| poison(text)).map(|(id, _)| id.clone()).collect();
                for id in refused {
                    assert!(
                        aside(&id),
                        "sink {name}: {} {id} was refused and is not in the quarantine",
                        NAMES[index as usize]
                    );
                    want.remove(&id);
                    held.remove(&id);
                }
                assert_eq!(held, want, "sink {name}, index {}", NAMES[index as usize]);
            }
        }
    }

    pub(crate) fn describe(&self) -> String {
        let inner = self.lock();
        let state: Vec<_> =
            inner.state.iter().map(|(key, value)| format!("{key} = {}", String::from_utf8_lossy(value))).collect();
        let last = inner.seen.len().saturating_sub(30);
        format!(
            "slot {:?}, {} committed, {} visible\nstate {state:#?}\nlast seen {:#?}\nwrong {:#?}\nheld {:?}",
            inner.store.slot,
            inner.store.log.len(),
            inner.store.visible,
            &inner.seen[last..],
            inner.wrong,
            inner.faults.held
        )
    }

    /// What was observed that starts with a word.
    pub(crate) fn seen(&self, word: &str) -> Vec<String> {
        self.lock().seen.iter().filter(|seen| seen.starts_with(word)).cloned().collect()
    }
}

/// A run.
pub(crate) struct Running {
    world: Arc<World>,
    handle: JoinHandle<std::result::Result<Finished, EngineError>>,
    stop: Stop,
    /// Asks it.
    pub(crate) control: RunHandle,
}

impl Running {
    /// Drops everything where it stands, like `kill -9`.
    pub(crate) async fn kill(self) {
        self.world.lock().incarnation += 1;
        self.handle.abort();
        let _ = self.handle.await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_over(&self) -> bool {
        self.handle.is_finished()
    }

    /// Returns when it has ended by itself.
    pub(crate) async fn over(&self) {
        while !self.is_over() {
            sleep(Duration::from_millis(3)).await;
        }
    }

    /// Asks it to end.
    pub(crate) fn ask(&self) {
        self.stop.stop();
    }

    /// Asks it to end and waits.
    pub(crate) async fn stop(self) -> std::result::Result<Finished, EngineError> {
        self.ask();
        self.end().await
    }

    /// Waits for its end.
    pub(crate) async fn end(self) -> std::result::Result<Finished, EngineError> {
        let Ok(ended) = tokio::time::timeout(Duration::from_secs(3_600), self.handle).await else {
            panic!("the run never ended\n{}", self.world.describe());
        };
        self.world.lock().incarnation += 1;
        ended.unwrap()
    }
}

struct Watch(Arc<World>);

impl Observer for Watch {
    fn observe(&self, observation: Observation<'_>) {
        self.0.lock().seen.push(format!("{observation:?}"));
    }
}
