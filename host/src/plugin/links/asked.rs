//! Which rows were asked for lately, and when: a build that began before the question and read the row must do it over.

use std::collections::{HashMap, VecDeque};

use super::block::Row;

/// Rows that are known; those asked for before are taken to be asked for by whoever began before them.
const MOST: usize = 65_536;

/// Rows by when they were last asked for.
#[derive(Default)]
pub(super) struct Asked {
    latest: HashMap<Row, u64>,
    order: VecDeque<(u64, Row)>,
    /// Whole relations.
    relations: HashMap<u16, u64>,
    /// Questions up to this moment are no longer known one by one.
    forgotten: u64,
}

impl Asked {
    /// A row was asked for.
    pub(super) fn note(&mut self, row: &[u8], moment: u64) {
        self.latest.insert(row.to_vec(), moment);
        self.order.push_back((moment, row.to_vec()));
        while self.order.len() > MOST {
            let Some((moment, row)) = self.order.pop_front() else { return };
            self.forgotten = self.forgotten.max(moment);
            if self.latest.get(&row) == Some(&moment) {
                self.latest.remove(&row);
            }
        }
    }

    /// Every row of a relation was asked for.
    pub(super) fn all(&mut self, relation: u16, moment: u64) {
        self.relations.insert(relation, moment);
    }

    /// Whether a row was asked for after a moment.
    pub(super) fn since(&self, row: &[u8], moment: u64) -> bool {
        if self.forgotten > moment {
            return true;
        }
        let relation = || row.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        (!self.latest.is_empty() && self.latest.get(row).is_some_and(|asked| *asked > moment))
            || (!self.relations.is_empty()
                && relation().and_then(|it| self.relations.get(&it)).is_some_and(|asked| *asked > moment))
    }
}
