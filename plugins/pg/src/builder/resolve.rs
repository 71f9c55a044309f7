//! Which documents a batch of changes touches.

use super::{DocumentBuilder, Index};
use crate::codec;
use flusso_plugin::{Affected, Change, DocumentId, Op};
use std::collections::HashSet;

impl DocumentBuilder {
    /// A change of a root row touches its own document; a change anywhere below touches who knows which, so that all
    /// documents of the index are built again.
    pub fn touched(&self, changes: Vec<Change>) -> Affected {
        let (mut seen, mut clear, mut rebuild) = (HashSet::new(), Vec::new(), Vec::new());
        let mut ids = Vec::with_capacity(changes.len());
        let roots: Vec<Option<u32>> = self.indexes.iter().map(|index| self.root_of(index)).collect();
        for change in changes {
            for ((number, index), root) in (0..).zip(&self.indexes).zip(&roots) {
                if *root == Some(change.table) && change.op == Op::Truncate {
                    if !clear.contains(&number) {
                        clear.push(number);
                    }
                } else if *root == Some(change.table) && seen.insert((number, codec::distinguish_key(&change.key))) {
                    ids.push(DocumentId { index: number, key: change.key.clone() });
                }
                if self.stands_below(index, change.table) && !rebuild.contains(&number) {
                    rebuild.push(number);
                }
            }
        }
        Affected { ids, more: None, rebuild, clear, extra: None }
    }

    /// Whether rows of a table stand below the root of an index.
    fn stands_below(&self, index: &Index, table: u32) -> bool {
        let Some(table) = usize::try_from(table).ok().and_then(|table| self.interest.get(table)) else { return false };
        let is = |of: &flusso_documents::Table| of.schema == table.table.schema && of.name == table.table.name;
        let through =
            |node: &flusso_documents::Node| node.link.through.as_ref().is_some_and(|through| is(&through.table));
        index.plan.nodes.iter().skip(1).any(|node| is(&node.table) || through(node))
    }
}
