//! Many links in one piece of memory: a seed of a million documents holds tens of thousands of them at a time, and two
//! allocations each would be four times as much.

use super::block::{self, Link};

/// Links, in any order until they are sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Where a link lies: the row's bytes, and the link's behind them.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    link: usize,
    end: usize,
}

impl Place {
    fn link<'a>(&self, bytes: &'a [u8]) -> Link<'a> {
        (bytes.get(self.start..self.link).unwrap_or_default(), bytes.get(self.link..self.end).unwrap_or_default())
    }
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn push(&mut self, (row, link): Link<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.bytes.extend_from_slice(link);
        self.places.push(Place { start, link: start + row.len(), end: self.bytes.len() });
    }

    /// Takes those of another.
    pub(super) fn append(&mut self, other: &Self) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        let moved =
            |place: &Place| Place { start: place.start + start, link: place.link + start, end: place.end + start };
        self.places.extend(other.places.iter().map(moved));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Link<'_>> {
        self.places.iter().map(|place| place.link(&self.bytes))
    }

    /// Puts them in [`block::order`], each once. Fast where parts of them are in order already.
    pub(super) fn sort(&mut self) {
        let Self { bytes, places } = self;
        places.sort_by(|a, b| block::order(a.link(bytes), b.link(bytes)));
        places.dedup_by(|a, b| a.link(bytes) == b.link(bytes));
    }

    /// Keeps those for which the list says so, in its order.
    pub(super) fn keep(self, kept: &[bool]) -> Self {
        if kept.iter().all(|kept| *kept) {
            return self;
        }
        let mut some = Self::default();
        self.iter().zip(kept).filter(|(_, kept)| **kept).for_each(|(link, _)| some.push(link));
        some
    }

    /// The links of a row, of a list in [`block::order`].
    pub(super) fn of<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let from = self.places.partition_point(|at| block::place(at.link(&self.bytes).0) < block::place(row));
        let behind = self.places.iter().skip(from).map(|place| place.link(&self.bytes));
        behind.take_while(move |(other, _)| *other == row).map(|(_, link)| link)
    }

    /// A list in [`block::order`], record by record: the key and the entries.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], Vec<block::Entry<'_>>)> {
        let key = |place: &Place| block::place(place.link(&self.bytes).0).0;
        self.places.chunk_by(move |a, b| key(a) == key(b)).filter_map(move |places| {
            let entry = |place: &Place| {
                let (row, link) = place.link(&self.bytes);
                (block::place(row).1, link)
            };
            Some((key(places.first()?), places.iter().map(entry).collect()))
        })
    }
}
