//! Links that batches of changes ended, until the confirmation of their batch removes them.
//!
//! A link may be ended by a batch and exist again before that batch is confirmed: a later change brought it back, and a build
//! has read it already. So recording a link cancels its pending removal; a later batch that ends it again makes a new one. A
//! removal that is given up leaves a link too many in the table, which costs a needless build and nothing else.

use std::collections::{HashMap, HashSet};

use super::encoding::{Row, put_length, record_key};
use super::link_buffer::LinkBuffer;

use crate::limits;

/// Stands for the batch that comes next; batches are counted from 1.
const NEXT: u64 = 0;

/// A link as one piece of bytes: the row with its length before it, and the link.
type LinkKey = Vec<u8>;

/// All pending removals.
#[derive(Default)]
pub(super) struct PendingRemovals {
    last: u64,
    batches: HashMap<u64, Batch>,
    /// Links that builds found to be ended: the next batch takes them.
    next: LinkBuffer,
    /// The batch that ended each link last.
    links: HashMap<LinkKey, u64>,
    emptied: HashMap<u16, Emptied>,
}

#[derive(Default)]
struct Batch {
    links: LinkBuffer,
    emptied: Vec<u16>,
}

/// A relation all of whose links a batch ended.
struct Emptied {
    batch_number: u64,
    /// Rows whose links were recorded since.
    recorded: HashSet<Row>,
}

fn link_key(row: &[u8], link: &[u8]) -> LinkKey {
    let mut link_key = Vec::with_capacity(row.len() + link.len() + 2);
    put_length(row.len(), &mut link_key);
    link_key.extend_from_slice(row);
    link_key.extend_from_slice(link);
    link_key
}

impl PendingRemovals {
    /// The number of a new batch.
    pub(super) fn new_batch(&mut self) -> u64 {
        self.last += 1;
        for (row, link) in std::mem::take(&mut self.next).iter() {
            // One that was recorded again since, or that a batch has ended, is left alone.
            if let Some(batch) = self.links.get_mut(&link_key(row, link))
                && *batch == NEXT
            {
                *batch = self.last;
                self.batches.entry(self.last).or_default().links.push((row, link));
            }
        }
        self.last
    }

    /// A build found a link to be ended: it is removed with the batch that comes next.
    pub(super) fn add_to_next(&mut self, row: &[u8], link: &[u8]) {
        if self.links.len() < limits::state::PENDING_REMOVALS {
            self.links.insert(link_key(row, link), NEXT);
            self.next.push((row, link));
        }
    }

    /// A batch ended a link.
    pub(super) fn add_link(&mut self, batch_number: u64, row: &[u8], link: &[u8]) {
        if self.links.len() >= limits::state::PENDING_REMOVALS {
            return;
        }
        self.links.insert(link_key(row, link), batch_number);
        self.batches.entry(batch_number).or_default().links.push((row, link));
    }

    /// A batch ended all links of a relation.
    pub(super) fn add_relation(&mut self, batch_number: u64, relation: u16) {
        self.emptied.insert(relation, Emptied { batch_number, recorded: HashSet::new() });
        self.batches.entry(batch_number).or_default().emptied.push(relation);
    }

    /// A build has recorded a link: its removal is cancelled.
    pub(super) fn cancel(&mut self, row: &[u8], link: &[u8]) {
        if !self.links.is_empty() {
            self.links.remove(&link_key(row, link));
        }
        if self.emptied.is_empty() {
            return;
        }
        let Some(relation) = row.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)) else { return };
        if let Some(emptied) = self.emptied.get_mut(&relation) {
            emptied.recorded.insert(row.to_vec());
            if emptied.recorded.len() > limits::state::PENDING_REMOVALS {
                self.emptied.remove(&relation);
            }
        }
    }

    /// These batches are confirmed: returns the links to remove, and the relations to empty except for some rows, in the order of
    /// their records.
    pub(super) fn take_confirmed(&mut self, tickets: &[u64]) -> (LinkBuffer, Vec<(u16, Vec<Row>)>) {
        let (mut links, mut relations) = (LinkBuffer::default(), Vec::new());
        for batch_number in tickets {
            let Some(batch) = self.batches.remove(batch_number) else { continue };
            for (row, link) in batch.links.iter() {
                let link_key = link_key(row, link);
                if self.links.get(&link_key) == Some(batch_number) {
                    self.links.remove(&link_key);
                    links.push((row, link));
                }
            }
            for relation in batch.emptied {
                if self.emptied.get(&relation).is_some_and(|emptied| emptied.batch_number == *batch_number)
                    && let Some(emptied) = self.emptied.remove(&relation)
                {
                    let mut kept: Vec<Row> = emptied.recorded.into_iter().collect();
                    kept.sort_unstable_by(|a, b| record_key(a).cmp(&record_key(b)));
                    relations.push((relation, kept));
                }
            }
        }
        (links, relations)
    }
}
