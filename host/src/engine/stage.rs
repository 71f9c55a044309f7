//! The traits the engine is written against, and their whole contract. The engine does not know what implements one: a
//! component, a native library, or a few lines of a test.
//!
//! A stage is *opened* many times, and an opened instance is *used* by one caller at a time. After any error other than
//! [`StageError::Unsupported`] the engine drops the instance and opens another; every call is idempotent. The functions
//! follow the contract in `wit/`; what is said there is not repeated here.

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
    /// Opens an instance for the live capture; each opening is an epoch.
    async fn capture(&self, interest: &[TableInterest]) -> Result<Box<dyn Capture>>;
    /// Opens an instance that reads one range at a time.
    async fn snapshot(&self, interest: &[TableInterest]) -> Result<Box<dyn Snapshot>>;
}

/// Whether what the host remembers still fits what the source finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// The source keeps nothing to resume from: `prepare` begins a new history.
    Fresh,
    /// The source can still deliver everything after the given position.
    Continuous,
    /// The source cannot deliver everything after the given position, and why.
    Lost(String),
}

/// What [`Capture::inspect`] finds.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The history that would be resumed.
    pub history: Option<HistoryId>,
    /// Whether that history can be resumed.
    pub continuity: Continuity,
    /// Followed tables whose changes the store does not record at present; `prepare` makes it record them again.
    pub unrecorded: Vec<TableNumber>,
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
    /// What the source keeps in the store (a slot, a publication), a line each for a person.
    pub resources: Vec<String>,
}

/// What [`Capture::prepare`] answers.
#[derive(Clone, Debug)]
pub enum Preparation {
    /// The source is ready.
    Ready(Prepared),
    /// Not ready yet, and why; `prepare` is to be called again on this instance.
    Pending(String),
}

/// The arguments of [`Capture::poll`].
#[derive(Clone, Debug)]
pub struct Poll {
    /// Everything up to this is durable in every sink.
    pub confirmed: Option<Position>,
    /// About how many events to return at most; 0: report the confirmed position and keep the connection alive, read nothing.
    pub max: u32,
    /// About how many bytes of events to return at most.
    pub max_bytes: u32,
    /// The longest wait for a first event; at most a second.
    pub wait: Duration,
}

/// One opening of a source for its live changes.
#[async_trait]
pub trait Capture: Send {
    /// A name for this store and this cursor on it, fit for a file name.
    async fn identity(&mut self) -> Result<String>;
    /// Finds out whether changes after `resume` can still be had; changes nothing.
    async fn inspect(&mut self, resume: Option<&Position>) -> Result<Inspection>;
    /// Creates what resuming needs (a slot, a publication), or finds that it exists.
    async fn prepare(&mut self, resume: Option<&Position>) -> Result<Preparation>;
    /// The next events, in commit order, visible to every new read.
    async fn poll(&mut self, poll: Poll) -> Result<Vec<Event>>;
    /// A position at or past every transaction committed before this call, that `poll` will reach.
    async fn head(&mut self) -> Result<Position>;
    /// The order of two positions of one history.
    async fn compare(&mut self, a: &Position, b: &Position) -> Result<Ordering>;
    /// Reads a position as `print` or the store's own tools write it, in the history that was inspected or prepared last.
    async fn parse(&mut self, text: &str) -> Result<Position>;
    /// A position for a person.
    async fn print(&mut self, position: &Position) -> Result<String>;
    /// How many bytes of the source's log are not confirmed yet, if the source can tell.
    async fn lag(&mut self) -> Result<Option<u64>>;
    /// Confirms once more and ends the stream.
    async fn close(&mut self, confirmed: Option<&Position>) -> Result<()>;
    /// Removes everything that `prepare` created, and returns a line for each.
    async fn discard(&mut self) -> Result<Vec<String>>;
}

/// A table divided into ranges.
#[derive(Clone, Debug)]
pub struct Division {
    /// The ranges; together they hold every row.
    pub ranges: Vec<Vec<u8>>,
    /// About how many rows there are.
    pub estimated_rows: Option<u64>,
}

/// A page of keys of a range.
#[derive(Clone, Debug)]
pub struct Page {
    /// The keys.
    pub keys: Vec<Key>,
    /// Where the next page begins; none: the range is read to its end.
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

/// A part of a shared list: a batch is given to several instances, and given again after a failure, without a copy.
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
    /// The cursor for [`Builder::resolve_more`], where more documents are touched.
    pub more: Option<Vec<u8>>,
    /// Indexes whose documents must all be built again.
    pub rebuild: Vec<IndexNumber>,
    /// Indexes whose documents are all gone; `ids` come after.
    pub clear: Vec<IndexNumber>,
    /// The links that the changes ended, under a number: to be removed ([`Mutation::RemoveLinks`]) in the batch that stores the
    /// confirmation of these changes.
    pub link_removals: Option<u64>,
}

