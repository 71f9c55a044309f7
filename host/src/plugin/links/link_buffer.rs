//! Many links in one piece of memory. A backfill of a million documents holds tens of thousands of links at a time; with two
//! allocations a link they would take four times the memory.

use super::encoding::{self, Link};

/// LinkBuffer, in any order until they are sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkBuffer {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Where a link stands in the buffer: the row's bytes, and the link's after them.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    link: usize,
    end: usize,
}

impl Span {
    fn link<'a>(&self, bytes: &'a [u8]) -> Link<'a> {
        (bytes.get(self.start..self.link).unwrap_or_default(), bytes.get(self.link..self.end).unwrap_or_default())
    }
}

impl LinkBuffer {
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(super) fn push(&mut self, (row, link): Link<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.bytes.extend_from_slice(link);
        self.spans.push(Span { start, link: start + row.len(), end: self.bytes.len() });
    }

    /// Appends the links of another buffer.
    pub(super) fn append(&mut self, other: &Self) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        let moved = |span: &Span| Span { start: span.start + start, link: span.link + start, end: span.end + start };
        self.spans.extend(other.spans.iter().map(moved));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Link<'_>> {
        self.spans.iter().map(|span| span.link(&self.bytes))
    }

    /// Puts them in [`encoding::order`], each once. Fast where parts of them are in order already.
    pub(super) fn sort(&mut self) {
        let Self { bytes, spans } = self;
        spans.sort_by(|a, b| encoding::order(a.link(bytes), b.link(bytes)));
        spans.dedup_by(|a, b| a.link(bytes) == b.link(bytes));
    }

    /// Keeps the links for which the list says so, in its order.
    pub(super) fn keep(self, kept: &[bool]) -> Self {
        if kept.iter().all(|kept| *kept) {
            return self;
        }
        let mut some = Self::default();
        self.iter().zip(kept).filter(|(_, kept)| **kept).for_each(|(link, _)| some.push(link));
        some
    }

    /// The links of a row, of a list in [`encoding::order`].
    pub(super) fn of<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let from =
            self.spans.partition_point(|at| encoding::record_key(at.link(&self.bytes).0) < encoding::record_key(row));
        let behind = self.spans.iter().skip(from).map(|span| span.link(&self.bytes));
        behind.take_while(move |(other, _)| *other == row).map(|(_, link)| link)
    }

    /// Whether a row is in a list in [`encoding::order`].
    pub(super) fn has(&self, row: &[u8]) -> bool {
        self.of(row).next().is_some()
    }

    /// The rows that begin with a prefix, from one on, of a list in [`encoding::order`].
    pub(super) fn scan<'a>(&'a self, prefix: &'a [u8], start: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let first = encoding::first_record(prefix, start);
        let from = self.spans.partition_point(|at| encoding::record_key(at.link(&self.bytes).0) < first);
        let rows = self.spans.iter().skip(from).map(|span| span.link(&self.bytes).0);
        rows.take_while(move |row| row.starts_with(prefix))
    }

    /// A list in [`encoding::order`], record by record: the key and the entries.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], Vec<encoding::Entry<'_>>)> {
        let key = |span: &Span| encoding::record_key(span.link(&self.bytes).0).0;
        self.spans.chunk_by(move |a, b| key(a) == key(b)).filter_map(move |spans| {
            let entry = |span: &Span| {
                let (row, link) = span.link(&self.bytes);
                (encoding::record_key(row).1, link)
            };
            Some((key(spans.first()?), spans.iter().map(entry).collect()))
        })
    }
}
