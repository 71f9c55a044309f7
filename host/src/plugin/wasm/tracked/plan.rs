//! What a tracked builder offers, checked against the tables of the source: the tables whose changes are wanted, the relations by
//! which lookups go, and which documents a change of a column can touch.

use std::collections::HashSet;

use crate::engine::stage::Description;
use crate::model::{IndexNumber, Mapping, Scope, TableInterest, TableName, TableNumber};

/// A table that a build looks up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableRead {
    pub(super) table: TableName,
    pub(super) columns: Vec<String>,
    pub(super) by: Vec<Vec<String>>,
}

/// An index as the builder offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) mapping: Mapping,
    pub(super) root: TableName,
    pub(super) columns: Vec<String>,
    pub(super) reads: Vec<TableRead>,
}

impl Offer {
    /// The tables that it names, with the columns it reads of each.
    fn tables(&self) -> impl Iterator<Item = (&TableName, &[String])> {
        let reads = self.reads.iter().map(|read| (&read.table, read.columns.as_slice()));
        std::iter::once((&self.root, self.columns.as_slice())).chain(reads)
    }
}

/// What the source says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plugin::wasm) struct TableDescription {
    /// Its name, where every table was asked for.
    pub(in crate::plugin::wasm) name: Option<TableName>,
    /// The columns of its primary key; empty: none.
    pub(in crate::plugin::wasm) key: Vec<String>,
    /// All its columns; `None`: the source does not say.
    pub(in crate::plugin::wasm) columns: Option<Vec<String>>,
    /// Whether changes carry the values of before.
    pub(in crate::plugin::wasm) tells_before: bool,
    /// The columns that hold values as equal which look different.
    pub(in crate::plugin::wasm) looking_different: Vec<String>,
}

/// A way by which rows of a table are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) by: Vec<String>,
    /// The name of its lookups in the link table.
    pub(super) name: String,
    /// Where the values stand in [`TableInterest::links`]; in the key, where `in_key` says so.
    pub(super) places: Vec<usize>,
    pub(super) in_key: bool,
    /// The name under which the values of rows that were read are recorded, where changes do not tell the old ones.
    pub(super) rows: Option<String>,
}

/// A table that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: TableName,
    pub(super) key: Vec<String>,
    pub(super) relations: Vec<Relation>,
    /// The indexes that are rooted in it.
    pub(super) roots: Vec<IndexNumber>,
    /// The indexes that read all of it.
    pub(super) whole: Vec<IndexNumber>,
    /// By index: the places in [`TableInterest::reads`] of the columns that its documents are made of; empty: it does not read the
    /// table.
    pub(super) read_by: Vec<HashSet<u32>>,
}

/// Everything that is known of a builder before it builds.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) description: Description,
    pub(super) offers: Vec<Offer>,
    pub(super) tables: Vec<Table>,
}

/// The tables that offers name, each once, in the order in which they are first named.
pub(super) fn tables(offers: &[Offer]) -> Vec<TableName> {
    let mut tables: Vec<TableName> = Vec::new();
    for (table, _) in offers.iter().flat_map(Offer::tables) {
        if !tables.contains(table) {
            tables.push(table.clone());
        }
    }
    tables
}

/// The name under which the documents of an index are recorded.
pub(super) fn documents_name(index: &str) -> String {
    format!("documents of {index}")
}

impl Plan {
    /// Puts offers and what the source says of their tables (in the order of [`tables`]) together.
    ///
    /// # Errors
    ///
    /// What does not fit, with index, table and remedy.
    pub(super) fn new(offers: Vec<Offer>, described: &[(TableName, Option<TableDescription>)]) -> Result<Self, String> {
        let mut indexes = HashSet::new();
        for offer in &offers {
            if !indexes.insert(&offer.mapping.index) {
                return Err(format!(
                    "offers the index {:?} twice; give each index a name of its own",
                    offer.mapping.index
                ));
            }
            check(offer, described)?;
        }
        let (mut tables, mut interest) = (Vec::new(), Vec::new());
        for (name, found) in described {
            let Some(found) = found else { continue };
            let (table, wanted) = table(name, found, &offers);
            tables.push(table);
            interest.push(wanted);
        }
        let number = |name: &TableName| tables.iter().position(|table: &Table| table.name == *name).unwrap_or_default();
        let scope = |(index, offer): (usize, &Offer)| Scope {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            root: u32::try_from(number(&offer.root)).unwrap_or(u32::MAX),
            recorded_relations: recorded(offer, &tables),
        };
        let scopes = offers.iter().enumerate().map(scope).collect();
        let mappings = offers.iter().map(|offer| offer.mapping.clone()).collect();
        Ok(Self { description: Description { mappings, scopes, interest }, offers, tables })
    }

    /// The table of this name.
    pub(super) fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == *name)
    }

    /// The indexes whose documents are made of a table.
    pub(super) fn readers(&self, table: TableNumber) -> Vec<IndexNumber> {
        let Some(table) = self.tables.get(table as usize) else { return Vec::new() };
        let reads = |index: &IndexNumber| table.read_by.get(*index as usize).is_some_and(|read| !read.is_empty());
        (0..u32::try_from(self.offers.len()).unwrap_or(u32::MAX)).filter(reads).collect()
    }
}

