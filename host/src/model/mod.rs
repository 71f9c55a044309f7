//! The words everybody here speaks: change, key, position, document, mapping. Plain values; no I/O, no async, no wire
//! format. The contract (`wit/types.wit`) is the specification; these are its types as the engine wants them.

mod change;
mod document;
mod mapping;
mod value;

pub use change::{
    Change, Checkpoint, Event, HistoryId, Op, Position, TableChanged, TableInterest, TableName, TableNumber, Version,
};
pub use document::{Document, DocumentId, Failure, IndexNumber, Outcome, Rejection, Target};
pub use mapping::{Field, Mapping, Scope};
pub use value::{Key, Row, Value};
