//! What batches ended, while it waits for their confirmation.
//!
//! A link may be ended by a batch and be there again before that batch is confirmed: a later change brought it back, and a
//! build has seen it already. So whoever remembers a link takes it out of here; what a later batch ends anew waits for that
//! one. Whatever is given up here stays in the table for nothing, which is harmless.

use std::collections::{HashMap, HashSet};

use super::block::{Row, place, put_number};
use super::list::Links;

/// Links that wait, of all batches together; more are given up.
const MOST: usize = 262_144;

/// A link as one piece: the row with its length before it, and the link.
type Whole = Vec<u8>;

/// What waits.
#[derive(Default)]
pub(super) struct Ended {
    last: u64,
    batches: HashMap<u64, Batch>,
    /// Which batch ended each link last.
    links: HashMap<Whole, u64>,
    emptied: HashMap<u16, Emptied>,
}

#[derive(Default)]
struct Batch {
    links: Links,
    emptied: Vec<u16>,
}

/// A relation whose links all ended.
struct Emptied {
    ticket: u64,
    /// Rows that were remembered since.
    kept: HashSet<Row>,
}

fn whole(row: &[u8], link: &[u8]) -> Whole {
    let mut whole = Vec::with_capacity(row.len() + link.len() + 2);
    put_number(row.len(), &mut whole);
    whole.extend_from_slice(row);
    whole.extend_from_slice(link);
    whole
}

impl Ended {
    /// A number for a batch.
    pub(super) fn begin(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A batch ended a link.
    pub(super) fn link(&mut self, ticket: u64, row: &[u8], link: &[u8]) {
        if self.links.len() >= MOST {
            return;
        }
        self.links.insert(whole(row, link), ticket);
        self.batches.entry(ticket).or_default().links.push((row, link));
    }

    /// A batch ended all links of a relation.
    pub(super) fn relation(&mut self, ticket: u64, relation: u16) {
        self.emptied.insert(relation, Emptied { ticket, kept: HashSet::new() });
        self.batches.entry(ticket).or_default().emptied.push(relation);
    }

    /// A build has seen a link: it stays.
    pub(super) fn keep(&mut self, row: &[u8], link: &[u8]) {
        if !self.links.is_empty() {
            self.links.remove(&whole(row, link));
        }
        if self.emptied.is_empty() {
            return;
        }
        let Some(relation) = row.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)) else { return };
        if let Some(emptied) = self.emptied.get_mut(&relation) {
            emptied.kept.insert(row.to_vec());
            if emptied.kept.len() > MOST {
                self.emptied.remove(&relation);
            }
        }
    }

    /// These batches are confirmed: the links to remove, and the relations to empty but for some rows, in their records'
    /// order.
    pub(super) fn take(&mut self, tickets: &[u64]) -> (Links, Vec<(u16, Vec<Row>)>) {
        let (mut links, mut relations) = (Links::default(), Vec::new());
        for ticket in tickets {
            let Some(batch) = self.batches.remove(ticket) else { continue };
            for (row, link) in batch.links.iter() {
                let whole = whole(row, link);
                if self.links.get(&whole) == Some(ticket) {
                    self.links.remove(&whole);
                    links.push((row, link));
                }
            }
            for relation in batch.emptied {
                if self.emptied.get(&relation).is_some_and(|emptied| emptied.ticket == *ticket)
                    && let Some(emptied) = self.emptied.remove(&relation)
                {
                    let mut kept: Vec<Row> = emptied.kept.into_iter().collect();
                    kept.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
                    relations.push((relation, kept));
                }
            }
        }
        (links, relations)
    }
}
