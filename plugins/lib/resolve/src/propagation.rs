//! Propagates link values upwards to document keys, step by step. A step looks up everything new at once. A lookup that filled
//! its page is continued only when nothing new is left, and then one at a time, the newest first. So the memory in use is bounded
//! by the groups, the hops and the page size, and never by how many documents a change touches.

use crate::graph::Resolver;
use crate::key::code;
use crate::lookup::{Hop, Lookup, Pair};
use flusso_plugin::{DocumentId, Key, Value};
use std::collections::{HashMap, HashSet};

/// What is not resolved yet.
#[derive(Debug, Default)]
pub(crate) struct Frontier {
    /// Documents found and not returned yet, with the number of the first change that touched them.
    pub(crate) found: Vec<(DocumentId, u32)>,
    /// Values that were not looked up yet.
    pub(crate) fresh: Vec<Group>,
    /// Lookups whose result filled its page, the oldest first.
    pub(crate) unfinished: Vec<(Group, Pair)>,
    known: HashSet<(u32, Vec<u8>)>,
}

/// Values by which rows of a node are looked up.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) entry: usize,
    pub(crate) values: Vec<Key>,
    /// For each value the number of the change it came from.
    pub(crate) ranks: Vec<u32>,
    places: HashMap<Vec<u8>, usize>,
}

impl Group {
    pub(crate) fn new(entry: usize) -> Self {
        Self { entry, ..Self::default() }
    }

    pub(crate) fn add(&mut self, values: Key, rank: u32) {
        let code = code(&values);
        match self.places.get(&code).and_then(|at| self.ranks.get_mut(*at)) {
            Some(known) => *known = rank.min(*known),
            None => {
                self.places.insert(code, self.values.len());
                self.values.push(values);
                self.ranks.push(rank);
            }
        }
    }

    /// The number of the change that a value came from. A value that only the store finds equal came from any of them.
    fn rank(&self, values: &[Value]) -> u32 {
        let at = self.places.get(&code(values)).and_then(|at| self.ranks.get(*at)).copied();
        at.or_else(|| self.ranks.iter().min().copied()).unwrap_or(0)
    }
}

impl Frontier {
    /// Adds a document, by the key of its root row. A row whose key contains a null is no document.
    pub(crate) fn document(&mut self, index: u32, key: Key, rank: u32) {
        if !key.contains(&Value::Null) && self.known.insert((index, code(&key))) {
            self.found.push((DocumentId { index, key }, rank));
        }
    }

    /// Adds the link values of a row, to be looked up at `entry`. A null matches no row.
    pub(crate) fn add_values(&mut self, entry: usize, values: Key, rank: u32) {
        if values.contains(&Value::Null) {
            return;
        }
        match self.fresh.iter_mut().find(|group| group.entry == entry) {
            Some(group) => group.add(values, rank),
            None => {
                let mut group = Group::new(entry);
                group.add(values, rank);
                self.fresh.push(group);
            }
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.fresh.is_empty() && self.unfinished.is_empty()
    }
}

impl Resolver {
    /// Propagates until there are `max` documents or nothing is left.
    pub(crate) fn run<L: Lookup>(&self, work: &mut Frontier, max: usize, lookup: &mut L) -> Result<(), L::Error> {
        loop {
            self.skip_without_lookup(work);
            if work.found.len() >= max || work.is_done() {
                return Ok(());
            }
            self.round(work, lookup)?;
        }
    }

    /// Takes every step that needs no lookup.
    fn skip_without_lookup(&self, work: &mut Frontier) {
        while let Some(at) = work
            .fresh
            .iter()
            .position(|group| self.entries.get(group.entry).is_none_or(|entry| entry.through.is_some()))
        {
            let group = work.fresh.swap_remove(at);
            let Some(entry) = self.entries.get(group.entry) else { continue };
            let Some(places) = &entry.through else { continue };
            for (values, rank) in group.values.into_iter().zip(group.ranks) {
                let on = places.iter().filter_map(|place| values.get(*place).cloned()).collect();
                self.ascend(work, entry.node, on, rank);
            }
        }
    }

    /// Takes the link values of a row at `node` one level up: to a document, or to the next lookup.
    pub(crate) fn ascend(&self, work: &mut Frontier, node: usize, values: Key, rank: u32) {
        match self.nodes.get(node).map(|node| (node.up, node.index)) {
            Some((Some(up), _)) => work.add_values(up, values, rank),
            Some((None, index)) => work.document(index, values, rank),
            None => {}
        }
    }

    fn round<L: Lookup>(&self, work: &mut Frontier, lookup: &mut L) -> Result<(), L::Error> {
        let mut asked: Vec<(Group, Option<Pair>)> = work.fresh.drain(..).map(|group| (group, None)).collect();
        if asked.is_empty() {
            asked.extend(work.unfinished.pop().map(|(group, after)| (group, Some(after))));
        }
        let hops: Vec<Hop<'_>> = asked.iter().filter_map(|(group, after)| self.hop(group, after.as_ref())).collect();
        let answers = lookup.lookup(&hops)?;
        for ((group, _), pairs) in asked.into_iter().zip(answers) {
            let Some(entry) = self.entries.get(group.entry) else { continue };
            let last = if pairs.len() >= self.page { pairs.last().cloned() } else { None };
            for Pair { from, to } in pairs {
                let rank = group.rank(&from);
                self.ascend(work, entry.node, to, rank);
            }
            if let Some(last) = last {
                work.unfinished.push((group, last));
            }
        }
        Ok(())
    }

    fn hop<'a>(&'a self, group: &'a Group, after: Option<&'a Pair>) -> Option<Hop<'a>> {
        let entry = self.entries.get(group.entry)?;
        let node = self.nodes.get(entry.node)?;
        let table = &self.tables.get(node.table)?.facts.name;
        Some(Hop { table, by: &entry.by, values: &group.values, select: &node.from, after, limit: self.page })
    }
}
