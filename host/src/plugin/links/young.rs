//! Links that builds have added since the host last stored anything. They go to the file with whatever it stores next, at the
//! latest before documents made of them are written. So a build does not wait for the disk, and a seed writes its records once
//! for all pages that are written together.

use super::block::{self, Row};

/// Links that wait at most; then they are written on their own.
pub(super) const MOST: usize = 262_144;
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

    /// Takes links, in [`block::order`]; leaves out what is here already.
    pub(super) fn add(&mut self, mut links: Vec<Link>) {
        links.retain(|link| !self.has(link));
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

    fn has(&self, link: &Link) -> bool {
        self.lists.iter().any(|list| list.binary_search_by(|other| block::order(other, link)).is_ok())
    }

    /// The links of a row.
    pub(super) fn of<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.lists.iter().flat_map(move |list| {
            let from = list.partition_point(|(other, _)| block::place(other) < block::place(row));
            list.iter().skip(from).take_while(move |(other, _)| other == row).map(|(_, link)| link.as_slice())
        })
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
        all.sort_unstable_by(block::order);
        all.dedup();
        all
    }
}
