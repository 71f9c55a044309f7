//! A store in memory: tables of one shape, transactions that say what a source would say, and lookups over any moment.

use super::random::Random;
use super::render::Read;
use crate::links::{Ended, Link, Links};
use crate::lookup::{Hop, Lookup, Pair};
use crate::table_info::{ColumnInfo, Identity, TableInfo};
use crate::{Relation, Unreadable};
use flusso_plugin::{Change, Key, Op, TableInterest, TableName, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The columns of every table. `g` is computed from `f`.
pub(super) const COLUMNS: [&str; 7] = ["id", "k", "f", "h", "d", "e", "g"];

pub(super) type Cells = [Option<i64>; 7];
pub(super) type Rows = BTreeMap<Vec<i64>, Cells>;

/// All tables at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) tables: Vec<Rows>,
}

pub(super) fn column(name: &str) -> usize {
    COLUMNS.iter().position(|column| *column == name).unwrap()
}

pub(super) fn cell(cells: &Cells, name: &str) -> Option<i64> {
    cells[column(name)]
}

fn values(cells: &Cells, names: &[String]) -> Key {
    names.iter().map(|name| cell(cells, name).map_or(Value::Null, Value::Integer)).collect()
}

pub(super) fn integers(key: &[Value]) -> Vec<i64> {
    key.iter().map(|value| if let Value::Integer(it) = value { *it } else { panic!("{value:?}") }).collect()
}

/// The tables' facts, random but for the shape.
pub(super) fn facts(random: &mut Random) -> Vec<TableInfo> {
    // In every other run the store tells keys alone.
    let plain = random.one_in(2);
    let names = [("a", "one"), ("b", "one"), ("a", "two"), ("a", "three"), ("a", "four")];
    names
        .iter()
        .take(2 + random.below(4))
        .map(|(schema, name)| {
            let key: Vec<String> = if random.one_in(3) { vec!["id".into(), "k".into()] } else { vec!["id".into()] };
            let alike = |random: &mut Random| if random.one_in(6) { None } else { Some("integer".to_owned()) };
            let columns = COLUMNS.iter().map(|name| ColumnInfo {
                name: (*name).to_owned(),
                alike: alike(random),
                generated: *name == "g",
            });
            let columns = columns.collect();
            let identity = match random.below(4) {
                _ if plain => Identity::Key,
                0 => Identity::Key,
                1 => Identity::Columns(key.iter().cloned().chain(["f".to_owned()]).collect()),
                _ => Identity::Full,
            };
            TableInfo { name: TableName { schema: (*schema).into(), name: (*name).into() }, key, columns, identity }
        })
        .collect()
}

/// The key of a row.
pub(super) fn key_of(facts: &TableInfo, cells: &Cells) -> Vec<i64> {
    facts.key.iter().map(|name| cell(cells, name).unwrap()).collect()
}

/// A random row; key columns are never null.
pub(super) fn row(random: &mut Random) -> Cells {
    let small = |random: &mut Random| if random.one_in(5) { None } else { Some(random.small()) };
    let mut cells = [None; 7];
    cells[0] = Some(random.small());
    cells[1] = Some(random.small());
    cells[2..6].fill_with(|| small(random));
    computed(cells)
}

pub(super) fn computed(mut cells: Cells) -> Cells {
    cells[6] = cells[2].map(|f| f % 3);
    cells
}

/// What a transaction did, as a source with this interest would tell it.
pub(super) struct Teller<'a> {
    pub(super) facts: &'a [TableInfo],
    pub(super) interest: &'a [TableInterest],
    pub(super) version: u64,
    pub(super) changes: Vec<Change>,
    /// Whether large values are left out now and then.
    pub(super) toast: bool,
}

