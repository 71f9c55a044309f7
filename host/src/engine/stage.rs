//! The traits the engine is written against, and their whole contract. What stands behind one (a component, a native
//! library, a few lines of a test) is nobody's business here.
//!
//! A stage is *opened* many times and an opened instance is *used* by one caller at a time. After any error other than
//! [`StageError::Unsupported`] the engine drops the instance and opens another; everything is idempotent. The functions
//! follow the contract in `wit/`; what is said there is not said again.

use std::cmp::Ordering;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::engine::error::StageError;
use crate::model::{
    Change, Document, DocumentId, Event, HistoryId, IndexNumber, Key, Mapping, Outcome, Position, Rejection, Scope,
    TableInterest, TableNumber, Target, Version,
};

/// What a stage's functions return.
pub type Result<T> = std::result::Result<T, StageError>;

/// A store whose changes can be followed: opens instances. Opening has no effect outside.
#[async_trait]
pub trait Source: Send + Sync {
    /// The instance name, for messages.
    fn name(&self) -> &str;
    /// Opens an instance for the live capture: an epoch.
    async fn capture(&self, interest: &[TableInterest]) -> Result<Box<dyn Capture>>;
    /// Opens an instance that reads one range at a time.
    async fn snapshot(&self, interest: &[TableInterest]) -> Result<Box<dyn Snapshot>>;
}

/// Whether what the host remembers still fits what the source finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// There is nothing to resume: `prepare` begins a new history.
    Fresh,
    /// Everything after the given position can still be had.
    Continuous,
    /// It cannot, and why.
    Lost(String),
}

/// What [`Capture::inspect`] found.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The history that would be resumed.
    pub history: Option<HistoryId>,
    /// Whether it can be.
    pub continuity: Continuity,
    /// Watched tables whose changes are not recorded at present, until `prepare` sees to it.
    pub missed: Vec<TableNumber>,
}

/// A source that is ready to be polled.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The history that is now followed.
    pub history: HistoryId,
    /// No change before this will come.
    pub position: Position,
    /// The version there.
    pub version: Version,
    /// What the source keeps outside, a line each for a person.
    pub holds: Vec<String>,
}

/// What [`Capture::prepare`] answers.
#[derive(Clone, Debug)]
pub enum Preparation {
    /// Done.
    Ready(Prepared),
    /// Not yet, and why; to be called again on this instance.
    Pending(String),
}

/// What a poll is asked for.
#[derive(Clone, Debug)]
pub struct Poll {
    /// Everything up to this is durable in every sink.
    pub confirmed: Option<Position>,
    /// At most about so many events; 0: only report and keep alive.
    pub max: u32,
    /// At most about so many bytes.
    pub max_bytes: u32,
    /// The longest wait for a first event; at most a second.
    pub wait: Duration,
}

/// One opening of a source for its live changes.
#[async_trait]
pub trait Capture: Send {
    /// A name for this store and this cursor on it, fit for a file name.
    async fn identity(&mut self) -> Result<String>;
    /// Looks whether `resume` can be gone on from; changes nothing.
    async fn inspect(&mut self, resume: Option<&Position>) -> Result<Inspection>;
    /// Makes what resuming needs, or finds it made.
    async fn prepare(&mut self, resume: Option<&Position>) -> Result<Preparation>;
    /// The next events, in commit order, visible to every new read.
    async fn poll(&mut self, poll: Poll) -> Result<Vec<Event>>;
    /// A position at or past every transaction committed before this call, that `poll` will reach.
    async fn head(&mut self) -> Result<Position>;
    /// How two positions stand.
    async fn compare(&mut self, a: &Position, b: &Position) -> Result<Ordering>;
    /// Reads what `print` wrote, or what the store's own tools print, of the history that was inspected or prepared last.
    async fn parse(&mut self, text: &str) -> Result<Position>;
    /// A position for a person.
    async fn print(&mut self, position: &Position) -> Result<String>;
    /// How many bytes are not confirmed yet, if it can tell.
    async fn lag(&mut self) -> Result<Option<u64>>;
    /// Confirms once more and ends the stream.
    async fn close(&mut self, confirmed: Option<&Position>) -> Result<()>;
    /// Removes everything that `prepare` made, and says what.
    async fn discard(&mut self) -> Result<Vec<String>>;
}

/// How a table divides.
#[derive(Clone, Debug)]
pub struct Division {
    /// The parts; together they hold every row.
    pub ranges: Vec<Vec<u8>>,
    /// About how many rows there are.
    pub estimated_rows: Option<u64>,
}

/// Some keys of a range.
#[derive(Clone, Debug)]
pub struct Page {
    /// The keys.
    pub keys: Vec<Key>,
    /// Where to go on; none when the range is done.
    pub cursor: Option<Vec<u8>>,
}

