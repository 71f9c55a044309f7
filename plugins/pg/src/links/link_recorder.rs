//! The builder's side: the links that a build has read, and the chunk of documents that read each of them.

use crate::error::Result;
use crate::links::{LinkRelation, LinkTable, packed};
use crate::protocol::codec::Kind;
use flusso_documents::{Assembly, Rows};
use flusso_plugin::RowLinks;
use std::collections::BTreeSet;

/// Links that a build has read.
#[derive(Default)]
pub(crate) struct LinkRecorder {
    lists: Vec<List>,
    /// Chunks so far.
    chunks: u32,
    row: Vec<u8>,
}

struct List {
    relation: u32,
    packed: Vec<u8>,
    /// Which chunk read how many.
    chunks: Vec<(u32, u32)>,
}

impl LinkRecorder {
    /// Takes the links of a chunk whose rows are all here. Returns the chunk's number.
    pub(crate) fn take(&mut self, assembly: &Assembly<'_>, relations: &[LinkRelation]) -> u32 {
        let chunk = self.chunks;
        self.chunks += 1;
        for (track, rows) in assembly.tracked() {
            let Some(relation) = relations.iter().find(|relation| relation.number == track.relation) else { continue };
            let at = self.lists.iter().position(|list| list.relation == track.relation).unwrap_or_else(|| {
                self.lists.push(List { relation: track.relation, packed: Vec::new(), chunks: Vec::new() });
                self.lists.len() - 1
            });
            let Some(list) = self.lists.get_mut(at) else { continue };
            let mut count = 0;
            for row in (0..rows.len()).filter(|row| rows.cell(*row, 0).is_some()) {
                let before = list.packed.len();
                let whole = put(rows, row, &track.row, &relation.key, &mut self.row, &mut list.packed)
                    && put(rows, row, &track.links, &relation.links, &mut self.row, &mut list.packed);
                if whole {
                    count += 1;
                } else {
                    list.packed.truncate(before);
                }
            }
            list.chunks.push((chunk, count));
        }
        chunk
    }

    /// Hands them over. Returns the chunks that were overtaken.
    pub(crate) fn record(
        self,
        table: &mut dyn LinkTable,
        since: u64,
        relations: &[LinkRelation],
    ) -> Result<BTreeSet<u32>> {
        let (mut lists, mut chunks) = (Vec::with_capacity(self.lists.len()), Vec::new());
        for list in self.lists {
            let Some(relation) = relations.iter().find(|relation| relation.number == list.relation) else { continue };
            lists.push(RowLinks { relation: relation.name.clone(), packed: list.packed, extra: None });
            chunks.extend(list.chunks);
        }
        if lists.iter().all(|list| list.packed.is_empty()) {
            return Ok(BTreeSet::new());
        }
        let mut overtaken = BTreeSet::new();
        let places = table.add(since, &lists)?;
        let (mut chunks, mut end) = (chunks.into_iter(), 0_u32);
        let mut current = None;
        for place in places {
            while place >= end {
                let Some((chunk, count)) = chunks.next() else { return Ok(overtaken) };
                end += count;
                current = Some(chunk);
            }
            overtaken.extend(current);
        }
        Ok(overtaken)
    }
}

/// Appends some cells of a row, with their length before them; false where one is null: such a row leads nowhere.
#[inline]
fn put(rows: &Rows, row: usize, cells: &[usize], kinds: &[Kind], scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
    scratch.clear();
    for (cell, kind) in cells.iter().zip(kinds) {
        let Some(text) = rows.cell(row, *cell) else { return false };
        packed::put_text(*kind, text, scratch);
    }
    packed::put_length(scratch.len(), out);
    out.extend_from_slice(scratch);
    true
}