impl Teller<'_> {
    pub(super) fn truncate(&mut self, table: usize, store: &mut Store) {
        store.tables[table].clear();
        self.push(table, Op::Truncate, Vec::new(), None, None, None);
    }

    pub(super) fn delete(&mut self, table: usize, key: &[i64], store: &mut Store) {
        if let Some(old) = store.tables[table].remove(key) {
            self.push(table, Op::Delete, integer_key(key), Some(&old), None, None);
        }
    }

    /// Inserts, or updates what has this key.
    pub(super) fn put(&mut self, table: usize, new: Cells, store: &mut Store) {
        let key = key_of(&self.facts[table], &new);
        let old = store.tables[table].insert(key.clone(), new);
        self.updated(table, &key, old, new);
    }

    /// Gives a row another key.
    pub(super) fn rekey(&mut self, table: usize, old_key: &[i64], new: Cells, store: &mut Store) {
        let key = key_of(&self.facts[table], &new);
        if key == old_key || store.tables[table].contains_key(&key) {
            return;
        }
        if let Some(old) = store.tables[table].remove(old_key) {
            store.tables[table].insert(key.clone(), new);
            self.push(table, Op::Delete, integer_key(old_key), Some(&old), None, None);
            self.push(table, Op::Upsert, integer_key(&key), None, Some(&new), None);
        }
    }

    fn updated(&mut self, table: usize, key: &[i64], old: Option<Cells>, new: Cells) {
        let number = self.facts[table].name.clone();
        let Some(interest) = self.interest.iter().find(|interest| interest.table == number) else { return };
        let mut told = None;
        if let (Some(old), Identity::Full, Some(reads)) = (&old, &self.facts[table].identity, &interest.reads) {
            // What the store computes is not in its stream.
            let differs = |column: &String| column != "g" && cell(old, column) != cell(&new, column);
            let changed: Vec<u32> = (0..).zip(reads).filter(|(_, read)| differs(read)).map(|(at, _)| at).collect();
            let moved = interest.links.iter().any(|link| cell(old, link) != cell(&new, link));
            if changed.is_empty() && !moved {
                return;
            }
            told = interest.wants_changed.then_some(changed);
        }
        self.push(table, Op::Upsert, integer_key(key), old.as_ref(), Some(&new), told);
    }

    fn push(
        &mut self,
        table: usize,
        op: Op,
        key: Key,
        old: Option<&Cells>,
        new: Option<&Cells>,
        changed: Option<Vec<u32>>,
    ) {
        let facts = &self.facts[table];
        let Some(number) = self.interest.iter().position(|interest| interest.table == facts.name) else { return };
        let links = &self.interest[number].links;
        let told = links.iter().all(|column| facts.sends_old(column));
        let before = old.filter(|_| told && !links.is_empty()).map(|old| values(old, links));
        let left_out = self.toast && changed.is_none() && self.version.is_multiple_of(3);
        let after = new.filter(|_| !links.is_empty() && !left_out).map(|new| values(new, links));
        let table = u32::try_from(number).unwrap();
        self.changes.push(Change { table, op, key, before, after, version: self.version, changed, extra: None });
    }
}

fn integer_key(key: &[i64]) -> Key {
    key.iter().map(|part| Value::Integer(*part)).collect()
}

/// Reads the store at a moment that moves on from question to question.
pub(super) struct Moment<'a> {
    pub(super) facts: &'a [TableInfo],
    pub(super) states: &'a [Store],
    pub(super) now: usize,
    pub(super) random: Random,
    pub(super) rounds: usize,
}

#[derive(Debug)]
pub(super) struct Never;

impl Moment<'_> {
    pub(super) fn pass(&mut self) {
        if self.random.one_in(3) {
            self.now = (self.now + self.random.below(3)).min(self.states.len() - 1);
        }
    }
}

impl Lookup for Moment<'_> {
    type Error = Never;

    fn unreadable(&self, error: Unreadable) -> Never {
        panic!("{error}")
    }

    fn lookup(&mut self, asked: &[Hop<'_>]) -> Result<Vec<Vec<Pair>>, Never> {
        self.rounds += 1;
        assert!(self.rounds < 100_000, "it never ends");
        Ok(asked
            .iter()
            .map(|hop| {
                self.pass();
                let table = self.facts.iter().position(|facts| facts.name == *hop.table).unwrap();
                let wanted: BTreeSet<Vec<i64>> = hop.values.iter().map(|value| integers(value)).collect();
                assert_eq!(wanted.len(), hop.values.len(), "each value once");
                let mut pairs = BTreeSet::new();
                for cells in self.states[self.now].tables[table].values() {
                    let (from, to) = (values(cells, hop.by), values(cells, hop.select));
                    if !from.contains(&Value::Null) && !to.contains(&Value::Null) && wanted.contains(&integers(&from)) {
                        pairs.insert((integers(&to), integers(&from)));
                    }
                }
                let after = hop.after.map(|pair| (integers(&pair.to), integers(&pair.from)));
                pairs
                    .into_iter()
                    .filter(|pair| after.as_ref().is_none_or(|after| pair > after))
                    .take(hop.limit)
                    .map(|(to, from)| Pair { from: integer_key(&from), to: integer_key(&to) })
                    .collect()
            })
            .collect())
    }
}

