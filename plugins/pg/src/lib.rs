//! `pg.wasm`: PostgreSQL as a source, a snapshot, a reader, a builder and a range builder.
//!
//! ```text
//! replication/   write-ahead log → changes of rows, in commit order ─┐
//! snapshot/      the keys of whole tables, range by range ───────────┤
//! documents/     keys → documents; changed rows → keys ──────────────┼─▶ protocol/   sessions, wire format, value codec
//! catalog/       columns, keys and fingerprints of tables ───────────┤
//! diagnosis/     what `check` reports ───────────────────────────────┘
//! links/         the host's link table, as builds and the resolver use it
//! settings/      connection settings and object names
//! ```
//!
//! Keys have one codec ([`protocol::codec`]) on every path. Documents are built in one way: a plan (of a schema file, or of
//! one table) is translated to SQL once, and `flusso-documents` assembles its rows into JSON. The document of a whole row
//! equals `row_to_json` of the row. To support a column type, add a row to [`protocol::pg_types`].

pub mod catalog;
pub mod diagnosis;
pub mod documents;
pub mod error;
pub mod links;
pub(crate) mod name_list;
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
    batch_reader: PgReader,
    builder: DocumentBuilder,
    range_builder: DocumentBuilder,
    diagnosis: PgDiagnosis,
}