/// One opening of a source for what is already in it.
#[async_trait]
pub trait Snapshot: Send {
    /// Divides a table into at most `parts` ranges.
    async fn split(&mut self, table: TableNumber, parts: u32) -> Result<Division>;
    /// Starts reading a range, from a cursor or from its start.
    async fn begin(&mut self, table: TableNumber, range: &[u8], cursor: Option<&[u8]>) -> Result<()>;
    /// The next keys, at most `max`.
    async fn next(&mut self, max: u32) -> Result<Page>;
}

/// What a builder offers; the same at every opening.
#[derive(Clone, Debug)]
pub struct Description {
    /// The mappings, which give indexes their numbers. Names are without the deployment's prefix.
    pub mappings: Vec<Mapping>,
    /// One scope an index.
    pub scopes: Vec<Scope>,
    /// The tables whose changes are wanted, which gives tables their numbers.
    pub interest: Vec<TableInterest>,
}

/// A part of a shared list, so that a batch can be handed to several instances, and handed again, without copying it.
#[derive(Clone, Debug)]
pub struct Slice<T> {
    all: Arc<Vec<T>>,
    part: Range<usize>,
}

impl<T> Slice<T> {
    /// A part of a list; what lies outside the list is left out.
    pub fn new(all: Arc<Vec<T>>, part: Range<usize>) -> Self {
        let end = part.end.min(all.len());
        Self { part: part.start.min(end)..end, all }
    }
}

impl<T> From<Vec<T>> for Slice<T> {
    fn from(all: Vec<T>) -> Self {
        Self { part: 0..all.len(), all: Arc::new(all) }
    }
}

impl<T> Deref for Slice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.all.get(self.part.clone()).unwrap_or_default()
    }
}

/// What a batch of changes touches.
#[derive(Clone, Debug, Default)]
pub struct Affected {
    /// The documents, each once, in the order in which they were first touched.
    pub ids: Vec<DocumentId>,
    /// There are more.
    pub more: Option<Vec<u8>>,
    /// Indexes whose documents must all be built again.
    pub rebuild: Vec<IndexNumber>,
    /// Indexes whose documents are all gone; `ids` come after.
    pub clear: Vec<IndexNumber>,
    /// What the changes ended among the remembered links, under a number: to be removed ([`Mutation::Forget`]) together with
    /// storing the confirmation of these changes.
    pub ended: Option<u64>,
}

/// Says which documents a change touches, and builds them. Shared: its instances are its own affair, it may be called
/// from several tasks at once, and after an error the next call finds a fresh instance.
#[async_trait]
pub trait Builder: Send + Sync {
    /// The instance name, for messages.
    fn name(&self) -> &str;
    /// How many calls of `build_many` can be served side by side.
    fn instances(&self) -> usize;
    /// Opens what is needed and says what it offers.
    async fn describe(&self) -> Result<Description>;
    /// Which documents a whole batch of changes touches.
    async fn resolve(&self, changes: Slice<Change>) -> Result<Affected>;
    /// Goes on where `resolve` left off, with at most `max` documents.
    async fn resolve_more(&self, cursor: Vec<u8>, max: u32) -> Result<Affected>;
    /// Which documents change because these tables are no longer shaped as they were.
    async fn reshaped(&self, tables: &[TableNumber]) -> Result<Affected>;
    /// Builds documents from what is in the store now: one outcome an id, in the same order.
    async fn build_many(&self, ids: Slice<DocumentId>) -> Result<Vec<Outcome>>;
    /// Opens an instance that builds whole ranges; [`StageError::Unsupported`] where only keys will do.
    async fn ranges(&self) -> Result<Box<dyn RangeBuilder>>;
}

/// Some documents of a range.
#[derive(Clone, Debug)]
pub struct RangedPage {
    /// The documents, by the key of their root row.
    pub documents: Vec<(Key, Outcome)>,
    /// How many rows were read for it.
    pub rows: u64,
    /// Where to go on; none when the range is done.
    pub cursor: Option<Vec<u8>>,
}

/// One opening of a builder for whole ranges.
#[async_trait]
pub trait RangeBuilder: Send {
    /// The next documents of a range that [`Snapshot::split`] made of the index's root table.
    async fn build_range(
        &mut self,
        index: IndexNumber,
        range: &[u8],
        cursor: Option<&[u8]>,
        max: u32,
        max_bytes: u32,
    ) -> Result<RangedPage>;
}

/// A place that documents are written to: opens instances.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The instance name (`[sinks.NAME]`), for messages and for what the host remembers of it.
    fn name(&self) -> &str;
    /// Opens an instance. Only one is in use at a time.
    async fn open(&self) -> Result<Box<dyn Writer>>;
}

