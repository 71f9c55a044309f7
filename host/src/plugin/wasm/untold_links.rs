//! A row is deleted, the source does not tell what it was linked to, and the builder records no links that would: documents may
//! keep what is gone. It is said once a table.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::engine::stage::Description;
use crate::model::{Change, Op, TableNumber};

/// The tables of which it was said.
#[derive(Default)]
pub(super) struct UntoldLinks {
    said: Mutex<HashSet<TableNumber>>,
}

impl UntoldLinks {
    /// Looks through changes before the builder resolves them.
    pub(super) fn look(&self, builder: &str, offered: &Description, changes: &[Change]) {
        if offered.scopes.iter().any(|scope| !scope.recorded_relations.is_empty()) {
            return;
        }
        for change in changes.iter().filter(|change| change.op == Op::Delete && change.before.is_none()) {
            let interest = usize::try_from(change.table).ok().and_then(|table| offered.interest.get(table));
            let Some(interest) = interest.filter(|interest| !interest.links.is_empty()) else { continue };
            if !self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(change.table) {
                continue;
            }
            let (table, links) = (interest.table.to_string(), interest.links.join(", "));
            tracing::warn!(
                table,
                "a row was deleted, the source does not tell its {links}, and the builder {builder} records no links: documents \
                 that such rows were part of are not built again; have the source tell old values (PostgreSQL: REPLICA IDENTITY \
                 FULL, or `manage_replica_identity = true`), or record the links in the builder"
            );
        }
    }
}
