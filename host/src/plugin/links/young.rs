//! Links that builds have added since the host last stored anything. They go to the file with whatever it stores next, at the
//! latest before documents made of them are written. So a build does not wait for the disk, and a seed writes its records once
//! for all pages that are written together.

use super::block::{self, Row};

/// Links that wait at most; then they are written on their own.
pub(super) const MOST: usize = 65_536;
/// Lists that are searched one by one; then they become one.
const LISTS: usize = 16;

/// A link.
pub(super) type Link = (Row, Vec<u8>);

/// What is not on disk yet.
#[derive(Default)]
pub(super) struct Young {
    /// Each in [`block::order`].
    lists: Vec<Vec<Link>>,
    count: usize,
}

impl Young {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Takes links, in [`block::order`]. What is here already is here twice until it is written: to look for each takes longer.
    pub(super) fn add(&mut self, links: Vec<Link>) {
        if links.is_empty() {
            return;
        }
        self.count += links.len();
        self.lists.push(links);
        if self.lists.len() > LISTS {
            let all = self.sorted();
            self.count = all.len();
            self.lists.push(all);
        }
    }

    /// The links of a row, each once.
    pub(super) fn of(&self, row: &[u8]) -> Vec<Vec<u8>> {
        let mut links = Vec::new();
        for list in &self.lists {
            let from = list.partition_point(|(other, _)| block::place(other) < block::place(row));
            let of_row = list.iter().skip(from).take_while(|(other, _)| other == row);
            links.extend(of_row.map(|(_, link)| link.clone()));
        }
        links.sort_unstable();
        links.dedup();
        links
    }

    /// Hands all of them out, in [`block::order`].
    pub(super) fn take(&mut self) -> Vec<Link> {
        self.count = 0;
        self.sorted()
    }

    fn sorted(&mut self) -> Vec<Link> {
        let mut lists = std::mem::take(&mut self.lists).into_iter();
        let mut all = lists.next().unwrap_or_default();
        lists.for_each(|list| all.extend(list));
        // Stable sorting merges what is in order already.
        all.sort_by(block::order);
        all.dedup();
        all
    }
}
