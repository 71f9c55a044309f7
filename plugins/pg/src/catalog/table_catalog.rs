//! The catalogue in the form in which `flusso-documents` plans with it.

use crate::catalog::table::{self, Column, Table};
use crate::error::Result;
use crate::protocol::pg_types::{self, Family};
use crate::protocol::session::Session;
use flusso_documents as documents;
use flusso_documents::{Catalogue, Form};
use flusso_schema::{Schema, TableName};
use std::collections::HashMap;

/// Tables by schema and name.
#[derive(Debug, Default, Clone)]
pub(crate) struct TableCatalog {
    tables: HashMap<(String, String), Table>,
}

impl TableCatalog {
    /// The tables a schema reads, as far as they are there. Names that the file has in capitals become those of the database:
    /// the exact one where it is there, else the folded one.
    pub(crate) fn of_schema(session: &mut Session, schema: &mut Schema) -> Result<Self> {
        let mut catalog = Self::default();
        if schema.has_written_names() {
            let possible = schema.possible_tables();
            let names: Vec<_> = possible.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).collect();
            table::named(session, &names)?.into_iter().for_each(|table| catalog.add(table));
            schema.resolve_names(&std::mem::take(&mut catalog));
        }
        let used = flusso_schema::tables([&*schema]);
        let names: Vec<_> = used.iter().map(|one| (one.table.schema.as_str(), one.table.name.as_str())).collect();
        for mut table in table::named(session, &names)? {
            let of = |one: &&flusso_schema::TableUse| {
                (one.table.schema.as_str(), one.table.name.as_str()) == (table.schema.as_str(), table.name.as_str())
            };
            let found = used.iter().find(of);
            let declared = found.and_then(|one| match &one.key {
                flusso_schema::Key::Declared(columns) => Some(columns.iter().map(ToString::to_string).collect()),
                flusso_schema::Key::FromCatalogue => None,
            });
            let key: Vec<String> = declared.clone().unwrap_or_else(|| table.key.clone());
            if let Some(one) = found
                && let flusso_schema::Reads::Columns(reads) = &one.reads
            {
                let columns = one.links.iter().chain(reads).map(ToString::to_string).chain(key).collect::<Vec<_>>();
                table.read_only_by(columns.iter().map(String::as_str));
            }
            // A view has no key of its own: it is what the file says.
            if let Some(key) = declared.filter(|_| !table.is_streamed()) {
                table.key = key;
            }
            catalog.add(table);
        }
        Ok(catalog)
    }

    /// One more.
    pub(crate) fn add(&mut self, table: Table) {
        self.tables.insert((table.schema.clone(), table.name.clone()), table);
    }

    /// A table.
    pub(crate) fn table(&self, schema: &str, name: &str) -> Option<&Table> {
        self.tables.get(&(schema.to_owned(), name.to_owned()))
    }

    /// A table of a plan, which was checked when the plan was made.
    pub(crate) fn of_plan(&self, table: &documents::Table) -> Result<&Table> {
        self.table(&table.schema, &table.name).ok_or_else(|| {
            crate::error::Error::Transient(format!("the table {table} is gone: the tables are looked up again"))
        })
    }

    /// All of them.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }
}

impl Catalogue for TableCatalog {
    fn key(&self, table: &TableName) -> Option<Vec<String>> {
        self.table(table.schema.as_str(), table.name.as_str()).map(|table| table.key.clone())
    }

    fn column(&self, table: &TableName, column: &str) -> Option<documents::Column> {
        self.table(table.schema.as_str(), table.name.as_str())?.column(column).ok().map(described)
    }

    fn columns(&self, table: &TableName) -> Vec<String> {
        let columns = self.table(table.schema.as_str(), table.name.as_str()).map(|table| table.columns.as_slice());
        columns.unwrap_or_default().iter().map(|column| column.name.clone()).collect()
    }
}

impl flusso_schema::Names for TableCatalog {
    fn has_table(&self, schema: &str, table: &str) -> bool {
        self.table(schema, table).is_some()
    }

    fn has_column(&self, table: &flusso_schema::TableName, column: &str) -> bool {
        let table = self.table(table.schema.as_str(), table.name.as_str());
        table.is_some_and(|table| table.columns.iter().any(|one| one.name == column))
    }
}

/// A column in the words of documents.
pub(crate) fn described(column: &Column) -> documents::Column {
    documents::Column {
        form: form(column),
        type_names: vec![column.type_name.clone(), column.declared.clone(), column.short_name.clone()],
        alike: alike(column),
    }
}

/// How `row_to_json` shows a column's text.
pub(crate) fn form(column: &Column) -> Form {
    if column.element != 0 || column.class == "c" || column.json_cast {
        return Form::Structured;
    }
    match pg_types::find(column.base) {
        Some(row) => row.form,
        None if column.short_name == "citext" => Form::Text,
        None => Form::Other,
    }
}

/// Types whose values are equal exactly where their texts are, both as the server prints them and as keys are written here.
fn alike(column: &Column) -> Option<String> {
    if !column.can_be_listed() {
        return None;
    }
    match pg_types::find(column.base).and_then(|row| row.family) {
        Some(Family::Text) if !column.bytewise => None,
        Some(family) => Some(format!("{family:?}").to_lowercase()),
        None if column.class == "e" => Some(column.type_name.clone()),
        None => None,
    }
}
