//! `pg.wasm`: PostgreSQL as a source, a snapshot, a reader, a builder and a range builder.
//!
//! ```text
//! roles ─▶ source ─▶ capture ─▶ stream ────────────┐        settings: where, and what things are called
//!       ─▶ snapshot, reader ─▶ keyed, walk ────────┤─▶ session ─▶ wire ─▶ transport
//!       ─▶ builder, range ─▶ query ─▶ executor ────┘        codec: keys and links from the server's text
//!                  └─▶ flusso-documents: plans, and bodies from rows
//! ```
//!
//! Keys have one codec ([`codec`]) on every path, and documents one way of being built: a plan (of a schema, or of the rows
//! of one table) is written as statements once, and its rows are put together by `flusso-documents`. The document of a
//! whole row equals `row_to_json` of the row.

pub mod catalog;
pub mod diagnosis;
pub mod documents;
pub mod error;
pub mod links;
pub mod protocol;
pub mod replication;
pub mod settings;
pub mod snapshot;

use diagnosis::PgDiagnosis;
use documents::builder::DocumentBuilder;
use documents::reader::PgReader;
use replication::source::PgSource;
use snapshot::key_pages::PgSnapshot;

flusso_plugin::plugin! {
    manifest: include_str!("../manifest.json"),
    index_schema: flusso_schema::JSON_SCHEMA,
    source: PgSource,
    snapshot: PgSnapshot,
    reader: PgReader,
    builder: DocumentBuilder,
    range_builder: DocumentBuilder,
    diagnosis: PgDiagnosis,
}
