//! The schema language of `*.schema.yml`: what one document is made of, which tables it reads, and what its mapping is.
//!
//! Text in, a validated [`Schema`] or [`Problems`] with line and column out. No I/O and no database: what only a
//! catalogue can tell (a column's type, a key that the file leaves out) is left to the builder that has one. Builders for any source
//! work from the same form.
//!
//! ```
//! let text = "
//! version: 1
//! table: users
//! primary_key: id
//! fields:
//!   - keyword: email
//!   - has_many: orders
//!     table: orders
//!     primary_key: id
//!     foreign_key: user_id
//!     fields:
//!       - decimal: total
//! ";
//! let schema = flusso_schema::parse(text, "users.schema.yml")?;
//! let mapping: Vec<_> = schema.mapping().into_iter().map(|field| (field.path, field.ty)).collect();
//! assert_eq!(mapping[1], ("orders".to_owned(), "nested".to_owned()));
//! # Ok::<(), flusso_schema::Problems>(())
//! ```
//!
//! Inside, each step gets values and returns values: `yaml` (text → tree with places) → `raw` (the file mirrored, every key
//! known by the table in `language`) → `read` (the rules) → `model` → `plan` (mapping, hash, tables, places).

mod json_schema;
mod language;
mod model;
mod nearest;
mod plan;
mod problem;
mod raw;
mod read;
#[cfg(test)]
mod tests;
mod yaml;

pub use json_schema::{JSON_SCHEMA, json_schema};
pub use model::{
    Aggregate, AggregateLink, AggregateOp, Comparison, Direction, Field, FieldKind, Filter, Geo, Identifier, Join, Key,
    LeafType, Link, Literal, MapField, OrderBy, Scalar, ScalarType, Schema, SoftDelete, TableName, Through, Transform,
};
pub use nearest::nearest;
pub use plan::{Hop, MappedField, Names, Reads, Role, TableRef, TableUse, tables};
pub use problem::{Problem, Problems};
pub use read::{parse, parse_with_notes};
