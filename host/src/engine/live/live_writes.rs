//! The documents that live batches have emitted while reads of backfills were outstanding, so that an older read never lands
//! after a newer document (I5).

use std::collections::HashMap;

use crate::model::{DocumentId, IndexNumber, Key};

/// Documents, and the entry of the lane in which a live batch last emitted each. Small: it is pruned to what was emitted since
/// the oldest outstanding read began.
#[derive(Default)]
pub(crate) struct LiveWrites {
    documents: HashMap<DocumentId, u64>,
    cleared: HashMap<IndexNumber, u64>,
    pruned_at: usize,
}

impl LiveWrites {
    /// A live batch emitted this document in this entry.
    pub(crate) fn record_document(&mut self, id: DocumentId, seq: u64) {
        self.documents.insert(id, seq);
    }

    /// A live batch cleared this index in this entry.
    pub(crate) fn record_clear(&mut self, index: IndexNumber, seq: u64) {
        self.cleared.insert(index, seq);
    }

    /// Whether a document that was read when the lane was at `began` may be emitted now: no live batch has emitted it, or
    /// cleared its index, since. If one has, the live document is newer, or a change that makes it newer is still to come.
    pub(crate) fn is_current(&self, index: IndexNumber, key: &Key, began: u64) -> bool {
        if self.cleared.get(&index).is_some_and(|seq| *seq > began) {
            return false;
        }
        if self.documents.is_empty() {
            return true;
        }
        let id = DocumentId { index, key: key.clone() };
        // I5. Guarded by `tests::i5::an_older_read_of_a_backfill_never_lands_after_a_live_document`.
        self.documents.get(&id).is_none_or(|seq| *seq <= began)
    }

    /// Removes what no outstanding read can be older than. Does nothing until some thousands have gathered.
    pub(crate) fn prune(&mut self, oldest: Option<u64>) {
        if self.documents.len() < 4_096.max(self.pruned_at * 2) && oldest.is_some() {
            return;
        }
        let oldest = oldest.unwrap_or(u64::MAX);
        self.documents.retain(|_, seq| *seq > oldest);
        self.cleared.retain(|_, seq| *seq > oldest);
        self.pruned_at = self.documents.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    #[test]
    fn a_document_that_was_emitted_since_the_read_began_is_not_current() {
        let mut live_writes = LiveWrites::default();
        let key = Key::from(Value::Integer(1));
        live_writes.record_document(DocumentId { index: 0, key: key.clone() }, 7);
        assert!(!live_writes.is_current(0, &key, 6));
        assert!(live_writes.is_current(0, &key, 7));
        assert!(live_writes.is_current(1, &key, 6));
        live_writes.record_clear(1, 9);
        assert!(!live_writes.is_current(1, &key, 8));
        live_writes.prune(None);
        assert!(live_writes.is_current(0, &key, 0) && live_writes.is_current(1, &key, 0));
    }
}
