//! Where schemas and the catalogue do not agree.

use flusso_plugin::TableName;

/// Why documents cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("there is no table {}.{} in this database: correct the name in the schema file", .table.schema, .table.name)]
    NoTable { table: TableName },
    #[error("the table {}.{} has no primary key, by which its documents would be known; ALTER TABLE … ADD PRIMARY KEY (…) gives it one", .table.schema, .table.name)]
    NoKey { table: TableName },
    #[error("the table {}.{} has no column {column} (`{path}` links by it): correct the schema file", .table.schema, .table.name)]
    NoColumn { table: TableName, column: String, path: String },
    #[error("`{path}` links ({}) of {}.{} with ({}): both sides must name as many columns", .from.join(", "), .table.schema, .table.name, .by.join(", "))]
    Width { path: String, table: TableName, from: Vec<String>, by: Vec<String> },
}
