//! The reads of a builder, checked against the interest that it declared. The source reports changes of those tables and columns
//! alone: a document made of anything else would stay as it was built, silently.
//!
//! While a builder is opened its interest is not known, and no rows are read: what is there to know of tables can be asked.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;

use super::bindings::flusso::connector::types::{Error, Filter, Relation, TableName, Value};
use super::row_reader::RowReader;
use super::tracked::TableDescription;
use crate::model::TableInterest;

/// The tables of an interest by schema and name, each with its columns; none: every column.
type Declared = HashMap<(String, String), Option<HashSet<String>>>;

/// A reader that refuses what the builder did not declare.
pub(super) struct DeclaredReads {
    reader: Box<dyn RowReader>,
    declared: OnceLock<Declared>,
    undeclared: Mutex<Option<String>>,
}

impl DeclaredReads {
    pub(super) fn new(reader: impl RowReader + 'static) -> Self {
        Self { reader: Box::new(reader), declared: OnceLock::new(), undeclared: Mutex::default() }
    }

    /// From now on only this may be read.
    pub(super) fn declare(&self, interest: &[TableInterest]) {
        let mut declared = Declared::new();
        for table in interest {
            let columns = declared
                .entry((table.table.schema.clone(), table.table.name.clone()))
                .or_insert_with(|| Some(HashSet::new()));
            match (&table.reads, &mut *columns) {
                (Some(reads), Some(columns)) => {
                    columns.extend(table.key.iter().chain(&table.links).chain(reads).cloned());
                }
                _ => *columns = None,
            }
        }
        // An instance is described once; a later description of it is the same, or the run ends.
        let _ = self.declared.set(declared);
    }

    /// The first read that was refused, whatever the guest made of the refusal.
    pub(super) fn undeclared(&self) -> Option<String> {
        self.undeclared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check<'a>(&self, table: &TableName, columns: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let Some(declared) = self.declared.get() else {
            let TableName { schema, name } = table;
            return self.refuse(format!(
                "reads table {schema}.{name} while it is opened, before it has said what it reads; its author has to read rows in \
                 `build-many` and `resolve` alone"
            ));
        };
        undeclared(declared, table, columns).map_or(Ok(()), |what| self.refuse(what))
    }

    /// A relation: at no time by a condition in the store's own language. Whatever a guest says there, the source's server would
    /// run with the source's own rights.
    fn check_relation(&self, relation: &Relation) -> Result<(), Error> {
        if relation.filters.iter().any(|filter| matches!(filter, Filter::Raw(_))) {
            let TableName { schema, name } = &relation.table;
            return self.refuse(format!(
                "filters table {schema}.{name} by a condition in the source's own language, which no plugin may write; its author has \
                 to use conditions on columns"
            ));
        }
        self.check(&relation.table, columns(relation))
    }

    fn refuse(&self, what: String) -> Result<(), Error> {
        let mut first = self.undeclared.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| what.clone());
        Err(Error::Fatal(what))
    }
}

/// What of a read is not declared, as the end of a sentence about the builder.
fn undeclared<'a>(
    declared: &Declared,
    table: &TableName,
    mut columns: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let TableName { schema, name } = table;
    match declared.get(&(schema.clone(), name.clone())) {
        None => Some(format!(
            "reads table {schema}.{name}, which is not in its interest: changes of it would never reach its documents; \
             its author has to add the table to `interest`"
        )),
        Some(None) => None,
        Some(Some(known)) => columns.find(|column| !known.contains(*column)).map(|column| {
            format!(
                "reads column {column:?} of table {schema}.{name}, which is not in its interest: changes of it would never \
                 reach its documents; its author has to add the column to `reads` of that table in `interest`"
            )
        }),
    }
}

fn columns(relation: &Relation) -> impl Iterator<Item = &str> {
    let named = relation.columns.iter().chain(&relation.by).map(String::as_str);
    let filtered = relation.filters.iter().filter_map(|filter| match filter {
        Filter::Condition(condition) => Some(condition.column.as_str()),
        Filter::Raw(_) => None,
    });
    named.chain(filtered).chain(relation.order.iter().map(|ordering| ordering.column.as_str()))
}

#[async_trait]
impl RowReader for DeclaredReads {
    async fn primary_key(&self, table: TableName) -> Result<Vec<String>, Error> {
        self.reader.primary_key(table).await
    }

    async fn begin(&self) -> Result<(), Error> {
        self.reader.begin().await
    }

    async fn rows(
        &self,
        table: TableName,
        columns: Vec<String>,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        self.check(&table, columns.iter().map(String::as_str))?;
        self.reader.rows(table, columns, keys).await
    }

    async fn related(&self, relation: Relation) -> Result<Vec<Vec<Value>>, Error> {
        self.check_relation(&relation)?;
        self.reader.related(relation).await
    }

    async fn describe(&self, tables: Vec<TableName>) -> Result<Vec<Option<TableDescription>>, Error> {
        self.reader.describe(tables).await
    }

    async fn related_many(&self, relations: Vec<Relation>) -> Result<Vec<Vec<Vec<Value>>>, Error> {
        for relation in &relations {
            self.check_relation(relation)?;
        }
        self.reader.related_many(relations).await
    }
}
