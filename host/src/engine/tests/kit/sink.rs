//! Sinks: what is written is buffered and void after any error; what was flushed is durable and survives everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::run::World;
use crate::engine::StageError;
use crate::engine::stage::{Documents, Ensured, Flushed, Result, Sink, Writer};
use crate::model::{Document, Failure, HistoryId, Mapping, Rejection, Target, Version};

/// What a sink can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SinkSetup {
    /// It can fill a generation beside the live one.
    pub(crate) generations: bool,
    /// It drops a document whose version is lower than the one it has.
    pub(crate) versions: bool,
    /// It forgets what it was given, as standard output does, and always calls itself empty.
    pub(crate) stream: bool,
    /// Searches find what it holds when it is told that it is caught up, and not before.
    pub(crate) lags: bool,
    /// Writes that one flush has time for; none: any number.
    pub(crate) most: Option<usize>,
    /// How many documents each flush rejects that the sink was never given.
    pub(crate) strangers: usize,
}

impl Default for SinkSetup {
    fn default() -> Self {
        Self { generations: true, versions: false, stream: false, lags: false, most: None, strangers: 0 }
    }
}

/// A document as it is held: the version it was stamped with, and its body if it was not deleted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) version: Version,
    pub(crate) body: Option<String>,
}

/// What stands behind a target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) index: String,
    pub(crate) documents: BTreeMap<String, Held>,
    pub(crate) seeded: Option<String>,
    /// Everything older than this is gone, or was never here.
    floor: Version,
}

/// Everything a sink keeps durably.
pub(crate) struct SinkState {
    pub(crate) setup: SinkSetup,
    pub(crate) places: BTreeMap<Target, Place>,
    live: BTreeMap<String, Target>,
    generations: BTreeMap<String, Target>,
    targets: Target,
    /// What was made durable, in order: index, id, version; a deletion has no body.
    pub(crate) applied: Vec<(String, String, Version, Option<String>)>,
    /// What it ever rejected: index and id.
    pub(crate) rejected: BTreeSet<(String, String)>,
    /// Calls that a test may want to see in their order.
    pub(crate) journal: Vec<String>,
    /// What searches find, by index and id.
    pub(crate) shown: BTreeMap<String, BTreeMap<String, String>>,
}

impl SinkState {
    pub(crate) fn new(setup: SinkSetup) -> Self {
        Self {
            setup,
            places: BTreeMap::new(),
            live: BTreeMap::new(),
            generations: BTreeMap::new(),
            targets: 0,
            applied: Vec::new(),
            rejected: BTreeSet::new(),
            journal: Vec::new(),
            shown: BTreeMap::new(),
        }
    }

    /// What stands behind an index's name is found from now on.
    fn show(&mut self, index: &str) {
        self.shown.insert(index.to_owned(), self.content(index));
    }

    fn show_all(&mut self) {
        let live: Vec<String> = self.live.keys().cloned().collect();
        live.iter().for_each(|index| self.show(index));
    }

    /// Whether searches find everything in what is marked seeded.
    fn is_shown(&self) -> bool {
        let marked = self.live.keys().filter(|index| self.seeded(index).is_some());
        marked.into_iter().all(|index| self.shown.get(index) == Some(&self.content(index)))
    }

    fn live(&self, index: &str) -> Option<&Place> {
        self.places.get(self.live.get(index)?)
    }

    /// The history of its mark, without the term.
    pub(crate) fn seeded(&self, index: &str) -> Option<&str> {
        let mark = self.live(index)?.seeded.as_deref()?;
        Some(mark.rsplit_once('#').map_or(mark, |(history, _)| history))
    }

    /// What a reader of the index finds, without the note of the builder.
    pub(crate) fn content(&self, index: &str) -> BTreeMap<String, String> {
        let Some(place) = self.live(index) else { return BTreeMap::new() };
        let text = |body: &String| body.split_once('#').map_or_else(|| body.clone(), |(_, text)| text.to_owned());
        place.documents.iter().filter_map(|(id, held)| Some((id.clone(), text(held.body.as_ref()?)))).collect()
    }

    /// The version a document is durable at, also if only in the generation that will take the live one's place.
    pub(crate) fn durable(&self, index: &str, id: &str) -> Version {
        let generation = self.generations.get(index).and_then(|target| self.places.get(target));
        let places = self.live(index).into_iter().chain(generation);
        places.map(|place| place.documents.get(id).map_or(0, |held| held.version).max(place.floor)).max().unwrap_or(0)
    }

    /// Somebody removes an index behind the host's back.
    pub(crate) fn drop_index(&mut self, index: &str) {
        if let Some(target) = self.live.remove(index) {
            self.places.remove(&target);
        }
        if let Some(target) = self.generations.remove(index) {
            self.places.remove(&target);
        }
    }

