//! A link table: the groups that items were in, as builds saw it. What was stored survives a crash, the rest does not.

use std::collections::{BTreeMap, BTreeSet};

/// The one relation.
pub(crate) const RELATION: &str = "items by parent";

/// An item and a group.
type Link = (i64, i64);

#[derive(Default)]
pub(crate) struct Links {
    pub(crate) links: BTreeSet<Link>,
    stored: BTreeSet<Link>,
    /// Which batch ended a link last.
    waiting: BTreeMap<Link, u64>,
    batches: BTreeMap<u64, Vec<Link>>,
    /// The batch that ended all of them, and those that were seen since.
    emptied: Option<(u64, BTreeSet<Link>)>,
    last: u64,
    pub(crate) moment: u64,
    asked: BTreeMap<i64, u64>,
    all_asked: u64,
}

impl Links {
    pub(crate) fn crash(&mut self) {
        let stored = std::mem::take(&mut self.stored);
        *self = Self { links: stored.clone(), stored, ..Self::default() };
    }

    pub(crate) fn store(&mut self) {
        self.stored.clone_from(&self.links);
    }

    pub(crate) fn parents(&mut self, item: i64) -> Vec<i64> {
        self.moment += 1;
        self.asked.insert(item, self.moment);
        self.links.range((item, i64::MIN)..=(item, i64::MAX)).map(|(_, group)| *group).collect()
    }

    pub(crate) fn end(&mut self, links: Vec<Link>, all: bool) -> u64 {
        self.last += 1;
        if all {
            self.moment += 1;
            self.all_asked = self.moment;
            self.emptied = Some((self.last, BTreeSet::new()));
        }
        for link in &links {
            self.waiting.insert(*link, self.last);
        }
        self.batches.insert(self.last, links);
        self.last
    }

    /// The groups of which a row was asked for since.
    pub(crate) fn remember(&mut self, since: u64, links: &[Link]) -> Vec<i64> {
        let mut again = Vec::new();
        for link in links {
            if self.all_asked > since || self.asked.get(&link.0).is_some_and(|asked| *asked > since) {
                again.push(link.1);
                continue;
            }
            self.waiting.remove(link);
            if let Some((_, kept)) = &mut self.emptied {
                kept.insert(*link);
            }
            self.links.insert(*link);
        }
        again
    }

    pub(crate) fn confirm(&mut self, batch: u64) {
        for link in self.batches.remove(&batch).unwrap_or_default() {
            if self.waiting.get(&link) == Some(&batch) {
                self.waiting.remove(&link);
                self.links.remove(&link);
            }
        }
        if let Some((_, kept)) = self.emptied.take_if(|(of, _)| *of == batch) {
            self.links = kept;
        }
    }

    pub(crate) fn retain(&mut self, relations: &[String]) {
        if !relations.iter().any(|name| name == RELATION) {
            self.links.clear();
        }
    }
}
