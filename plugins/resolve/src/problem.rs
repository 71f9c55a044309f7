//! Where schemas and the catalogue do not agree, and the order in which the columns of a root's key are named.

use crate::facts::TableFacts;
use crate::network::Documents;
use crate::places;
use flusso_plugin::TableName;
use flusso_schema::Key;
use std::collections::BTreeSet;

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
    #[error("the primary key of {}.{} is ({}), and the schema file says ({}): correct `primary_key`", .table.schema, .table.name, .catalogued.join(", "), .declared.join(", "))]
    RootKey { table: TableName, declared: Vec<String>, catalogued: Vec<String> },
    #[error("documents of two indexes are named by the primary key of {}.{} as ({}) and as ({}): give both schema files one order", .table.schema, .table.name, .one.join(", "), .other.join(", "))]
    KeyOrder { table: TableName, one: Vec<String>, other: Vec<String> },
    #[error("`{path}` links ({}) of {}.{} with ({}): both sides must name as many columns", .from.join(", "), .table.schema, .table.name, .by.join(", "))]
    Width { path: String, table: TableName, from: Vec<String>, by: Vec<String> },
}

/// The facts, with the keys of roots in the order in which documents are named by them: that of the schema file, where it
/// gives one.
pub(crate) fn named(indexes: &[Documents<'_>], facts: &[TableFacts]) -> Result<Vec<TableFacts>, Problem> {
    let mut named = facts.to_vec();
    let mut roots: Vec<TableName> = Vec::new();
    for index in indexes {
        let (table, declared) = match index {
            Documents::Rows(table) => ((*table).clone(), None),
            Documents::Schema(schema) => match &schema.primary_key {
                Key::Declared(columns) => (places::name(&schema.table), Some(places::names(columns))),
                Key::FromCatalogue => (places::name(&schema.table), None),
            },
        };
        let catalogued = facts.iter().find(|facts| facts.name == table).map(|facts| facts.key.clone());
        let known = named.iter_mut().find(|facts| facts.name == table);
        let (Some(catalogued), Some(known)) = (catalogued, known) else { continue };
        let key = declared.unwrap_or_else(|| catalogued.clone());
        if key.iter().collect::<BTreeSet<_>>() != catalogued.iter().collect() {
            return Err(Problem::RootKey { table, declared: key, catalogued });
        }
        if roots.contains(&table) && key != known.key {
            return Err(Problem::KeyOrder { table, one: known.key.clone(), other: key });
        }
        known.key = key;
        roots.push(table);
    }
    Ok(named)
}
