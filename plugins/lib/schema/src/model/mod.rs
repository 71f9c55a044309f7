//! The validated form of a schema: what consumers work with. Every default is filled in, every rule of the language has
//! been checked, and what cannot be (a `limit` on a to-one join) has no place to stand. Nothing here reads text.
//!
//! The names of types and members are part of the schema's hash (`plan::hash`): renaming one rebuilds every index.

mod field;
mod filter;
mod name;
mod relation;

pub use field::{Field, FieldKind, Geo, LeafType, MapField, Scalar, ScalarType, Transform};
pub use filter::{Comparison, Filter, Literal};
pub use name::{Identifier, Key, TableName};
pub use relation::{Aggregate, AggregateLink, AggregateOp, Direction, Join, Link, OrderBy, Through};

use serde::Serialize;

/// One document: which rows of which table it is made of, and what it looks like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Schema {
    /// The root table: one row, one document.
    pub table: TableName,
    /// The columns that name a root row, and so a document.
    pub primary_key: Key,
    /// Which root rows count as deleted: a matching row is a tombstone.
    pub soft_delete: SoftDelete,
    /// All must hold for a root row to be a document; a row that leaves the set is a tombstone.
    pub filters: Vec<Filter>,
    /// The document's fields, at least one, in the order of the file; behind them the entries of `follow`.
    pub fields: Vec<Field>,
}

/// Which root rows count as deleted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SoftDelete {
    /// None: only a deleted row is gone.
    Never,
    /// Rows whose marker is set and for which all of `when` holds. A boolean column is set when it is true, a column of
    /// any other type when it is not null.
    Marked {
        /// The marker: a column of the root table (a `field` of the file has been traced to its column).
        column: Identifier,
        /// Conditions beside the marker; often none.
        when: Vec<Filter>,
    },
}
