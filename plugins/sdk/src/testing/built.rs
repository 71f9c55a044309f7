//! What was built, and what would build it again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::lookup::Remembered;
use super::tables::{Name, columns, id, name};
use super::values::equal;
use crate::builder::TableRow;
use crate::{OfferedIndex, Outcome, Value};

/// The documents of an index, built from tables in memory.
#[derive(Debug)]
pub struct Built {
    offered: OfferedIndex,
    root_key: Vec<String>,
    ids: Vec<String>,
    outcomes: Vec<Outcome>,
    lookups: Vec<Remembered>,
}

impl Built {
    pub(super) fn new(
        offered: OfferedIndex,
        root_key: Vec<String>,
        ids: Vec<String>,
        outcomes: Vec<Outcome>,
        lookups: Vec<Remembered>,
    ) -> Self {
        Self { offered, root_key, ids, outcomes, lookups }
    }

    /// Every document, by its id.
    ///
    /// # Panics
    ///
    /// As [`Built::document`].
    #[must_use]
    pub fn documents(&self) -> BTreeMap<String, Json> {
        let built = |(id, outcome): (&String, &Outcome)| match outcome {
            Outcome::Absent => None,
            outcome => Some((id.clone(), body(id, outcome))),
        };
        self.ids.iter().zip(&self.outcomes).filter_map(built).collect()
    }

    /// The document of this id; null if there is none.
    ///
    /// # Panics
    ///
    /// If it failed to build: with the reason.
    #[must_use]
    pub fn document(&self, id: impl ToString) -> Json {
        let id = id.to_string();
        let outcome = self.ids.iter().position(|other| *other == id).and_then(|at| self.outcomes.get(at));
        outcome.map_or(Json::Null, |outcome| body(&id, outcome))
    }

    /// Why a document failed to build: its class and reason. None: it did not fail.
    #[must_use]
    pub fn failure(&self, id: impl ToString) -> Option<(String, String)> {
        let at = self.ids.iter().position(|other| *other == id.to_string())?;
        match self.outcomes.get(at)? {
            Outcome::Failed(failure) => Some((failure.class.clone(), failure.reason.clone())),
            _ => None,
        }
    }

    /// The ids of the documents that are built again when this row is inserted.
    #[must_use]
    pub fn woken_by_insert<R: TableRow>(&self, row: R) -> Vec<String> {
        self.woken(&name::<R>(), &[columns(row)])
    }

    /// The ids of the documents that are built again when this row is deleted.
    #[must_use]
    pub fn woken_by_delete<R: TableRow>(&self, row: R) -> Vec<String> {
        self.woken(&name::<R>(), &[columns(row)])
    }

    /// The ids of the documents that are built again when this row becomes that one. Where no column that the index reads
    /// changes, none is.
    #[must_use]
    pub fn woken_by_update<R: TableRow>(&self, old: R, new: R) -> Vec<String> {
        self.woken(&name::<R>(), &[columns(old), columns(new)])
    }

    /// The documents under any of these states of a row.
    fn woken(&self, table: &Name, states: &[BTreeMap<String, Value>]) -> Vec<String> {
        let mut woken = BTreeSet::new();
        if is_of(&self.offered.root, table) && changes(states, &self.offered.columns) {
            let key = |state: &BTreeMap<String, Value>| -> Vec<Value> {
                self.root_key.iter().map(|column| state.get(column).cloned().unwrap_or(Value::Null)).collect()
            };
            woken.extend(states.iter().map(|state| id(&key(state))));
        }
        let read = self.offered.reads.iter().find(|read| is_of(&read.table, table));
        if read.is_some_and(|read| changes(states, &read.columns)) {
            let under = |lookup: &&Remembered| {
                let is = |state: &BTreeMap<String, Value>| {
                    let mut values = lookup.by.iter().zip(&lookup.values);
                    values.all(|(column, value)| state.get(column).is_some_and(|own| equal(own, value)))
                };
                lookup.table == *table && states.iter().any(is)
            };
            let documents = self.lookups.iter().filter(under).filter_map(|lookup| self.ids.get(lookup.document));
            woken.extend(documents.cloned());
        }
        woken.into_iter().collect()
    }
}

fn is_of(table: &crate::TableName, name: &Name) -> bool {
    (&table.schema, &table.name) == (&name.0, &name.1)
}

/// Whether one of these columns differs between two states of a row; a row that comes or goes always counts.
fn changes(states: &[BTreeMap<String, Value>], columns: &[String]) -> bool {
    match states {
        [old, new] => columns.iter().any(|column| match (old.get(column), new.get(column)) {
            (Some(Value::Null), Some(Value::Null)) => false,
            (Some(old), Some(new)) => !equal(old, new),
            _ => false,
        }),
        _ => true,
    }
}

#[allow(clippy::panic, reason = "a test ends with what its author has to mend")]
fn body(id: &str, outcome: &Outcome) -> Json {
    match outcome {
        Outcome::Built(body) => serde_json::from_slice(body).unwrap_or_else(|error| panic!("document {id}: {error}")),
        Outcome::Absent => Json::Null,
        Outcome::Failed(failure) => panic!("document {id} failed: {} ({})", failure.reason, failure.class),
    }
}
