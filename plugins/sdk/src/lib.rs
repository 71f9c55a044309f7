//! Write a flusso-host plugin: implement a role's trait, name it in [`plugin!`], build for `wasm32-wasip2`.
//!
//! What each function promises stands in the contract (`wit/*.wit`), whose text is the documentation of the types
//! re-exported here. A role is a trait whose value is one opened instance: `open` makes it, every other function gets it by
//! `&mut self`. One instance serves one call at a time.
//!
//! ```ignore
//! use flusso_plugin::{Document, Ensured, Mapping, Report, Result, Settings, Sink, Target};
//!
//! struct Null;
//!
//! impl Sink for Null {
//!     fn open(_: Settings) -> Result<Self> { Ok(Null) }
//!     fn ensure_index(&mut self, _: Mapping) -> Result<Ensured> { Ok(Ensured { target: 0, empty: true, extra: None }) }
//!     fn write(&mut self, _: Vec<Document>) -> Result<()> { Ok(()) }
//!     fn flush(&mut self, _: bool, _: u64) -> Result<Report> { Ok(Report { rejected: Vec::new(), visible: true, extra: None }) }
//!     # // …
//! }
//!
//! flusso_plugin::plugin! { manifest: include_str!("../manifest.json"), sink: Null }
//! ```

#[doc(hidden)]
pub mod bindings;
pub mod builder;
mod error;
mod export;
pub mod json;
pub mod links;
pub mod log;
/// What a [`TrackedBuilder`] looks up while it builds. See `wit/tracked-reader.wit`.
pub mod lookups {
    #[cfg(target_family = "wasm")]
    pub use crate::bindings::host::flusso::connector::tracked_reader::read;
    pub use crate::bindings::host::flusso::connector::tracked_reader::{Lookup, Lookups};
    #[cfg(not(target_family = "wasm"))]
    pub use crate::native::imports::lookups::read;
}
pub mod metrics;
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub mod native;
mod native_macros;
pub mod net;
mod roles;
mod settings;
pub mod state;
mod subscriber;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use bindings::builder::exports::flusso::connector::builder::{Affected, Scope};
#[cfg(target_family = "wasm")]
pub use bindings::host::flusso::connector::secrets::get as secret;
pub use bindings::host::flusso::connector::types::{
    Change, Checkpoint, Comparison, Condition, ConfigurationError, Cursor, DocumentId, Error, Event, Failure, Field,
    Filter, Finding, HistoryId, IndexNumber, IndexRequest, Key, Mapping, Op, Ordering, OtherError, Outcome, Position,
    Range, Relation, Row, RowLinks, Severity, TableChanged, TableDescription, TableInterest, TableName, TableNumber,
    Target, Transient, Value, Version,
};
pub use bindings::inventory::exports::flusso::connector::inventory::{IndexState, StoredIndex};
pub use bindings::range_builder::exports::flusso::connector::range_builder::{Ranged, RangedPage};
pub use bindings::search::exports::flusso::connector::search::{Found, Highlight, Hit};
pub use bindings::sink::exports::flusso::connector::sink::{Document, Ensured, Rejection, Report};
pub use bindings::snapshot::exports::flusso::connector::snapshot::{Division, Page};
pub use bindings::source::exports::flusso::connector::source::{
    Continuity, Inspection, PollRequest, Preparation, Prepared,
};
pub use bindings::tracked_builder::exports::flusso::connector::tracked_builder::{OfferedIndex, TableRead};
#[doc(hidden)]
pub use export::{Exported, Instance, manifest_bytes};
#[cfg(not(target_family = "wasm"))]
pub use native::imports::secret;
pub use roles::{
    BatchReader, Builder, Diagnosis, Examination, Inventory, RangeBuilder, Reader, RequestedIndexes, Search, Sink,
    SinkDiagnosis, Snapshot, Source, TrackedBuilder, affected,
};
pub use settings::Settings;
pub use tracing;

/// The contract that plugins made with this crate keep.
pub const CONTRACT: &str = "0.2.0";

/// Whether a host runs this plugin: always as a component, and as a native library that flusso-host loaded; not so in unit tests.
pub fn has_host() -> bool {
    #[cfg(target_family = "wasm")]
    return true;
    #[cfg(not(target_family = "wasm"))]
    native::has_host()
}

/// What a plugin's functions return.
pub type Result<T> = std::result::Result<T, Error>;
