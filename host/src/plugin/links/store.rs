//! The records of the link table in the state folder's database.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;

use redb::{
    Database, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction,
};

use super::encoding::{self, Row};
use super::link_buffer::LinkBuffer;
use crate::plugin::state::StateError;

/// Records; see [`encoding`].
const LINKS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("links");
/// From a relation's name to its number.
const RELATIONS: TableDefinition<'_, &str, u16> = TableDefinition::new("link relations");
/// Bytes of all records together.
const SIZE: TableDefinition<'_, (), u64> = TableDefinition::new("link size");

/// The numbers of relations. A relation without a link on disk has its number in memory alone.
#[derive(Default)]
pub(super) struct Relations {
    numbers: HashMap<String, u16>,
    unwritten: Vec<String>,
    /// The relations by which documents of an index are looked up by their own keys, each with the index. Kept among the names.
    by_own_key: HashSet<(u16, u16)>,
}

/// Stands before the names that say of a relation and an index, by their numbers, that documents are looked up by their own keys.
const BY_OWN_KEY: &str = "by own key ";

fn own_key_name(relation: u16, index: u16) -> String {
    format!("{BY_OWN_KEY}{relation} {index}")
}

fn own_key_numbers(name: &str) -> Option<(u16, u16)> {
    let (relation, index) = name.strip_prefix(BY_OWN_KEY)?.split_once(' ')?;
    Some((relation.parse().ok()?, index.parse().ok()?))
}

impl Relations {
    /// A relation's number.
    pub(super) fn number(&mut self, name: &str) -> Result<u16, StateError> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let taken = |number: &u16| self.numbers.values().any(|other| other == number);
        let number = (0..=u16::MAX).find(|number| !taken(number)).ok_or(StateError::Links)?;
        self.numbers.insert(name.to_owned(), number);
        self.unwritten.push(name.to_owned());
        Ok(number)
    }

    /// Whether it is to be written that documents are looked up by their own keys; numbers are written with the first links.
    pub(super) fn has_unwritten_own_keys(&self) -> bool {
        self.unwritten.iter().any(|name| own_key_numbers(name).is_some())
    }

    /// Whether documents of an index are looked up by their own keys in a relation.
    pub(super) fn goes_by_own_key(&self, relation: u16, index: u16) -> bool {
        self.by_own_key.contains(&(relation, index))
    }

    /// Documents of an index are looked up by their own keys in a relation, from now on.
    pub(super) fn set_by_own_key(&mut self, relation: u16, index: u16) -> Result<(), StateError> {
        if self.by_own_key.insert((relation, index)) {
            self.number(&own_key_name(relation, index))?;
        }
        Ok(())
    }

    /// The relations that are not among these.
    pub(super) fn others(&self, names: &[String]) -> Vec<(String, u16)> {
        let kept: Vec<u16> = names.iter().filter_map(|name| self.numbers.get(name).copied()).collect();
        let is_other = |name: &String| match own_key_numbers(name) {
            Some((relation, index)) => !kept.contains(&relation) || !kept.contains(&index),
            None => !names.contains(name),
        };
        let others = self.numbers.iter().filter(|(name, _)| is_other(name));
        others.map(|(name, number)| (name.clone(), *number)).collect()
    }

    /// Forgets one.
    pub(super) fn forget(&mut self, name: &str) {
        self.numbers.remove(name);
        if let Some(numbers) = own_key_numbers(name) {
            self.by_own_key.remove(&numbers);
        }
        self.unwritten.retain(|unwritten| unwritten != name);
    }
}