/// The names under which the builds of an index record what they read.
fn recorded(offer: &Offer, tables: &[Table]) -> Vec<String> {
    let mut names = vec![documents_name(&offer.mapping.index)];
    for read in &offer.reads {
        let Some(table) = tables.iter().find(|table| table.name == read.table) else { continue };
        let used = table.relations.iter().filter(|relation| read.by.contains(&relation.by));
        names.extend(used.flat_map(|relation| std::iter::once(relation.name.clone()).chain(relation.rows.clone())));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// What is wrong with an offer.
fn check(offer: &Offer, described: &[(TableName, Option<TableDescription>)]) -> Result<(), String> {
    let index = &offer.mapping.index;
    let description =
        |table: &TableName| described.iter().find(|(name, _)| name == table).and_then(|(_, found)| found.as_ref());
    for (table, columns) in offer.tables() {
        let Some(found) = description(table) else {
            return Err(format!(
                "reads {table} for the index {index:?}, and the source has no such table; create it, or correct the name in the builder"
            ));
        };
        if let Some(known) = &found.columns
            && let Some(unknown) = columns.iter().find(|column| !known.contains(column))
        {
            return Err(format!(
                "reads the column {unknown:?} of {table} for the index {index:?}, and the table has {}; correct the name in the builder",
                known.join(", ")
            ));
        }
        if *table == offer.root && found.key.is_empty() {
            return Err(format!(
                "roots the index {index:?} in {table}, which has no primary key: its documents would have no id; add one, or root the index in another table"
            ));
        }
    }
    for read in &offer.reads {
        let unread = read.by.iter().flatten().find(|column| !read.columns.contains(column));
        if let Some(column) = unread {
            return Err(format!(
                "looks up {} by {column:?} for the index {index:?} without reading that column; name it among the columns of the table",
                read.table
            ));
        }
        let looking_different = description(&read.table).map(|found| found.looking_different.as_slice());
        let mut by = read.by.iter().flatten();
        if let Some(column) = by.find(|column| looking_different.unwrap_or_default().contains(column)) {
            return Err(format!(
                "looks up {} by {column:?} for the index {index:?}, a column that holds values as equal which look different: changes of them would go unnoticed; look rows up by another column and filter by this one, or give it a type such as text",
                read.table
            ));
        }
        if read.by.is_empty() {
            return Err(format!(
                "reads {} for the index {index:?} and names no columns to look it up by; name some, or an empty list to read the whole table",
                read.table
            ));
        }
    }
    Ok(())
}

/// A table as all offers together read it, and the changes of it that are wanted.
fn table(name: &TableName, found: &TableDescription, offers: &[Offer]) -> (Table, TableInterest) {
    let mut columns: Vec<String> = Vec::new();
    let mut ways: Vec<Vec<String>> = Vec::new();
    let mut table = Table {
        name: name.clone(),
        key: found.key.clone(),
        relations: Vec::new(),
        roots: Vec::new(),
        whole: Vec::new(),
        read_by: vec![HashSet::new(); offers.len()],
    };
    for (number, offer) in offers.iter().enumerate() {
        let index = u32::try_from(number).unwrap_or(u32::MAX);
        if offer.root == *name {
            table.roots.push(index);
        }
        for read in offer.reads.iter().filter(|read| read.table == *name) {
            for by in &read.by {
                if by.is_empty() {
                    table.whole.push(index);
                } else if !ways.contains(by) {
                    ways.push(by.clone());
                }
            }
        }
        for column in offer.tables().filter(|(table, _)| *table == name).flat_map(|(_, columns)| columns) {
            let place = columns.iter().position(|known| known == column).unwrap_or_else(|| {
                columns.push(column.clone());
                columns.len() - 1
            });
            if let Some(read) = table.read_by.get_mut(number) {
                read.insert(u32::try_from(place).unwrap_or(u32::MAX));
            }
        }
    }
    let mut links: Vec<String> = Vec::new();
    for by in ways {
        let in_key = !found.key.is_empty() && by.iter().all(|column| found.key.contains(column));
        let mut place = |column: &String| {
            if in_key {
                return found.key.iter().position(|key| key == column).unwrap_or_default();
            }
            links.iter().position(|link| link == column).unwrap_or_else(|| {
                links.push(column.clone());
                links.len() - 1
            })
        };
        let places = by.iter().map(&mut place).collect();
        let untold = !in_key && !found.tells_before && !found.key.is_empty();
        let way = format!("{name} by {}", by.join(", "));
        table.relations.push(Relation {
            name: format!("lookups of {way}"),
            rows: untold.then(|| format!("rows of {way}")),
            by,
            places,
            in_key,
        });
    }
    let wanted = TableInterest {
        table: name.clone(),
        key: found.key.clone(),
        links,
        reads: Some(columns),
        wants_changed: true,
        extra: None,
    };
    (table, wanted)
}
