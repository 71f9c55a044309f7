//! The roles as traits. Each function's contract stands at its namesake in `wit/`.

use crate::{
    Affected, Change, Cursor, Division, Document, DocumentId, Ensured, Error, Finding, Found, HistoryId, IndexNumber,
    IndexRequest, Inspection, Key, Mapping, OfferedIndex, Outcome, Page, PollRequest, Position, Preparation, Range,
    RangedPage, Relation, Report, Result, Row, Scope, Settings, StoredIndex, TableDescription, TableInterest,
    TableName, TableNumber, Target, Version,
};

/// A store whose changes can be followed. See `wit/source.wit`.
pub trait Source: Sized + 'static {
    /// Opens a connection, changes nothing.
    fn open(settings: Settings, interest: Vec<TableInterest>) -> Result<Self>;
    /// A name for this store and this cursor on it, fit for a file name.
    fn identity(&mut self) -> Result<String>;
    /// Looks whether `resume` can be gone on from.
    fn inspect(&mut self, resume: Option<Position>) -> Result<Inspection>;
    /// Makes what resuming needs, or finds it made.
    fn prepare(&mut self, resume: Option<Position>) -> Result<Preparation>;
    /// The next events, in commit order.
    fn poll(&mut self, request: PollRequest) -> Result<Vec<crate::Event>>;
    /// A position at or past every transaction committed before this call.
    fn head(&mut self) -> Result<Position>;
    /// How two positions of one history stand: negative, zero, positive.
    fn compare(&mut self, a: Position, b: Position) -> Result<i32>;
    /// Reads what `print` wrote.
    fn parse(&mut self, text: String) -> Result<Position>;
    /// A position for a person.
    fn print(&mut self, position: Position) -> Result<String>;
    /// How many bytes are not confirmed yet, if it can tell.
    fn lag(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }
    /// Confirms once more and ends the stream.
    fn close(&mut self, confirmed: Option<Position>) -> Result<()> {
        let _ = confirmed;
        Ok(())
    }
    /// Removes everything that `prepare` made, and says what.
    fn discard(&mut self) -> Result<Vec<String>> {
        Err(Error::Unsupported)
    }
}

/// Reading the keys that are already there. See `wit/snapshot.wit`.
pub trait Snapshot: Sized + 'static {
    /// Opens a connection.
    fn open(settings: Settings, interest: Vec<TableInterest>) -> Result<Self>;
    /// Divides a table into at most `parts` ranges.
    fn split(&mut self, table: TableNumber, parts: u32) -> Result<Division>;
    /// Starts reading a range, from a cursor or from its start.
    fn begin(&mut self, table: TableNumber, range: Range, cursor: Option<Cursor>) -> Result<()>;
    /// The next keys, at most `max`.
    fn next(&mut self, max: u32) -> Result<Page>;
}

/// Reading rows by key and by relation. See `wit/reader.wit`.
pub trait Reader: Sized + 'static {
    /// Opens a connection.
    fn open(settings: Settings) -> Result<Self>;
    /// The columns of a table's primary key, in order.
    fn primary_key(&mut self, table: TableName) -> Result<Vec<String>>;
    /// Starts a new moment.
    fn begin(&mut self) -> Result<()>;
    /// Rows by key: the key columns, then `columns`.
    fn rows(&mut self, table: TableName, columns: Vec<String>, keys: Vec<Key>) -> Result<Vec<Row>>;
    /// Rows by relation: the `by` columns, then `columns`.
    fn related(&mut self, relation: Relation) -> Result<Vec<Row>>;
}

/// Reading several relations at once, on the instance that the [`Reader`] opened. See `wit/batch-reader.wit`.
pub trait BatchReader: Reader {
    /// What there is to know of tables; `None` for one that does not exist.
    fn describe(&mut self, tables: Vec<TableName>) -> Result<Vec<Option<TableDescription>>>;
    /// The rows of several relations, as [`Reader::related`] gives them.
    fn related_many(&mut self, relations: Vec<Relation>) -> Result<Vec<Vec<Row>>>;
}

/// Says which documents a change touches, and builds them. See `wit/builder.wit`.
pub trait Builder: Sized + 'static {
    /// Opens a connection if one is needed, reads the schemas.
    fn open(settings: Settings, indexes: Vec<IndexRequest>) -> Result<Self>;
    /// The mappings, in an order that gives indexes their numbers.
    fn mappings(&mut self) -> Result<Vec<Mapping>>;
    /// One scope an index.
    fn scopes(&mut self) -> Result<Vec<Scope>>;
    /// The tables whose changes are wanted, in an order that gives tables their numbers.
    fn interest(&mut self) -> Result<Vec<TableInterest>>;
    /// Which documents a whole batch of changes touches.
    fn resolve(&mut self, changes: Vec<Change>) -> Result<Affected>;
    /// Goes on where `resolve` left off. A builder that never answers `more` need not write it.
    fn resolve_more(&mut self, cursor: Cursor, max: u32) -> Result<Affected> {
        let _ = (cursor, max);
        Err(Error::Unsupported)
    }
    /// Which documents change because these tables changed their shape. A builder that never looks at shapes need not
    /// write it.
    fn resolve_table_changes(&mut self, tables: Vec<TableNumber>) -> Result<Affected> {
        let _ = tables;
        Ok(affected(Vec::new()))
    }
    /// Builds documents: one outcome an id, in the same order.
    fn build_many(&mut self, ids: Vec<DocumentId>) -> Result<Vec<Outcome>>;
}

