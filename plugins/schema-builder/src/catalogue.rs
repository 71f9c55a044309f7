//! What the source says of its tables: keys and columns, no types. What a value is, each value says.

use flusso_documents::{Catalogue, Column, Form};
use flusso_plugin::{TableDescription, log};
use flusso_schema::{Names, TableName};

/// What `extra` says of a table where every one was asked for.
#[derive(serde::Deserialize)]
struct Named {
    schema: String,
    name: String,
}

/// The tables that were asked for.
#[derive(Debug)]
pub(crate) struct Described(Vec<(flusso_plugin::TableName, TableDescription)>);

impl Described {
    pub(crate) fn new(tables: Vec<flusso_plugin::TableName>, found: Vec<Option<TableDescription>>) -> Self {
        Self(tables.into_iter().zip(found).filter_map(|(table, found)| Some((table, found?))).collect())
    }

    /// Every table of the source, as it names them.
    pub(crate) fn everything(found: Vec<Option<TableDescription>>) -> Self {
        let named = |found: TableDescription| {
            let Named { schema, name } = serde_json::from_str(found.extra.as_deref()?).ok()?;
            Some((flusso_plugin::TableName { schema, name }, found))
        };
        Self(found.into_iter().flatten().filter_map(named).collect())
    }

    /// The tables whose rows have names; those that have none are said.
    pub(crate) fn with_keys(&self) -> impl Iterator<Item = &flusso_plugin::TableName> {
        self.0.iter().filter_map(|(table, found)| {
            if found.key.is_empty() {
                let name = format!("{}.{}", table.schema, table.name);
                log::warn(&format!("the table {name} is skipped: it has no primary key"), &[("table", &name)]);
            }
            (!found.key.is_empty()).then_some(table)
        })
    }

    /// A table by its names in the source's own case.
    pub(crate) fn table(&self, schema: &str, name: &str) -> Option<&TableDescription> {
        self.0.iter().find(|(table, _)| table.schema == schema && table.name == name).map(|(_, found)| found)
    }

    fn of(&self, table: &TableName) -> Option<&TableDescription> {
        self.table(table.schema.as_str(), table.name.as_str())
    }
}

/// A column of which nothing is known but that it is there.
pub(crate) fn tagged() -> Column {
    Column { form: Form::Tagged, type_names: Vec::new(), alike: None }
}

/// Whether a table has a column. A source that names no columns is taken at the schema's word; the host finds out.
fn has(table: &TableDescription, column: &str) -> bool {
    table.columns.is_empty() || table.columns.iter().any(|known| known == column)
}

impl Catalogue for Described {
    fn key(&self, table: &TableName) -> Option<Vec<String>> {
        self.of(table).map(|found| found.key.clone())
    }

    fn column(&self, table: &TableName, column: &str) -> Option<Column> {
        self.of(table).filter(|found| has(found, column)).map(|_| tagged())
    }

    fn columns(&self, table: &TableName) -> Vec<String> {
        self.of(table).map(|found| found.columns.clone()).unwrap_or_default()
    }
}

impl Names for Described {
    fn has_table(&self, schema: &str, name: &str) -> bool {
        self.table(schema, name).is_some()
    }

    fn has_column(&self, table: &TableName, column: &str) -> bool {
        self.of(table).is_some_and(|found| found.columns.iter().any(|known| known == column))
    }
}