    /// Somebody removes an index behind the host's back and makes it anew, with a document of its own.
    pub(crate) fn remake_index(&mut self, index: &str, id: &str, body: &str) {
        self.drop_index(index);
        let target = self.place(index, 0);
        self.live.insert(index.to_owned(), target);
        if let Some(place) = self.places.get_mut(&target) {
            place.documents.insert(id.to_owned(), Held { version: 0, body: Some(body.to_owned()) });
        }
    }

    fn place(&mut self, index: &str, floor: Version) -> Target {
        self.targets += 1;
        let place = Place { index: index.to_owned(), floor, ..Place::default() };
        self.places.insert(self.targets, place);
        self.targets
    }

    fn apply(&mut self, buffered: Buffered) -> std::result::Result<Option<Rejection>, String> {
        let versions = self.setup.versions;
        match buffered {
            Buffered::Clear(target, version) => {
                let Some(place) = self.places.get_mut(&target) else { return Err(format!("clear of target {target}")) };
                place.documents.clear();
                place.floor = version;
            }
            Buffered::Write(target, document) => {
                let Some(place) = self.places.get_mut(&target) else { return Err(format!("write to target {target}")) };
                let Document { id, version, body, .. } = document;
                let body = body.map(|body| String::from_utf8(body).unwrap());
                if body.as_ref().is_some_and(|body| body.contains("poison")) {
                    self.rejected.insert((place.index.clone(), id.clone()));
                    let failure = Failure { class: "poison".to_owned(), reason: "it says so".to_owned() };
                    return Ok(Some(Rejection { target, id, failure }));
                }
                let read = body.as_ref().and_then(|body| body.split_once('#')?.0.parse::<Version>().ok());
                if read.is_some_and(|read| read < version) {
                    return Err(format!("{} {id} was read at {read:?} and is stamped {version}", place.index));
                }
                self.applied.push((place.index.clone(), id.clone(), version, body.clone()));
                if versions && place.documents.get(&id).is_some_and(|held| held.version > version) {
                    return Ok(None);
                }
                place.documents.insert(id, Held { version, body });
            }
        }
        Ok(None)
    }
}

enum Buffered {
    Write(Target, Document),
    Clear(Target, Version),
}

pub(super) struct Sinks {
    pub(super) world: Arc<World>,
    pub(super) incarnation: u64,
    pub(super) name: String,
}

#[async_trait]
impl Sink for Sinks {
    fn name(&self) -> &str {
        &self.name
    }

    async fn open(&self) -> Result<Box<dyn Writer>> {
        let (world, incarnation, name) = (Arc::clone(&self.world), self.incarnation, self.name.clone());
        let mut writing = Writing { world, incarnation, name, buffer: Vec::new(), poisoned: false };
        match writing.gate("open").await? {
            Some(lost) => Err(lost),
            None => Ok(Box::new(writing)),
        }
    }
}

struct Writing {
    world: Arc<World>,
    incarnation: u64,
    name: String,
    buffer: Vec<Buffered>,
    poisoned: bool,
}

impl Writing {
    async fn gate(&mut self, call: &str) -> Result<Option<StageError>> {
        let call = format!("sink.{}.{call}", self.name);
        if self.poisoned {
            self.world.lock().wrong.push(format!("{call} on an instance that had failed"));
        }
        let answer = self.world.gate(self.incarnation, &call).await;
        if !matches!(answer, Ok(None)) {
            self.poisoned = true;
            self.buffer.clear();
        }
        answer
    }

    fn with<R>(&self, f: impl FnOnce(&mut SinkState) -> R) -> R {
        f(self.world.lock().sinks.get_mut(&self.name).unwrap())
    }

    fn wrong(&self, what: String) {
        self.world.lock().wrong.push(format!("sink {}: {what}", self.name));
    }
}

#[async_trait]
impl Writer for Writing {
    fn is_stream(&self) -> bool {
        self.with(|sink| sink.setup.stream)
    }

    async fn ensure_index(&mut self, mapping: &Mapping) -> Result<Ensured> {
        let lost = self.gate("ensure").await?;
        let seen = self.world.lock().store.visible as Version;
        let ensured = self.with(|sink| {
            let target = match sink.live.get(&mapping.index) {
                Some(target) => *target,
                None => {
                    let target = sink.place(&mapping.index, seen);
                    sink.live.insert(mapping.index.clone(), target);
                    target
                }
            };
            let documents = sink.places.get(&target).map(|place| &place.documents);
            let empty = documents.is_none_or(|held| held.values().all(|held| held.body.is_none()));
            Ensured { target, empty: empty || sink.setup.stream }
        });
        lost.map_or(Ok(ensured), Err)
    }

    async fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>> {
        let lost = self.gate("seeded").await?;
        let seeded =
            self.with(|sink| sink.places.get(&target).and_then(|place| place.seeded.as_deref().map(Into::into)));
        lost.map_or(Ok(seeded), Err)
    }

    async fn mark_seeded(&mut self, target: Target, history: &HistoryId) -> Result<()> {
        let lost = self.gate("mark").await?;
        if !self.buffer.is_empty() {
            self.wrong(format!("marked seeded with {} writes that are not flushed", self.buffer.len()));
        }
        self.with(|sink| {
            if let Some(place) = sink.places.get_mut(&target) {
                place.seeded = Some(history.to_string());
                let index = place.index.clone();
                sink.show(&index);
                sink.journal.push(format!("mark {index}"));
            }
        });
        lost.map_or(Ok(()), Err)
    }

