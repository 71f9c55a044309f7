//! A store in memory: tables of one shape, transactions that say what a source would say, and lookups over any moment.

use super::random::Random;
use crate::facts::{ColumnFacts, Identity, TableFacts};
use crate::links::{Link, Links};
use crate::lookup::{Hop, Lookup, Pair};
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
pub(super) fn facts(random: &mut Random) -> Vec<TableFacts> {
    let names = [("a", "one"), ("b", "one"), ("a", "two"), ("a", "three"), ("a", "four")];
    names
        .iter()
        .take(2 + random.below(4))
        .map(|(schema, name)| {
            let key: Vec<String> = if random.one_in(3) { vec!["id".into(), "k".into()] } else { vec!["id".into()] };
            let alike = |random: &mut Random| if random.one_in(6) { None } else { Some("integer".to_owned()) };
            let columns = COLUMNS.iter().map(|name| ColumnFacts {
                name: (*name).to_owned(),
                alike: alike(random),
                generated: *name == "g",
            });
            let columns = columns.collect();
            let identity = match random.below(4) {
                0 => Identity::Key,
                1 => Identity::Columns(key.iter().cloned().chain(["f".to_owned()]).collect()),
                _ => Identity::Full,
            };
            TableFacts { name: TableName { schema: (*schema).into(), name: (*name).into() }, key, columns, identity }
        })
        .collect()
}

/// The key of a row.
pub(super) fn key_of(facts: &TableFacts, cells: &Cells) -> Vec<i64> {
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
    pub(super) facts: &'a [TableFacts],
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
        let mut extra = None;
        if let (Some(old), Identity::Full, Some(reads)) = (&old, &self.facts[table].identity, &interest.reads) {
            // What the store computes is not in its stream.
            let differs = |column: &String| column != "g" && cell(old, column) != cell(&new, column);
            let changed: Vec<usize> = (0..reads.len()).filter(|at| differs(&reads[*at])).collect();
            let moved = interest.links.iter().any(|link| cell(old, link) != cell(&new, link));
            if changed.is_empty() && !moved {
                return;
            }
            extra = interest.extra.as_ref().map(|_| format!("{{\"changed\":{changed:?}}}"));
        }
        self.push(table, Op::Upsert, integer_key(key), old.as_ref(), Some(&new), extra);
    }

    fn push(
        &mut self,
        table: usize,
        op: Op,
        key: Key,
        old: Option<&Cells>,
        new: Option<&Cells>,
        extra: Option<String>,
    ) {
        let facts = &self.facts[table];
        let Some(number) = self.interest.iter().position(|interest| interest.table == facts.name) else { return };
        let links = &self.interest[number].links;
        let told = links.iter().all(|column| facts.tells(column));
        let before = old.filter(|_| told && !links.is_empty()).map(|old| values(old, links));
        let left_out = self.toast && extra.is_none() && self.version.is_multiple_of(3);
        let after = new.filter(|_| !links.is_empty() && !left_out).map(|new| values(new, links));
        let table = u32::try_from(number).unwrap();
        self.changes.push(Change { table, op, key, before, after, version: self.version, extra });
    }
}

fn integer_key(key: &[i64]) -> Key {
    key.iter().map(|part| Value::Integer(*part)).collect()
}

/// Reads the store at a moment that moves on from question to question.
pub(super) struct Moment<'a> {
    pub(super) facts: &'a [TableFacts],
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

/// A link table that never forgets.
#[derive(Default)]
pub(super) struct Remembered {
    links: BTreeMap<(u32, Vec<i64>), BTreeSet<Vec<i64>>>,
}

impl Remembered {
    /// What a build would see: the links of every row there is.
    pub(super) fn see(&mut self, relations: &[Relation], facts: &[TableFacts], store: &Store) {
        for relation in relations.iter().filter(|relation| !relation.tracing.is_exact()) {
            let table = facts.iter().position(|facts| facts.name == relation.table).unwrap();
            for (key, cells) in &store.tables[table] {
                let links = values(cells, &relation.columns);
                if !links.contains(&Value::Null) {
                    self.links.entry((relation.number, key.clone())).or_default().insert(integers(&links));
                }
            }
        }
    }
}

impl Links<Never> for Remembered {
    fn remember(&mut self, links: &[Link]) -> Result<(), Never> {
        for link in links.iter().filter(|link| !link.values.contains(&Value::Null)) {
            self.links.entry((link.relation, integers(&link.row))).or_default().insert(integers(&link.values));
        }
        Ok(())
    }

    fn parents(&mut self, relation: u32, rows: &[Key]) -> Result<Vec<Vec<Key>>, Never> {
        let known = |row: &Key| self.links.get(&(relation, integers(row))).cloned().unwrap_or_default();
        Ok(rows.iter().map(|row| known(row).iter().map(|key| integer_key(key)).collect()).collect())
    }
}
