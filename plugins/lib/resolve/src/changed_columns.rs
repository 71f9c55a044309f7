//! Which updates change nothing that is read at a place: known where the source says what it was before.

use crate::graph::{Node, Table};
use crate::table_reads::Reads;
use flusso_plugin::{Change, Op};

/// What an update changed, as far as the source says.
pub(crate) struct Changed<'a>(Option<&'a [u32]>);

impl<'a> Changed<'a> {
    pub(crate) fn of(change: &'a Change) -> Self {
        Self(change.changed.as_deref())
    }

    /// Whether the update changed no column that documents read at this node.
    pub(crate) fn spares(&self, node: &Node, table: &Table, change: &Change) -> bool {
        let (Some(changed), Reads::Columns(reads), Some(all)) = (self.0, &node.reads, &table.reads) else {
            return false;
        };
        // A key that changes comes as a delete and an insert, so an update that says what it changed has kept it.
        if change.op != Op::Upsert {
            return false;
        }
        let moved = |column: &String| match table.links.iter().position(|link| link == column) {
            Some(at) => match (&change.before, &change.after) {
                (Some(before), Some(after)) => before.get(at) != after.get(at),
                _ => true,
            },
            None => all
                .iter()
                .position(|read| read == column)
                .is_some_and(|at| u32::try_from(at).is_ok_and(|at| changed.contains(&at))),
        };
        !reads.iter().any(moved)
    }
}