    async fn mark_unseeded(&mut self, target: Target) -> Result<()> {
        let lost = self.gate("unmark").await?;
        self.with(|sink| {
            if let Some(place) = sink.places.get_mut(&target) {
                place.seeded = None;
                let index = place.index.clone();
                sink.journal.push(format!("unmark {index}"));
            }
        });
        lost.map_or(Ok(()), Err)
    }

    async fn write(&mut self, documents: Documents) -> Result<()> {
        let lost = self.gate("write").await?;
        for (target, document) in documents.iter() {
            self.buffer.push(Buffered::Write(target, document.clone()));
        }
        if lost.is_some() {
            self.buffer.clear();
        }
        lost.map_or(Ok(()), Err)
    }

    async fn clear(&mut self, target: Target, version: Version) -> Result<()> {
        let lost = self.gate("clear").await?;
        self.buffer.push(Buffered::Clear(target, version));
        if lost.is_some() {
            self.buffer.clear();
        }
        lost.map_or(Ok(()), Err)
    }

    async fn flush(&mut self, caught_up: bool, _: Duration) -> Result<Flushed> {
        // The buffer outlives the gate: what was sent is applied even when the answer is lost.
        let buffer = std::mem::take(&mut self.buffer);
        let lost = self.gate("flush").await?;
        if self.with(|sink| sink.setup.most).is_some_and(|most| buffer.len() > most) {
            return Err(StageError::transient("too much for the time there is"));
        }
        let lethal = |document: &Document| {
            document.body.as_ref().is_some_and(|body| String::from_utf8_lossy(body).contains("lethal"))
        };
        if buffer.iter().any(|one| matches!(one, Buffered::Write(_, document) if lethal(document))) {
            return Err(StageError::Crashed("the flush trapped".to_owned()));
        }
        let (mut rejected, mut wrong) = (Vec::new(), Vec::new());
        self.with(|sink| {
            for buffered in buffer {
                match sink.apply(buffered) {
                    Ok(rejection) => rejected.extend(rejection),
                    Err(what) => wrong.push(what),
                }
            }
            let target = sink.places.keys().next().copied().unwrap_or_default();
            rejected.extend((0..sink.setup.strangers).map(|number| Rejection {
                target,
                id: format!("stranger {number}"),
                failure: Failure { class: "made-up".to_owned(), reason: "nothing".to_owned() },
            }));
            sink.journal.push(format!("flush {caught_up}"));
            if caught_up || !sink.setup.lags {
                sink.show_all();
            }
        });
        let visible = self.with(|sink| sink.is_shown());
        wrong.into_iter().for_each(|what| self.wrong(what));
        lost.map_or(Ok(Flushed { rejected, visible }), Err)
    }

    async fn begin_rebuild(&mut self, mapping: &Mapping, resume: bool) -> Result<Target> {
        if !self.with(|sink| sink.setup.generations) {
            return Err(StageError::Unsupported("a generation".to_owned()));
        }
        let lost = self.gate("begin").await?;
        let seen = self.world.lock().store.visible as Version;
        let target = self.with(|sink| {
            if let Some(begun) = sink.generations.get(&mapping.index).copied() {
                if resume {
                    return begun;
                }
                sink.places.remove(&begun);
            }
            let target = sink.place(&mapping.index, seen);
            sink.generations.insert(mapping.index.clone(), target);
            sink.journal.push(format!("begin {}", mapping.index));
            target
        });
        lost.map_or(Ok(target), Err)
    }

    async fn promote(&mut self, target: Target) -> Result<()> {
        let lost = self.gate("promote").await?;
        if !self.buffer.is_empty() {
            self.wrong(format!("promoted with {} writes that are not flushed", self.buffer.len()));
        }
        let done = self.with(|sink| {
            let index = sink.places.get(&target)?.index.clone();
            if sink.live.get(&index) != Some(&target) {
                sink.generations.remove(&index);
                let old = sink.live.insert(index.clone(), target);
                old.map(|old| sink.places.remove(&old));
            }
            sink.show(&index);
            sink.journal.push(format!("promote {index}"));
            Some(())
        });
        if done.is_none() {
            self.wrong(format!("promoted target {target}, which is not there"));
        }
        lost.map_or(Ok(()), Err)
    }

    async fn abandon(&mut self, target: Target) -> Result<()> {
        let lost = self.gate("abandon").await?;
        self.with(|sink| {
            if let Some(place) = sink.places.get(&target)
                && sink.generations.get(&place.index) == Some(&target)
            {
                let index = place.index.clone();
                sink.generations.remove(&index);
                sink.places.remove(&target);
                sink.journal.push(format!("abandon {index}"));
            }
        });
        lost.map_or(Ok(()), Err)
    }
}
