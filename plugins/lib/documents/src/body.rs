//! From rows to bodies: pieces one after another, children where they stand.

use crate::assembly::{Assembly, Slot};
use crate::links::NONE;
use crate::plan::{Content, Piece, Source};
use crate::render::Render;

impl Assembly<'_> {
    /// Appends a document's body; false if there is no such document. Every row must have arrived.
    pub fn render(&self, document: usize, out: &mut Vec<u8>) -> bool {
        match self.root_row(document) {
            Some(row) => {
                self.row(0, row, document, out);
                true
            }
            None => false,
        }
    }

    fn row(&self, node: usize, row: usize, document: usize, out: &mut Vec<u8>) {
        let (Some(slot), Some(Content::Rows { body, .. })) =
            (self.slots.get(node), self.plan.nodes.get(node).map(|node| &node.content))
        else {
            return;
        };
        for piece in &body.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Value { cell, render, none } => value(slot.rows.cell(row, *cell), *render, none, out),
                Piece::Point { lat, lon } => match (slot.rows.cell(row, lat.0), slot.rows.cell(row, lon.0)) {
                    (Some(north), Some(east)) => {
                        out.extend_from_slice(b"{\"lat\":");
                        lat.1.render(north, out);
                        out.extend_from_slice(b",\"lon\":");
                        lon.1.render(east, out);
                        out.push(b'}');
                    }
                    _ => out.extend_from_slice(b"null"),
                },
                Piece::One { node } => {
                    match self.below(*node, row, document).and_then(|(slot, link)| slot.row(link, 0)) {
                        Some(row) => self.row(*node, row, document, out),
                        None => out.extend_from_slice(b"null"),
                    }
                }
                Piece::Many { node } => {
                    out.push(b'[');
                    if let Some((slot, link)) = self.below(*node, row, document) {
                        let mut at = 0;
                        while let Some(row) = slot.row(link, at) {
                            if at > 0 {
                                out.push(b',');
                            }
                            self.row(*node, row, document, out);
                            at += 1;
                        }
                    }
                    out.push(b']');
                }
                Piece::Reduced { node, cell, render, none } => {
                    let found = self.below(*node, row, document);
                    let found = found.and_then(|(slot, link)| slot.rows.cell(slot.row(link, 0)?, *cell));
                    value(found, *render, none, out);
                }
            }
        }
    }

    /// The rows of a node, and which of its links the row at hand leads to.
    fn below(&self, node: usize, row: usize, document: usize) -> Option<(&Slot, u32)> {
        let slot = self.slots.get(node)?;
        let above = match self.plan.nodes.get(node)?.source {
            Source::Documents => document,
            Source::Rows { .. } => row,
        };
        slot.links.get(above).filter(|link| **link != NONE).map(|link| (slot, *link))
    }
}

#[inline]
fn value(cell: Option<&[u8]>, render: Render, none: &[u8], out: &mut Vec<u8>) {
    match cell {
        Some(text) => render.render(text, out),
        None => out.extend_from_slice(none),
    }
}
