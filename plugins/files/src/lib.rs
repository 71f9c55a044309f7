//! `files`: a source over a folder. Each file is a table, and so is each folder in it, of all its files together:
//!
//! ```text
//! shop/customers.csv           table customers
//! shop/orders.ndjson.gz        table orders
//! shop/events/2026-01.ndjson   table events, with all other files beside it
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `options` | what the operator sets |
//! | `content` | the bytes of a file, also where it is compressed |
//! | `format` | from a file to rows, from a row to values |
//! | `column` | the types of columns, and what a value is that is written so |
//! | `key` | keys as bytes, in the order of their values |
//! | `table` | one table as its files are now: where each row stands, by its key |
//! | `folder` | all tables, and what became of them since the last look |
//! | `remembered` | the rows that every sink has, in the host's state: what a restart compares with |
//! | `source`, `snapshot`, `reader` | the roles |
//! | `filters` | conditions and orders by the rules of SQL |
//!
//! Files are only read. What changed is found by comparing: rows are told apart by their key, and a row whose bytes are the same is the
//! same. A file that only grew is read from where it ended.

mod column;
mod content;
mod filters;
mod folder;
mod format;
mod key;
mod options;
mod reader;
mod remembered;
mod snapshot;
mod source;
mod table;

pub use reader::FilesReader;
pub use snapshot::FilesSnapshot;
pub use source::FilesSource;

flusso_plugin::plugin! {
    manifest: include_str!("../manifest.json"),
    source: FilesSource,
    snapshot: FilesSnapshot,
    reader: FilesReader,
    batch_reader: FilesReader,
}
