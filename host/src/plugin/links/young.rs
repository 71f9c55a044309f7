//! Links that builds have added since the host last stored anything. They go to the file with whatever it stores next, at the
//! latest before documents made of them are written. So a build does not wait for the disk, and a seed writes its records once
//! for all pages that are written together.

use super::list::Links;

/// Links that wait at most; then they are written on their own.
pub(super) const MOST: usize = 65_536;
/// Lists that are searched one by one; then they become one.
const LISTS: usize = 16;

/// What is not on disk yet.
#[derive(Default)]
pub(super) struct Young {
    /// Each is sorted.
    lists: Vec<Links>,
    count: usize,
}

impl Young {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Takes sorted links. What is here already is here twice until it is written: to look for each takes longer.
    pub(super) fn add(&mut self, links: Links) {
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
        let mut links: Vec<Vec<u8>> = self.lists.iter().flat_map(|list| list.of(row)).map(<[u8]>::to_vec).collect();
        links.sort_unstable();
        links.dedup();
        links
    }

    /// Hands all of them out, sorted.
    pub(super) fn take(&mut self) -> Links {
        self.count = 0;
        self.sorted()
    }

    fn sorted(&mut self) -> Links {
        let mut lists = std::mem::take(&mut self.lists).into_iter();
        let mut all = lists.next().unwrap_or_default();
        if lists.len() > 0 {
            lists.for_each(|list| all.append(&list));
            all.sort();
        }
        all
    }
}