/// A link table, with what batches ended while they wait for their confirmation.
#[derive(Default)]
pub(super) struct Remembered {
    followed: Vec<(u32, usize, Vec<String>)>,
    links: BTreeSet<Kept>,
    /// Which batch ended a link last.
    waiting: BTreeMap<Kept, u64>,
    batches: BTreeMap<u64, (Vec<Kept>, Vec<u32>)>,
    /// The batch that ended all of a relation, and what was seen since.
    emptied: BTreeMap<u32, (u64, BTreeSet<Kept>)>,
    pub(super) moment: u64,
    asked: BTreeMap<(u32, Vec<i64>), u64>,
    all_asked: BTreeMap<u32, u64>,
    last: u64,
}

/// A link: the relation, the row, the values.
type Kept = (u32, Vec<i64>, Vec<i64>);

impl Remembered {
    pub(super) fn of(relations: &[Relation], facts: &[TableInfo]) -> Self {
        let place = |relation: &Relation| facts.iter().position(|facts| facts.name == relation.table).unwrap();
        let followed = relations.iter().filter(|relation| relation.followed);
        let followed = followed.map(|relation| (relation.number, place(relation), relation.columns.clone()));
        Self { followed: followed.collect(), ..Self::default() }
    }

    /// A build has read these rows. Says whether it was overtaken: then it has to be done again.
    pub(super) fn remember(&mut self, since: u64, reads: &BTreeSet<Read>) -> bool {
        let mut overtaken = false;
        for (table, columns, row, values) in reads {
            let known = |(_, of, by): &&(u32, usize, Vec<String>)| (of, by) == (table, columns);
            let Some((relation, ..)) = self.followed.iter().find(known) else { continue };
            let asked = self.asked.get(&(*relation, row.clone())).max(self.all_asked.get(relation));
            if asked.is_some_and(|asked| *asked > since) {
                overtaken = true;
                continue;
            }
            let link = (*relation, row.clone(), values.clone());
            self.waiting.remove(&link);
            if let Some((_, kept)) = self.emptied.get_mut(relation) {
                kept.insert(link.clone());
            }
            self.links.insert(link);
        }
        overtaken
    }

    /// What a batch ended waits for its confirmation.
    pub(super) fn end(&mut self, ended: &Ended) -> u64 {
        self.last += 1;
        let link = |link: &Link| (link.relation, integers(&link.row), integers(&link.values));
        let links: Vec<Kept> = ended.links.iter().map(link).collect();
        for link in &links {
            self.waiting.insert(link.clone(), self.last);
        }
        for relation in &ended.emptied {
            self.moment += 1;
            self.all_asked.insert(*relation, self.moment);
            self.emptied.insert(*relation, (self.last, BTreeSet::new()));
        }
        self.batches.insert(self.last, (links, ended.emptied.clone()));
        self.last
    }

    /// A batch is durable.
    pub(super) fn confirm(&mut self, batch: u64) {
        let (links, emptied) = self.batches.remove(&batch).unwrap_or_default();
        for link in links {
            if self.waiting.get(&link) == Some(&batch) {
                self.waiting.remove(&link);
                self.links.remove(&link);
            }
        }
        for relation in emptied {
            if self.emptied.get(&relation).is_some_and(|(of, _)| *of == batch) {
                let (_, kept) = self.emptied.remove(&relation).unwrap();
                self.links.retain(|link| link.0 != relation || kept.contains(link));
            }
        }
    }

    /// What is on disk stays.
    pub(super) fn crash(&mut self) {
        let (followed, links) = (std::mem::take(&mut self.followed), std::mem::take(&mut self.links));
        *self = Self { followed, links, ..Self::default() };
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Links of rows that are not there.
    pub(super) fn stale(&self, store: &Store) -> usize {
        let table = |number: u32| self.followed.iter().find(|(of, ..)| *of == number).unwrap().1;
        self.links.iter().filter(|(relation, row, _)| !store.tables[table(*relation)].contains_key(row)).count()
    }
}

impl Links<Never> for Remembered {
    fn parents(&mut self, relation: u32, rows: &[Key]) -> Result<Vec<Vec<Key>>, Never> {
        self.moment += 1;
        let known = |row: &Key| {
            let row = integers(row);
            self.asked.insert((relation, row.clone()), self.moment);
            let links = self.links.iter().filter(|link| (link.0, &link.1) == (relation, &row));
            links.map(|(.., values)| integer_key(values)).collect()
        };
        Ok(rows.iter().map(known).collect())
    }
}
