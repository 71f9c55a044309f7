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

pub mod builder;
pub mod capture;
pub mod catalog;
pub mod codec;
pub mod diagnosis;
pub mod error;
pub mod keyed;
pub mod links;
pub mod memory;
pub mod outline;
pub mod pgoutput;
pub mod position;
pub mod reader;
pub mod session;
pub mod settings;
pub mod shape;
pub mod snapshot;
pub mod source;
pub mod sql;
pub mod stream;
pub mod transport;
pub mod visibility;
pub mod walk;
pub mod wire;

mod auth;

mod executor;
mod filter;
mod identity;
mod known;
mod lookup;
mod publication;
mod query;
mod range;
mod roles;
mod slot;
mod tls;

use builder::DocumentBuilder;
use diagnosis::PgDiagnosis;
use reader::PgReader;
use snapshot::PgSnapshot;
use source::PgSource;

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
