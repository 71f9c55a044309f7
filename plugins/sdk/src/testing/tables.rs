//! Tables in memory.

use std::collections::BTreeMap;

use super::built::Built;
use super::lookup::Recorder;
use crate::builder::{IndexBuilder, TableRow, build_index_with, offered};
use crate::{Outcome, Row, Value};

/// A table's name: schema and table.
pub(super) type Name = (String, String);

pub(super) fn name<R: TableRow>() -> Name {
    (R::SCHEMA.to_owned(), R::TABLE.to_owned())
}

/// A table: its rows by the names of their columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) key: Vec<String>,
    pub(super) rows: Vec<BTreeMap<String, Value>>,
}

impl Table {
    /// A row's key.
    pub(super) fn key_of(&self, row: &BTreeMap<String, Value>) -> Vec<Value> {
        self.key.iter().map(|column| row.get(column).cloned().unwrap_or(Value::Null)).collect()
    }
}

pub(super) fn columns<R: TableRow>(row: R) -> BTreeMap<String, Value> {
    R::COLUMNS.iter().map(|column| (*column).to_owned()).zip(row.into_row()).collect()
}

/// Tables in memory. A table's primary key is the first column of its row type, unless [`Tables::keyed`] says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    pub(super) tables: BTreeMap<Name, Table>,
}

impl Tables {
    /// Without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With these rows too.
    #[must_use]
    pub fn with<R: TableRow>(mut self, rows: impl IntoIterator<Item = R>) -> Self {
        let table = self.tables.entry(name::<R>()).or_default();
        if table.key.is_empty() {
            table.key.extend(R::COLUMNS.first().map(|&column| column.to_owned()));
        }
        table.rows.extend(rows.into_iter().map(columns));
        self
    }

    /// Where the primary key of a row type's table is these columns.
    #[must_use]
    pub fn keyed<R: TableRow>(mut self, key: &[&str]) -> Self {
        self.tables.entry(name::<R>()).or_default().key = key.iter().map(|&column| column.to_owned()).collect();
        self
    }

    /// Builds every document of an index, by a builder without settings.
    ///
    /// # Panics
    ///
    /// As [`Tables::build_with`].
    #[must_use]
    pub fn build<B: IndexBuilder<Settings: Default>>(&self, builder: fn() -> B) -> Built {
        self.build_with(builder, &B::Settings::default())
    }

    /// Builds every document of an index.
    ///
    /// # Panics
    ///
    /// Where the host would end the run: a read of a table or column that the builder does not declare, or a row in memory
    /// without a column that is read. It is said which.
    #[must_use]
    #[allow(clippy::panic, reason = "a test ends with what its author has to mend")]
    pub fn build_with<B: IndexBuilder>(&self, _: fn() -> B, settings: &B::Settings) -> Built {
        let offered = offered::<B>().unwrap_or_else(|error| panic!("{error:?}"));
        let root = self.tables.get(&name::<B::Root>()).cloned().unwrap_or_default();
        let mut ids = Vec::with_capacity(root.rows.len());
        let mut rows: Vec<Row> = Vec::with_capacity(root.rows.len());
        for row in &root.rows {
            ids.push(id(&root.key_of(row)));
            let cell = |column: &&str| match row.get(*column) {
                Some(value) => value.clone(),
                None => panic!(
                    "a row of {} in memory has no column {column}; insert a row type that has it",
                    B::Root::TABLE
                ),
            };
            rows.push(B::Root::COLUMNS.iter().map(cell).collect());
        }
        let mut recorder = Recorder::new(self, &offered);
        let outcomes: Vec<Outcome> = build_index_with::<B>(rows, settings, |reads| recorder.read(reads))
            .unwrap_or_else(|error| panic!("the host would end the run: {error:?}"));
        let lookups = recorder.into_lookups();
        Built::new(offered, root.key, ids, outcomes, lookups)
    }
}

/// A document's id, as the host derives it from the key.
pub(super) fn id(key: &[Value]) -> String {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::Boolean(it) => it.to_string(),
        Value::Integer(it) => it.to_string(),
        Value::Float(it) => it.to_string(),
        Value::Bytes(it) => format!("{it:?}"),
        Value::Decimal(it)
        | Value::Text(it)
        | Value::Uuid(it)
        | Value::Date(it)
        | Value::Time(it)
        | Value::Timestamp(it)
        | Value::Json(it) => it.clone(),
    };
    match key {
        [one] => text(one),
        parts => {
            parts.iter().map(|part| text(part).replace('\\', "\\\\").replace(':', "\\:")).collect::<Vec<_>>().join(":")
        }
    }
}
