//! Rows by key and by relation.

use std::collections::HashMap;

use flusso_plugin::{
    BatchReader, Error, Filter, Key, Reader, Relation, Result, Row, Settings, TableDescription, TableName, Value,
};

use crate::filters;
use crate::folder::Folder;
use crate::key::{KeyBytes, key_bytes};
use crate::table::{Look, Table, Wanted};

/// The reader, opened.
#[derive(Debug)]
pub struct FilesReader {
    folder: Folder,
    /// Of each table, by the columns of a relation: which keys there are for some values. A key may be there that is not of these
    /// values any more; none is missing.
    indexes: HashMap<String, HashMap<Vec<String>, Index>>,
}

/// The keys of the rows with some values, which stand one after the other with the length of each before it.
type Index = HashMap<Vec<u8>, Vec<KeyBytes>>;

fn values_bytes(values: &[Value]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| {
            let bytes = filters::link(value);
            u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes().into_iter().chain(bytes)
        })
        .collect()
}

fn columns(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    let missing = |name: &String| {
        Error::fatal(format!("table `{}` has no column `{name}`; it has: {}", table.name, listed(table)))
    };
    names.iter().map(|name| table.column(name).ok_or_else(|| missing(name))).collect()
}

fn listed(table: &Table) -> String {
    table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Adds rows to an index.
fn add(index: &mut Index, table: &Table, by: &[usize], keys: &[KeyBytes]) -> Result<()> {
    for (key, values) in keys.iter().zip(table.values(keys, by)?) {
        let Some(values) = values else { continue };
        let found = index.entry(values_bytes(&values)).or_default();
        if !found.contains(key) {
            found.push(key.clone());
        }
    }
    Ok(())
}

impl FilesReader {
    fn table(&self, name: &TableName) -> Result<&Table> {
        self.folder.table(name).ok_or_else(|| {
            let names: Vec<_> = self.folder.tables.keys().map(String::as_str).collect();
            Error::fatal(format!(
                "there is no table {}.{} in {}; there are, in schema {}: {}",
                name.schema,
                name.name,
                self.folder.options.path.display(),
                self.folder.options.schema,
                names.join(", ")
            ))
        })
    }

    /// Brings the indexes in step with what a look found.
    fn follow(&mut self, looks: Vec<(String, Look)>) -> Result<()> {
        for (name, look) in looks {
            let (Some(indexes), Some(table)) = (self.indexes.get_mut(&name), self.folder.tables.get(&name)) else {
                continue;
            };
            if look.reshaped.is_some() || look.changed.len() * 4 > table.rows.len() {
                indexes.clear();
                continue;
            }
            for (by, index) in indexes {
                add(index, table, &columns(table, by)?, &look.changed)?;
            }
        }
        Ok(())
    }

    /// Makes the index by some columns, if it is not there.
    fn ensure(&mut self, name: &TableName, by: &[String]) -> Result<()> {
        if self.indexes.get(&name.name).is_some_and(|indexes| indexes.contains_key(by)) {
            return Ok(());
        }
        let table = self.table(name)?;
        let (mut index, places) = (Index::new(), columns(table, by)?);
        let keys: Vec<KeyBytes> = table.rows.keys().cloned().collect();
        for keys in keys.chunks(10_000) {
            add(&mut index, table, &places, keys)?;
        }
        self.indexes.entry(name.name.clone()).or_default().insert(by.to_vec(), index);
        Ok(())
    }

    fn read(&mut self, relation: &Relation) -> Result<Vec<Row>> {
        let Relation { table: name, columns: wanted, by, values, filters: conditions, order, limit, .. } = relation;
        let by_key = self.table(name)?.key == *by;
        if !by.is_empty() && !by_key {
            self.ensure(name, by)?;
        }
        let table = self.table(name)?;
        let named = |filter: &Filter| match filter {
            Filter::Condition(condition) => Ok(condition.clone()),
            Filter::Raw(_) => Err(Error::fatal(format!(
                "a condition in the store's own language on table `{}`: files have none",
                table.name
            ))),
        };
        let conditions: Vec<_> = conditions.iter().map(named).collect::<Result<_>>()?;
        // By, wanted, conditions, order: all of them read at once.
        let of_conditions: Vec<String> = conditions.iter().map(|condition| condition.column.clone()).collect();
        let of_order: Vec<String> = order.iter().map(|order| order.column.clone()).collect();
        let places = columns(table, &[by.as_slice(), wanted.as_slice(), &of_conditions, &of_order].concat())?;
        let index = self.indexes.get(&name.name).and_then(|indexes| indexes.get(by.as_slice()));
        let (mut keys, mut ends) = (Vec::new(), Vec::new());
        let whole = [Vec::new()];
        let links: &[Row] = if by.is_empty() { &whole } else { values };
        for link in links {
            if by.is_empty() {
                keys.extend(table.rows.keys().cloned());
            } else if by_key {
                keys.push(key_bytes(link));
            } else if !link.contains(&Value::Null) {
                keys.extend(index.and_then(|index| index.get(&values_bytes(link))).into_iter().flatten().cloned());
            }
            ends.push(keys.len());
        }
        let read = table.values(&keys, &places)?;
        let mut rows = Vec::new();
        let mut from = 0;
        for (link, end) in links.iter().zip(ends) {
            let mut group: Vec<Row> = read.get(from..end).unwrap_or_default().iter().flatten().cloned().collect();
            from = end;
            group.retain(|row| {
                let is_linked =
                    values_bytes(row.get(..by.len()).unwrap_or_default()) == values_bytes(link) || by.is_empty();
                let start = by.len() + wanted.len();
                is_linked
                    && conditions.iter().enumerate().all(|(at, condition)| {
                        row.get(start + at).is_some_and(|value| filters::holds(condition, value))
                    })
            });
            let start = by.len() + wanted.len() + conditions.len();
            group.sort_by(|a, b| {
                let each = order.iter().enumerate().map(|(at, order)| {
                    let (a, b) = (a.get(start + at).unwrap_or(&Value::Null), b.get(start + at).unwrap_or(&Value::Null));
                    if order.descending { filters::order(b, a) } else { filters::order(a, b) }
                });
                each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            });
            if let Some(limit) = limit {
                group.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
            }
            for mut row in group {
                row.truncate(by.len() + wanted.len());
                // The link as it was asked for, whatever type the file gives the column.
                row.splice(..by.len(), link.iter().cloned());
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

impl Reader for FilesReader {
    fn open(settings: Settings) -> Result<Self> {
        let mut folder = Folder::new(settings.parse()?);
        folder.look(Wanted::Rows)?;
        Ok(Self { folder, indexes: HashMap::new() })
    }

    fn primary_key(&mut self, table: TableName) -> Result<Vec<String>> {
        self.table(&table).map(|table| table.key.clone())
    }

    fn begin(&mut self) -> Result<()> {
        let followed = self.folder.look(Wanted::Changes).and_then(|looks| self.follow(looks));
        if followed.is_err() {
            // What was found before the error is in no index.
            self.indexes.clear();
        }
        followed
    }

    fn rows(&mut self, table: TableName, wanted: Vec<String>, keys: Vec<Key>) -> Result<Vec<Row>> {
        let table = self.table(&table)?;
        let places = columns(table, &[table.key.as_slice(), wanted.as_slice()].concat())?;
        let keys: Vec<KeyBytes> = keys.iter().map(key_bytes).collect();
        Ok(table.values(&keys, &places)?.into_iter().flatten().collect())
    }

    fn related(&mut self, relation: Relation) -> Result<Vec<Row>> {
        self.read(&relation)
    }
}

impl BatchReader for FilesReader {
    fn describe(&mut self, tables: Vec<TableName>) -> Result<Vec<Option<TableDescription>>> {
        let describe = |table: &Table| TableDescription {
            key: table.key.clone(),
            columns: table.columns.iter().map(|column| column.name.clone()).collect(),
            tells_before: false,
            extra: None,
        };
        if tables.is_empty() {
            let schema = &self.folder.options.schema;
            let named = |(name, table): (&String, &Table)| {
                let extra = Some(serde_json::json!({ "schema": schema, "name": name }).to_string());
                Some(TableDescription { extra, ..describe(table) })
            };
            return Ok(self.folder.tables.iter().map(named).collect());
        }
        Ok(tables.iter().map(|name| self.folder.table(name).map(describe)).collect())
    }

    fn related_many(&mut self, relations: Vec<Relation>) -> Result<Vec<Vec<Row>>> {
        relations.iter().map(|relation| self.read(relation)).collect()
    }
}
