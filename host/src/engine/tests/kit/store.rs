//! The simulated store: two tables, their rows, and a log of transactions.
//!
//! `items` (key, parent, value) is the root of index `items`; `groups` (key, value) of index `groups`, whose documents
//! list the items that name the group as parent: so one item's change touches one or two groups.

use std::collections::BTreeMap;

use crate::model::{Change, Event, Key, Op, TableChanged, TableNumber, Value};

/// The table and the index of items.
pub(crate) const ITEMS: u32 = 0;
/// The table and the index of groups.
pub(crate) const GROUPS: u32 = 1;
/// Their names.
pub(crate) const NAMES: [&str; 2] = ["items", "groups"];

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) parent: i64,
    pub(crate) value: String,
}

pub(crate) type Tables = [BTreeMap<i64, Row>; 2];

/// One step of a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Put(TableNumber, i64, Row),
    Remove(TableNumber, i64),
    Truncate(TableNumber),
    Reshape(TableNumber),
}

pub(crate) fn item(key: i64, parent: i64, value: &str) -> Edit {
    Edit::Put(ITEMS, key, Row { parent, value: value.to_owned() })
}

pub(crate) fn group(key: i64, value: &str) -> Edit {
    Edit::Put(GROUPS, key, Row { parent: 0, value: value.to_owned() })
}

pub(crate) fn remove(table: TableNumber, key: i64) -> Edit {
    Edit::Remove(table, key)
}

pub(crate) fn truncate(table: TableNumber) -> Edit {
    Edit::Truncate(table)
}

/// A committed transaction.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) edits: Vec<Edit>,
    pub(crate) events: Vec<Event>,
    /// The documents it touches: index and key.
    pub(crate) touches: Vec<(u32, i64)>,
    /// Those of them that only what was there before leads to.
    pub(crate) left: Vec<(u32, i64)>,
}

#[derive(Default)]
pub(crate) struct Store {
    /// Tables that the next inspection says are not recorded.
    pub(crate) unrecorded: Vec<u32>,
    /// As every new read sees them.
    pub(crate) rows: Tables,
    /// As the last committed transaction left them.
    latest: Tables,
    pub(crate) log: Vec<Transaction>,
    /// How many transactions every new read sees.
    pub(crate) visible: usize,
    pub(crate) slot: Option<Slot>,
    pub(crate) histories: u64,
}

/// What the store keeps for the host.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) history: String,
    pub(crate) start: u64,
    pub(crate) confirmed: u64,
}

pub(crate) fn key(key: i64) -> Key {
    Key::from(Value::Integer(key))
}

pub(crate) fn integer(key: &Key) -> i64 {
    match key.parts() {
        [Value::Integer(key)] => *key,
        other => panic!("{other:?} is not a key of the kit"),
    }
}

impl Store {
    /// Commits a transaction; other sessions see it once it is revealed.
    pub(crate) fn commit(&mut self, edits: Vec<Edit>) -> u64 {
        let version = self.log.len() as u64 + 1;
        let mut events = Vec::new();
        let (mut touches, mut left) = (Vec::new(), Vec::new());
        let links = |row: &Row| vec![Value::Integer(row.parent)];
        for edit in &edits {
            let (table, op, at, before, after) = match edit {
                Edit::Put(table, at, row) => {
                    let before = self.latest[*table as usize].get(at).map(links);
                    (*table, Op::Upsert, Some(*at), before, Some(links(row)))
                }
                Edit::Remove(table, at) => {
                    let Some(row) = self.latest[*table as usize].get(at) else { continue };
                    (*table, Op::Delete, Some(*at), Some(links(row)), None)
                }
                Edit::Truncate(table) => (*table, Op::Truncate, None, None, None),
                Edit::Reshape(table) => {
                    events.push(Event::TableChanged(TableChanged { table: *table, detail: "reshaped".to_owned() }));
                    continue;
                }
            };
            if let Some(at) = at {
                touches.push((table, at));
            }
            if table == ITEMS {
                for row in before.iter().chain(&after) {
                    let [Value::Integer(parent)] = row.as_slice() else { continue };
                    touches.push((GROUPS, *parent));
                }
                let parents =
                    before.iter().flatten().filter_map(|it| if let Value::Integer(it) = it { Some(*it) } else { None });
                left.extend(parents.map(|parent| (GROUPS, parent)));
            }
            let key = at.map_or_else(|| Key::new(Vec::new()), key);
            events.push(Event::Change(Change { table, op, key, before, after, version, changed: None, extra: None }));
            apply(&mut self.latest, edit);
        }
        let after = |touch: &(u32, i64)| {
            events.iter().any(|event| match event {
                Event::Change(change) if change.table == ITEMS => {
                    change.after.as_deref() == Some(&[Value::Integer(touch.1)])
                }
                Event::Change(change) => {
                    (change.table, change.op) != (GROUPS, Op::Truncate) && change.key == key(touch.1)
                }
                _ => false,
            })
        };
        left.retain(|touch| !after(touch));
        self.log.push(Transaction { edits, events, touches, left });
        version
    }

    /// Lets every new read see one more transaction.
    pub(crate) fn reveal(&mut self) -> bool {
        let Some(transaction) = self.log.get(self.visible) else { return false };
        for edit in &transaction.edits {
            apply(&mut self.rows, edit);
        }
        self.visible += 1;
        true
    }

    /// The content of a document, from the rows alone: the oracle that every sink is compared with.
    pub(crate) fn document(&self, index: u32, at: i64) -> Option<String> {
        let [items, groups] = &self.rows;
        if index == ITEMS {
            return items.get(&at).map(|row| format!("item {at} of {}: {}", row.parent, row.value));
        }
        let row = groups.get(&at)?;
        let of = items.iter().filter(|(_, item)| item.parent == at);
        let of: Vec<_> = of.map(|(key, item)| format!("{key}={}", item.value)).collect();
        Some(format!("group {at} {}: {}", row.value, of.join(",")))
    }
}

fn apply(tables: &mut Tables, edit: &Edit) {
    match edit {
        Edit::Put(table, at, row) => {
            tables[*table as usize].insert(*at, row.clone());
        }
        Edit::Remove(table, at) => {
            tables[*table as usize].remove(at);
        }
        Edit::Truncate(table) => tables[*table as usize].clear(),
        Edit::Reshape(_) => {}
    }
}