/// The relations in a database.
pub(super) fn relations(database: &Database) -> Result<Relations, StateError> {
    let mut relations = Relations::default();
    match database.begin_read()?.open_table(RELATIONS) {
        Ok(table) => {
            for entry in table.iter()? {
                let (name, number) = entry?;
                relations.by_own_key.extend(own_key_numbers(name.value()));
                relations.numbers.insert(name.value().to_owned(), number.value());
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(relations)
}

/// How many bytes all records have.
#[cfg(test)]
pub(super) fn size(reading: &redb::ReadTransaction) -> Result<u64, StateError> {
    match reading.open_table(SIZE) {
        Ok(table) => Ok(table.get(())?.map_or(0, |size| size.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// For each row its links.
pub(super) fn find(database: &Database, rows: &[Row]) -> Result<Vec<Vec<Vec<u8>>>, StateError> {
    let reading = Reading::begin(database)?;
    rows.iter().map(|row| reading.links(row)).collect()
}

/// What is on disk, as it is now.
pub(super) struct Reading(Option<ReadOnlyTable<&'static [u8], &'static [u8]>>);

impl Reading {
    pub(super) fn begin(database: &Database) -> Result<Self, StateError> {
        match database.begin_read()?.open_table(LINKS) {
            Ok(table) => Ok(Self(Some(table))),
            Err(TableError::TableDoesNotExist(_)) => Ok(Self(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// The links of a row.
    pub(super) fn links(&self, row: &[u8]) -> Result<Vec<Vec<u8>>, StateError> {
        let (key, last) = encoding::record_key(row);
        let Some(record) = self.0.as_ref().map(|table| table.get(key)).transpose()?.flatten() else {
            return Ok(Vec::new());
        };
        let own = encoding::entries(record.value()).skip_while(|(byte, _)| *byte < last);
        Ok(own.take_while(|(byte, _)| *byte == last).map(|(_, link)| link.to_vec()).collect())
    }

    /// The rows that begin with a prefix, from one on, in order: at most `max`. Each is longer than the prefix.
    pub(super) fn scan(&self, prefix: &[u8], start: &[u8], max: usize) -> Result<Vec<Row>, StateError> {
        let Some(table) = &self.0 else { return Ok(Vec::new()) };
        let (from, first) = encoding::first_record(prefix, start);
        let mut rows: Vec<Row> = Vec::new();
        for record in table.range(from..)? {
            let (key, record) = record?;
            let key = key.value();
            if rows.len() >= max || !key.starts_with(prefix) {
                break;
            }
            let mut before = None;
            for (last, _) in encoding::entries(record.value()) {
                if before != Some(last) && (key != from || last >= first) && rows.len() < max {
                    rows.push([key, &[last]].concat());
                }
                before = Some(last);
            }
        }
        Ok(rows)
    }
}

/// Which of some rows can have links on disk, by one look at the range between them: pages of a seed lie where nothing is yet.
/// Their first and their last record may be shared with neighbours, so rows in these can have some as well.
pub(super) struct Stored<'a> {
    first: &'a [u8],
    last: &'a [u8],
    between: bool,
}

impl<'a> Stored<'a> {
    /// Looks at the range of the records between these rows, in any order.
    pub(super) fn among(database: &Database, rows: impl Iterator<Item = &'a Row> + Clone) -> Result<Self, StateError> {
        let keys = rows.map(|row| encoding::record_key(row).0);
        let (first, last) = (keys.clone().min().unwrap_or_default(), keys.max().unwrap_or_default());
        let between = match &Reading::begin(database)?.0 {
            Some(table) if first < last => {
                let records = table.range::<&[u8]>((Bound::Excluded(first), Bound::Excluded(last)))?.next();
                records.transpose()?.is_some()
            }
            Some(_) | None => false,
        };
        Ok(Self { first, last, between })
    }

    /// Whether the row can have links.
    pub(super) fn may_have(&self, row: &Row) -> bool {
        let key = encoding::record_key(row).0;
        self.between || key == self.first || key == self.last
    }
}

/// Of some sorted links, those that are not on disk.
pub(super) fn missing(database: &Database, links: LinkBuffer) -> Result<LinkBuffer, StateError> {
    let reading = database.begin_read()?;
    let table = match reading.open_table(LINKS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(links),
        Err(error) => return Err(error.into()),
    };
    let mut missing = Vec::with_capacity(links.len());
    for (key, entries) in links.records() {
        let record = table.get(key)?;
        let mut found = encoding::entries(record.as_ref().map_or(&[][..], |record| record.value())).peekable();
        for entry in entries {
            while found.next_if(|other| *other < entry).is_some() {}
            missing.push(found.peek() != Some(&entry));
        }
    }
    Ok(links.keep(&missing))
}

/// Adds sorted links.
pub(super) fn add(
    writing: &WriteTransaction,
    relations: &mut Relations,
    links: &LinkBuffer,
    limit: u64,
) -> Result<(), StateError> {
    let mut names = writing.open_table(RELATIONS)?;
    for name in relations.unwritten.drain(..) {
        names.insert(name.as_str(), relations.numbers.get(&name).copied().unwrap_or_default())?;
    }
    let mut table = writing.open_table(LINKS)?;
    let mut more = 0;
    for (key, entries) in links.records() {
        let after = {
            let record = table.get(key)?;
            let before = record.as_ref().map_or(&[][..], |record| record.value());
            let Some(after) = encoding::merge(before, &entries) else { continue };
            more += after.len() - before.len() + if record.is_some() { 0 } else { key.len() };
            after
        };
        table.insert(key, after.as_slice())?;
    }
    let wanted = resize(writing, |size| size.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)))?;
    if wanted > limit { Err(StateError::TooManyLinks { wanted, limit }) } else { Ok(()) }
}

/// Removes sorted links; a link that is not there is no error.
pub(super) fn remove(writing: &WriteTransaction, links: &LinkBuffer) -> Result<(), StateError> {
    if links.is_empty() {
        return Ok(());
    }
    let mut table = writing.open_table(LINKS)?;
    let mut fewer = 0;
    for (key, entries) in links.records() {
        let (before, after) = {
            let Some(record) = table.get(key)? else { continue };
            (record.value().len(), encoding::subtract(record.value(), &entries))
        };
        fewer += before - after.len();
        if after.is_empty() {
            fewer += key.len();
            table.remove(key)?;
        } else if after.len() < before {
            table.insert(key, after.as_slice())?;
        }
    }
    shrink(writing, fewer)
}

/// Removes the records of a relation, except those of some rows, which are in the order of the records.
pub(super) fn empty_relation(writing: &WriteTransaction, relation: u16, kept: &[Row]) -> Result<(), StateError> {
    let mut table = writing.open_table(LINKS)?;
    let mut fewer = 0_usize;
    let stays = |key: &[u8], record: &[u8]| {
        let from = kept.partition_point(|row| encoding::record_key(row).0 < key);
        let found = kept.get(from).is_some_and(|row| encoding::record_key(row).0 == key);
        if !found {
            fewer += key.len() + record.len();
        }
        found
    };
    let start = relation.to_be_bytes();
    match relation.checked_add(1).map(u16::to_be_bytes) {
        Some(end) => table.retain_in(&start[..]..&end[..], stays)?,
        None => table.retain_in(&start[..].., stays)?,
    }
    drop(table);
    shrink(writing, fewer)
}

/// Forgets a relation's name.
pub(super) fn forget_relation(writing: &WriteTransaction, name: &str) -> Result<(), StateError> {
    writing.open_table(RELATIONS)?.remove(name)?;
    Ok(())
}

fn shrink(writing: &WriteTransaction, bytes: usize) -> Result<(), StateError> {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    resize(writing, |size| size.saturating_sub(bytes)).map(drop)
}

/// Stores the size of all records together.
fn resize(writing: &WriteTransaction, change: impl FnOnce(u64) -> u64) -> Result<u64, StateError> {
    let mut table = writing.open_table(SIZE)?;
    let size = change(table.get(())?.map_or(0, |size| size.value()));
    table.insert((), size)?;
    Ok(size)
}
