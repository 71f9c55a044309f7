//! LinkBuffer that builds have added since the host last stored anything. They go to the file with whatever it stores next, at the
//! latest before documents made of them are written. So a build does not wait for the disk, and a seed writes its records once
//! for all pages that are written together.

use super::encoding;
use super::link_buffer::LinkBuffer;

use crate::limits;

/// The links that are not on disk yet.
#[derive(Default)]
pub(super) struct Memtable {
    /// Each of them sorted.
    buffers: Vec<LinkBuffer>,
    count: usize,
}

impl Memtable {
    /// How many links there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds sorted links. A link that is here already is here twice until it is written: looking for each would take longer.
    pub(super) fn add(&mut self, links: LinkBuffer) {
        if links.is_empty() {
            return;
        }
        self.count += links.len();
        self.buffers.push(links);
        if self.buffers.len() > limits::state::MEMTABLE_BUFFERS {
            let all = self.sorted();
            self.count = all.len();
            self.buffers.push(all);
        }
    }

    /// The links of a row, each once.
    pub(super) fn of(&self, row: &[u8]) -> Vec<Vec<u8>> {
        let mut links: Vec<Vec<u8>> =
            self.buffers.iter().flat_map(|buffer| buffer.of(row)).map(<[u8]>::to_vec).collect();
        links.sort_unstable();
        links.dedup();
        links
    }

    /// Whether a row has links here.
    pub(super) fn has(&self, row: &[u8]) -> bool {
        self.buffers.iter().any(|buffer| buffer.has(row))
    }

    /// The rows that begin with a prefix, from one on, each once and in order: at most `max`.
    pub(super) fn scan(&self, prefix: &[u8], start: &[u8], max: usize) -> Vec<Vec<u8>> {
        let rows = self.buffers.iter().flat_map(|buffer| buffer.scan(prefix, start).take(max));
        let mut rows: Vec<Vec<u8>> = rows.map(<[u8]>::to_vec).collect();
        rows.sort_unstable_by(|a, b| encoding::record_key(a).cmp(&encoding::record_key(b)));
        rows.dedup();
        rows.truncate(max);
        rows
    }

    /// Empties the memtable and returns its links, sorted.
    pub(super) fn drain(&mut self) -> LinkBuffer {
        self.count = 0;
        self.sorted()
    }

    fn sorted(&mut self) -> LinkBuffer {
        let mut buffers = std::mem::take(&mut self.buffers).into_iter();
        let mut all = buffers.next().unwrap_or_default();
        if buffers.len() > 0 {
            buffers.for_each(|buffer| all.append(&buffer));
            all.sort();
        }
        all
    }
}
