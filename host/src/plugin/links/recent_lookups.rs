//! Rows whose parents were looked up lately, and when. A build that read such a row before the lookup, and records its links after
//! it, has been overtaken: the change of the row was resolved without these links.

use std::collections::{HashMap, VecDeque};

use super::encoding::Row;

use crate::limits;

/// The clock of the last lookup of each row.
#[derive(Default)]
pub(super) struct RecentLookups {
    latest: HashMap<Row, u64>,
    order: VecDeque<(u64, Row)>,
    /// The same for whole relations.
    relations: HashMap<u16, u64>,
    /// Lookups up to this clock are no longer known one by one.
    forgotten: u64,
}

impl RecentLookups {
    /// The parents of a row were looked up.
    pub(super) fn record(&mut self, row: &[u8], clock: u64) {
        self.latest.insert(row.to_vec(), clock);
        self.order.push_back((clock, row.to_vec()));
        while self.order.len() > limits::state::RECENT_LOOKUPS {
            let Some((clock, row)) = self.order.pop_front() else { return };
            self.forgotten = self.forgotten.max(clock);
            if self.latest.get(&row) == Some(&clock) {
                self.latest.remove(&row);
            }
        }
    }

    /// The parents of every row of a relation count as looked up.
    pub(super) fn record_relation(&mut self, relation: u16, clock: u64) {
        self.relations.insert(relation, clock);
    }

    /// Whether the parents of a row were looked up after a clock.
    pub(super) fn is_after(&self, row: &[u8], clock: u64) -> bool {
        if self.forgotten > clock {
            return true;
        }
        let relation = || row.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        (!self.latest.is_empty() && self.latest.get(row).is_some_and(|lookup| *lookup > clock))
            || (!self.relations.is_empty()
                && relation().and_then(|it| self.relations.get(&it)).is_some_and(|lookup| *lookup > clock))
    }
}
