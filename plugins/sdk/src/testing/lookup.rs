//! Lookups, answered from memory and remembered.

use std::collections::BTreeMap;

use super::tables::{Name, Table, Tables};
use super::values::{equal, holds, order};
use crate::lookups::{Lookup, Lookups};
use crate::{Error, Filter, OfferedIndex, Result, Row, Value};

/// What a document looked up.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) document: usize,
    pub(super) table: Name,
    pub(super) by: Vec<String>,
    pub(super) values: Vec<Value>,
}

/// Answers from tables, and remembers as the host does.
pub(super) struct Recorder<'a> {
    tables: &'a Tables,
    offered: &'a OfferedIndex,
    lookups: Vec<Remembered>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(tables: &'a Tables, offered: &'a OfferedIndex) -> Self {
        Self { tables, offered, lookups: Vec::new() }
    }

    pub(super) fn into_lookups(self) -> Vec<Remembered> {
        self.lookups
    }

    pub(super) fn read(&mut self, reads: &[Lookups]) -> Result<Vec<Vec<Vec<Row>>>> {
        reads.iter().map(|read| self.read_one(read)).collect()
    }

    fn read_one(&mut self, read: &Lookups) -> Result<Vec<Vec<Row>>> {
        self.check(read)?;
        let name = (read.table.schema.clone(), read.table.name.clone());
        let table = self.tables.tables.get(&name).cloned().unwrap_or_default();
        let mut answers = Vec::with_capacity(read.lookups.len());
        for lookup in &read.lookups {
            self.lookups.push(Remembered {
                document: usize::try_from(lookup.document).unwrap_or(usize::MAX),
                table: name.clone(),
                by: read.by.clone(),
                values: lookup.values.clone(),
            });
            answers.push(find(&table, read, lookup)?);
        }
        Ok(answers)
    }

    /// As the host: what is read was declared.
    fn check(&self, read: &Lookups) -> Result<()> {
        let label = format!("{}.{}", read.table.schema, read.table.name);
        let same = |declared: &&crate::TableRead| {
            (&declared.table.schema, &declared.table.name) == (&read.table.schema, &read.table.name)
        };
        let Some(declared) = self.offered.reads.iter().find(same) else {
            return Err(Error::fatal(format!("{label} is read and not declared; add it to `reads(…)` of the builder")));
        };
        if !declared.by.contains(&read.by) {
            let by = if read.by.is_empty() { "all".to_owned() } else { format!("by {}", read.by.join(", ")) };
            return Err(Error::fatal(format!("{label} is read {by}, which `reads(…)` of the builder does not say")));
        }
        let filtered = read.filters.iter().filter_map(|filter| match filter {
            Filter::Condition(condition) => Some(&condition.column),
            Filter::Raw(_) => None,
        });
        let mut columns = read.columns.iter().chain(filtered).chain(read.order.iter().map(|order| &order.column));
        match columns.find(|column| !declared.columns.contains(column)) {
            Some(column) => Err(Error::fatal(format!("column {column} of {label} is read, and no row type names it"))),
            None => Ok(()),
        }
    }
}

fn find(table: &Table, read: &Lookups, lookup: &Lookup) -> Result<Vec<Row>> {
    let cell = |row: &BTreeMap<String, Value>, column: &str| {
        row.get(column).cloned().ok_or_else(|| {
            let message = format!("a row of {} in memory has no column {column}", read.table.name);
            Error::fatal(message)
        })
    };
    let mut found: Vec<&BTreeMap<String, Value>> = Vec::new();
    for row in &table.rows {
        let mut is_found = true;
        for (column, value) in read.by.iter().zip(&lookup.values) {
            is_found &= equal(&cell(row, column)?, value);
        }
        for filter in &read.filters {
            match filter {
                Filter::Condition(condition) => is_found &= holds(condition, &cell(row, &condition.column)?),
                Filter::Raw(_) => return Err(Error::fatal("a filter in SQL cannot be tested in memory")),
            }
        }
        if is_found {
            found.push(row);
        }
    }
    found.sort_by(|a, b| {
        let by_order = read.order.iter().map(|one| (one.column.as_str(), one.descending));
        let by_key = table.key.iter().map(|column| (column.as_str(), false));
        let null = &Value::Null;
        let compared = by_order
            .chain(by_key)
            .map(|(column, down)| order(a.get(column).unwrap_or(null), b.get(column).unwrap_or(null), down));
        compared.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    let limit = read.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let row = |row: &BTreeMap<String, Value>| read.columns.iter().map(|column| cell(row, column)).collect();
    found.into_iter().take(limit).map(row).collect()
}