/// An index as a sink found or made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ensured {
    /// What documents for it must name.
    pub target: Target,
    /// Whether it holds no document at all.
    pub empty: bool,
}

/// Documents for one sink, shared with the other sinks, and where each goes.
#[derive(Clone, Debug)]
pub struct Documents {
    documents: Arc<[Document]>,
    part: Range<usize>,
    /// By index number: the targets its documents go to (none, one, or the live one and the generation beside it).
    routes: Arc<[Vec<Target>]>,
}

impl Documents {
    /// Documents and, by index number, the targets they go to.
    pub fn new(documents: Arc<[Document]>, routes: Arc<[Vec<Target>]>) -> Self {
        Self { part: 0..documents.len(), documents, routes }
    }

    /// The same in parts of about `bytes` each, in order; a document larger than that is a part alone.
    pub fn parts(self, bytes: usize) -> Vec<Self> {
        let (mut parts, mut start, mut size) = (Vec::new(), self.part.start, 0);
        for (at, document) in self.documents.iter().enumerate().take(self.part.end).skip(self.part.start) {
            if at > start && size + document.size() > bytes {
                parts.push(Self { part: start..at, ..self.clone() });
                (start, size) = (at, 0);
            }
            size += document.size();
        }
        parts.push(Self { part: start..self.part.end, ..self });
        parts
    }

    /// Each document with each of its targets, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Target, &Document)> {
        self.documents.get(self.part.clone()).unwrap_or_default().iter().flat_map(|document| {
            let targets = self.routes.get(document.index as usize).map_or(&[][..], Vec::as_slice);
            targets.iter().map(move |target| (*target, document))
        })
    }
}

/// What a flush did: everything is durable but for what it rejected.
#[derive(Clone, Debug)]
pub struct Flushed {
    /// What will never be taken.
    pub rejected: Vec<Rejection>,
    /// Searches find everything that was written to indexes that are marked seeded, whenever it was written.
    pub visible: bool,
}

impl Flushed {
    /// Of a sink where what is durable is found.
    pub fn visibly(rejected: Vec<Rejection>) -> Self {
        Self { rejected, visible: true }
    }
}

/// One opening of a sink. Its buffer is void after any error.
#[async_trait]
pub trait Writer: Send {
    /// Whether what is written goes by and cannot be found again, as on standard output: then being empty says nothing.
    fn is_stream(&self) -> bool {
        false
    }
    /// Creates the index if it is absent, and says what it found.
    async fn ensure_index(&mut self, mapping: &Mapping) -> Result<Ensured>;
    /// Under which history the index was marked seeded.
    async fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>>;
    /// Remembers, durably, that a whole snapshot has been flushed.
    async fn mark_seeded(&mut self, target: Target, history: &HistoryId) -> Result<()>;
    /// Forgets it, durably.
    async fn mark_unseeded(&mut self, target: Target) -> Result<()>;
    /// Takes documents; may buffer them.
    async fn write(&mut self, documents: Documents) -> Result<()>;
    /// Removes every document written before this, at its place in the order.
    async fn clear(&mut self, target: Target, version: Version) -> Result<()>;
    /// Makes everything written so far durable, but for what it reports as rejected; and found by searches, when it is
    /// `caught_up`.
    async fn flush(&mut self, caught_up: bool, deadline: Duration) -> Result<Flushed>;
    /// Starts a generation beside the live one, or with `resume` goes on with one that was begun.
    async fn begin_rebuild(&mut self, mapping: &Mapping, resume: bool) -> Result<Target>;
    /// Puts a generation in the place of the live one.
    async fn promote(&mut self, target: Target) -> Result<()>;
    /// Removes a generation that will not be finished.
    async fn abandon(&mut self, target: Target) -> Result<()>;
}

/// One change of a state batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Sets a key to a value.
    Put(String, Vec<u8>),
    /// Removes a key; one that is not there is no error.
    Delete(String),
    /// Removes the links that a batch ended ([`Affected::ended`]), but for those that a build has remembered since.
    Forget(u64),
    /// Forgets the links of all relations but these.
    Retain(Vec<String>),
}

/// What the engine itself remembers over restarts: where it was, how far each seed is, the quarantine. Ordered by key.
#[async_trait]
pub trait State: Send + Sync {
    /// The value of a key.
    async fn get(&self, key: &str) -> std::result::Result<Option<Vec<u8>>, StateError>;
    /// All keys that start with `prefix`, with their values, in order.
    async fn scan(&self, prefix: &str) -> std::result::Result<Vec<(String, Vec<u8>)>, StateError>;
    /// Applies all of it or nothing; durable when it returns.
    async fn apply(&self, mutations: Vec<Mutation>) -> std::result::Result<(), StateError>;
}

/// Why the state could not be read or written.
pub type StateError = Arc<dyn std::error::Error + Send + Sync>;