/// An answer of [`Builder::resolve`] that names documents and nothing else.
pub fn affected(ids: Vec<DocumentId>) -> Affected {
    Affected {
        ids,
        more: None,
        rebuild: Vec::new(),
        clear: Vec::new(),
        ended_links: Vec::new(),
        emptied_relations: Vec::new(),
        extra: None,
    }
}

/// Builds whole ranges of a root table, on the instance that the [`Builder`] opened. See `wit/range-builder.wit`.
pub trait RangeBuilder: Builder {
    /// The next documents of a range.
    fn build_range(
        &mut self,
        index: IndexNumber,
        range: Range,
        cursor: Option<Cursor>,
        max: u32,
        max_bytes: u32,
    ) -> Result<RangedPage>;
}

/// Builds documents from root rows and from what it looks up with [`crate::lookups::read`]; the host finds out which documents a
/// change touches. See `wit/tracked-builder.wit`.
pub trait TrackedBuilder: Sized + 'static {
    /// Reads the settings. Reads no rows.
    fn open(settings: Settings) -> Result<Self>;
    /// The indexes on offer, in an order that gives them their numbers.
    fn indexes(&mut self) -> Result<Vec<OfferedIndex>>;
    /// Builds the documents of these root rows of an index: one outcome a row, in the same order.
    fn build_many(&mut self, index: IndexNumber, roots: Vec<Row>) -> Result<Vec<Outcome>>;
}

/// Takes the indexes that the configuration names, on the instance that the [`TrackedBuilder`] opened. See `wit/requested-indexes.wit`.
pub trait RequestedIndexes: TrackedBuilder {
    /// Takes the indexes, and names the tables that it wants described.
    fn request(&mut self, indexes: Vec<IndexRequest>) -> Result<Vec<TableName>>;
    /// What the source says of these tables, in the same order; `None` for one that does not exist.
    fn describe(&mut self, tables: Vec<Option<TableDescription>>) -> Result<()>;
}

/// What a [`Diagnosis`] is asked to look at.
#[derive(Debug, Clone)]
pub struct Examination {
    /// What the plugin would build; empty: what it finds; `None`: another plugin builds.
    pub indexes: Option<Vec<IndexRequest>>,
    /// What another plugin's builder would read.
    pub tables: Vec<TableInterest>,
    /// Whether anything outside may be asked.
    pub online: bool,
}

/// Looks at what the plugin would work with, without starting. A plugin need not have one. See `wit/diagnosis.wit`.
pub trait Diagnosis: 'static {
    /// Everything that is found. Changes nothing.
    fn examine(settings: Settings, of: Examination) -> Result<Vec<Finding>>;
}

/// Looks at the store that a sink would write to, without starting. A sink need not have one. See `wit/sink-diagnosis.wit`.
pub trait SinkDiagnosis: 'static {
    /// Everything that is found about the store and about the indexes of these mappings. Changes nothing.
    fn examine(settings: Settings, mappings: Vec<Mapping>) -> Result<Vec<Finding>>;
}

/// Says what a sink holds, and removes it. A sink need not have one. See `wit/inventory.wit`.
pub trait Inventory: 'static {
    /// Everything that is held for a deployment. Changes nothing.
    fn list(settings: Settings, prefix: String) -> Result<Vec<StoredIndex>>;
    /// Removes one by its name; what is neither left over nor replaced only with `force`.
    fn remove(settings: Settings, prefix: String, name: String, force: bool) -> Result<()>;
}

/// Searching what a sink holds; on no instance. See `wit/search.wit`.
pub trait Search: 'static {
    /// The best documents of a query.
    fn query(settings: Settings, index: String, query: String, limit: u32, offset: u32) -> Result<Found>;
}

/// A place that documents are written to. See `wit/sink.wit`.
pub trait Sink: Sized + 'static {
    /// Opens what is needed.
    fn open(settings: Settings) -> Result<Self>;
    /// Creates the index if it is absent, and says what it found.
    fn ensure_index(&mut self, mapping: Mapping) -> Result<Ensured>;
    /// Under which history the index was marked seeded.
    fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>>;
    /// Remembers, durably, that a whole snapshot has been flushed.
    fn mark_seeded(&mut self, target: Target, history: HistoryId) -> Result<()>;
    /// Forgets it, durably.
    fn mark_unseeded(&mut self, target: Target) -> Result<()>;
    /// Takes documents; may buffer them.
    fn write(&mut self, documents: Vec<Document>) -> Result<()>;
    /// Removes every document written before this, at its place in the order.
    fn clear(&mut self, target: Target, version: Version) -> Result<()>;
    /// Makes everything written so far durable.
    fn flush(&mut self, caught_up: bool, deadline_ms: u64) -> Result<Report>;
    /// Starts a generation beside the live one.
    fn begin_rebuild(&mut self, mapping: Mapping, resume: bool) -> Result<Target> {
        let _ = (mapping, resume);
        Err(Error::Unsupported)
    }
    /// Puts a generation in the place of the live one.
    fn promote(&mut self, target: Target) -> Result<()> {
        let _ = target;
        Err(Error::Unsupported)
    }
    /// Removes a generation that will not be finished.
    fn abandon(&mut self, target: Target) -> Result<()> {
        let _ = target;
        Err(Error::Unsupported)
    }
}
