//! What a source hands out.

use std::fmt;
use std::sync::Arc;

use super::value::{Key, Row};

/// A table, always with its schema: two schemas may hold tables of one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// The schema, unquoted.
    pub schema: String,
    /// The table, unquoted.
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A table by its place in the builder's interest, from 0.
pub type TableNumber = u32;

/// A number that grows with the source's history; comparable only within one.
pub type Version = u64;

/// Names one unbroken history of a source.
pub type HistoryId = Arc<str>;

/// Where in a source's history something stands: opaque to everybody but the source.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Position(Arc<[u8]>);

impl Position {
    /// Wraps the bytes that a source made.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The source's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Inserted or updated.
    Upsert,
    /// Deleted.
    Delete,
    /// Every row of the table was removed at once.
    Truncate,
}

/// One row's change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which table.
    pub table: TableNumber,
    /// What happened.
    pub op: Op,
    /// The row's key; empty for a truncate.
    pub key: Key,
    /// The interest's link columns before, where known.
    pub before: Option<Row>,
    /// The interest's link columns after, where known.
    pub after: Option<Row>,
    /// The version of the transaction that made it.
    pub version: Version,
    /// The columns that the update changed, as places in the interest's `reads`, where the source says so.
    pub changed: Option<Vec<u32>>,
    /// Room to grow; passed on as it is.
    pub extra: Option<String>,
}

impl Change {
    /// About how many bytes it occupies, for limits of size.
    pub fn size(&self) -> usize {
        let row = |row: &Option<Row>| row.iter().flatten().map(super::Value::size).sum::<usize>();
        size_of::<Self>()
            + self.key.size()
            + row(&self.before)
            + row(&self.after)
            + self.changed.as_ref().map_or(0, |places| places.len() * size_of::<u32>())
            + self.extra.as_ref().map_or(0, String::len)
    }
}

/// Everything before this is whole transactions.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Where the source can resume once everything before is durable.
    pub position: Position,
    /// The version here.
    pub version: Version,
    /// When the last transaction before it was committed, in microseconds since 1970, if known.
    pub committed_at: Option<u64>,
}

/// A table's shape is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct TableChanged {
    /// Which table.
    pub table: TableNumber,
    /// What changed, for a person.
    pub detail: String,
}

/// What a source hands out, in commit order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A row changed.
    Change(Change),
    /// Everything before is whole transactions.
    Checkpoint(Checkpoint),
    /// A table's shape changed.
    TableChanged(TableChanged),
}

/// The changes of one table that a builder needs.
#[derive(Clone, Debug, PartialEq)]
pub struct TableInterest {
    /// The table.
    pub table: TableName,
    /// The columns that make its key, in order.
    pub key: Vec<String>,
    /// The columns whose values each change should carry.
    pub links: Vec<String>,
    /// The other columns some document reads; none: all of them.
    pub reads: Option<Vec<String>>,
    /// Whether updates should say which columns they changed.
    pub wants_changed: bool,
    /// Room to grow; passed on as it is.
    pub extra: Option<String>,
}
