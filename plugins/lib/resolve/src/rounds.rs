//! Following values upwards, round by round. A round asks everything that is new in one go. An answer that fills its page is
//! gone on with only when nothing new is left, and then one at a time, the youngest first: so what is under way is bounded by
//! the groups, the hops and the page, and never by how many documents a change touches.

use crate::key::code;
use crate::lookup::{Hop, Lookup, Pair};
use crate::network::Resolver;
use flusso_plugin::{DocumentId, Key, Value};
use std::collections::{HashMap, HashSet};

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Documents found and not handed out, with the place of the change that touched them first.
    pub(crate) found: Vec<(DocumentId, u32)>,
    /// Values not looked up.
    pub(crate) fresh: Vec<Group>,
    /// Questions whose answer filled its page, the oldest first.
    pub(crate) unfinished: Vec<(Group, Pair)>,
    known: HashSet<(u32, Vec<u8>)>,
}

/// Values with which rows of a node are looked for.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) entry: usize,
    pub(crate) values: Vec<Key>,
    /// For each value the place of the change it came from.
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

    /// The place of the change that a value came from. What only the store finds equal came from any of them.
    fn rank(&self, values: &[Value]) -> u32 {
        let at = self.places.get(&code(values)).and_then(|at| self.ranks.get(*at)).copied();
        at.or_else(|| self.ranks.iter().min().copied()).unwrap_or(0)
    }
}

impl Work {
    /// A document, by the key of its root. A row whose key holds a null is none.
    pub(crate) fn document(&mut self, index: u32, key: Key, rank: u32) {
        if !key.contains(&Value::Null) && self.known.insert((index, code(&key))) {
            self.found.push((DocumentId { index, key }, rank));
        }
    }

    /// Values of some row's links, to be followed into `entry`. A null leads nowhere.
    pub(crate) fn arrive(&mut self, entry: usize, values: Key, rank: u32) {
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
    /// Goes on until there are `max` documents or nothing is left.
    pub(crate) fn run<L: Lookup>(&self, work: &mut Work, max: usize, lookup: &mut L) -> Result<(), L::Error> {
        loop {
            self.pass_through(work);
            if work.found.len() >= max || work.is_done() {
                return Ok(());
            }
            self.round(work, lookup)?;
        }
    }

    /// Takes every step that needs no question.
    fn pass_through(&self, work: &mut Work) {
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
                self.rise(work, entry.node, on, rank);
            }
        }
    }

    /// From the links of a row at `node` to what they lead to.
    pub(crate) fn rise(&self, work: &mut Work, node: usize, values: Key, rank: u32) {
        match self.nodes.get(node).map(|node| (node.up, node.index)) {
            Some((Some(up), _)) => work.arrive(up, values, rank),
            Some((None, index)) => work.document(index, values, rank),
            None => {}
        }
    }

    fn round<L: Lookup>(&self, work: &mut Work, lookup: &mut L) -> Result<(), L::Error> {
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
                self.rise(work, entry.node, to, rank);
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