/// Says which documents a change touches, and builds them. It manages its instances itself, may be called from several tasks
/// at once, and after an error the next call uses a fresh instance.
#[async_trait]
pub trait Builder: Send + Sync {
    /// The instance name, for messages.
    fn name(&self) -> &str;
    /// How many calls of `build_many` can run at the same time.
    fn instances(&self) -> usize;
    /// Opens an instance, if none is open, and returns what the builder offers.
    async fn describe(&self) -> Result<Description>;
    /// Which documents a whole batch of changes touches.
    async fn resolve(&self, changes: Slice<Change>) -> Result<Affected>;
    /// The next documents that a batch touches, at most `max`.
    async fn resolve_more(&self, cursor: Vec<u8>, max: u32) -> Result<Affected>;
    /// Which documents change because the columns of these tables changed.
    async fn resolve_table_changes(&self, tables: &[TableNumber]) -> Result<Affected>;
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
    /// How many rows were read for the page.
    pub rows: u64,
    /// Where the next page begins; none: the range is read to its end.
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

/// A store that documents are written to: opens instances.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The instance name (`[sinks.NAME]`), for messages and for what the host remembers of it.
    fn name(&self) -> &str;
    /// Opens an instance. Only one is in use at a time.
    async fn open(&self) -> Result<Box<dyn Writer>>;
}

/// An index that exists in a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ensured {
    /// The number by which documents for the index name it.
    pub target: Target,
    /// Whether the index holds no document at all.
    pub empty: bool,
}

/// Documents for one sink, shared with the other sinks, and where each goes.
#[derive(Clone, Debug)]
pub struct Documents {
    documents: Arc<[Document]>,
    part: Range<usize>,
    /// By index number: the targets its documents go to (none, one, or the live one and the generation beside it).
    targets: Arc<[Vec<Target>]>,
}

impl Documents {
    /// Documents and, by index number, the targets they go to.
    pub fn new(documents: Arc<[Document]>, targets: Arc<[Vec<Target>]>) -> Self {
        Self { part: 0..documents.len(), documents, targets }
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

    /// Some of them.
    pub fn only(&self, part: Range<usize>) -> Self {
        let start = self.part.start;
        Self { part: start + part.start..start + part.end, ..self.clone() }
    }

    /// Each document with each of its targets, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Target, &Document)> {
        self.documents.get(self.part.clone()).unwrap_or_default().iter().flat_map(|document| {
            let targets = self.targets.get(document.index as usize).map_or(&[][..], Vec::as_slice);
            targets.iter().map(move |target| (*target, document))
        })
    }
}

/// The result of a flush: everything written is durable, except what was rejected.
#[derive(Clone, Debug)]
pub struct Flushed {
    /// Documents that the sink will never accept.
    pub rejected: Vec<Rejection>,
    /// Whether searches find everything that was ever written to indexes that are marked seeded.
    pub visible: bool,
}

impl Flushed {
    /// The result of a sink where every durable document is visible to searches.
    pub fn visible_at_once(rejected: Vec<Rejection>) -> Self {
        Self { rejected, visible: true }
    }
}

/// One opening of a sink. Its buffer is void after any error.
#[async_trait]
pub trait Writer: Send {
    /// Whether documents cannot be read back, as on standard output: then an empty index says nothing.
    fn is_stream(&self) -> bool {
        false
    }
    /// Creates the index if it does not exist.
    async fn ensure_index(&mut self, mapping: &Mapping) -> Result<Ensured>;
    /// The seed mark of the index, if it has one.
    async fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>>;
    /// Stores the seed mark, durably: a whole snapshot has been flushed.
    async fn mark_seeded(&mut self, target: Target, history: &HistoryId) -> Result<()>;
    /// Removes the seed mark, durably.
    async fn mark_unseeded(&mut self, target: Target) -> Result<()>;
    /// Accepts documents; may buffer them.
    async fn write(&mut self, documents: Documents) -> Result<()>;
    /// Removes every document written before this, at its place in the order.
    async fn clear(&mut self, target: Target, version: Version) -> Result<()>;
    /// Makes everything written so far durable, except what it reports as rejected; with `caught_up` also visible to searches.
    async fn flush(&mut self, caught_up: bool, deadline: Duration) -> Result<Flushed>;
    /// Begins a generation beside the live one; with `resume` continues one that was begun earlier.
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
    /// Removes the links that a batch of changes ended ([`Affected::link_removals`]), but for those that a build has recorded
    /// again since.
    RemoveLinks(u64),
    /// Removes the links of all relations but these.
    RetainRelations(Vec<String>),
}

/// What the engine stores over restarts: the source's position, the progress of each backfill, the quarantine. Ordered by key.
#[async_trait]
pub trait State: Send + Sync {
    /// The value of a key.
    async fn get(&self, key: &str) -> std::result::Result<Option<Vec<u8>>, StateError>;
    /// All keys that start with `prefix`, with their values, in order.
    async fn scan(&self, prefix: &str) -> std::result::Result<Vec<(String, Vec<u8>)>, StateError>;
    /// Applies all of it or nothing; durable when it returns.
    async fn apply(&self, mutations: Vec<Mutation>) -> std::result::Result<(), StateError>;
}

/// Why the host's state could not be read or written.
pub type StateError = Arc<dyn std::error::Error + Send + Sync>;
