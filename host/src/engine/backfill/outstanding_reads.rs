//! The reads of backfills that are running, or whose documents are not in the lane yet. The reads are not in the lane's order,
//! so each remembers how far the lane was when it began: a document that a live batch emitted since is newer there, and the
//! worker drops the one that was read (I5).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::run_context::RunContext;
use crate::model::Version;

/// All reads that are outstanding.
#[derive(Clone, Default)]
pub(crate) struct OutstandingReads(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    next: u64,
    /// By the read's number: the entry of the lane that was emitted last when the read began.
    began: BTreeMap<u64, u64>,
}

/// One read; outstanding until it is dropped.
pub(crate) struct OutstandingRead {
    all: OutstandingReads,
    number: u64,
    /// The entry of the lane that was emitted last when the read began.
    pub(crate) began: u64,
    /// The version at that time.
    pub(crate) version: Version,
}

impl OutstandingReads {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A read begins. The lane's place is taken under the lock, so that no newer write is pruned in between.
    pub(crate) fn begin(&self, emitted: &AtomicU64, context: &RunContext) -> Arc<OutstandingRead> {
        let mut inner = self.lock();
        let (number, began) = (inner.next, emitted.load(Ordering::Acquire));
        inner.next += 1;
        inner.began.insert(number, began);
        drop(inner);
        // I12: the version too is that of before the read. Guarded by
        // `tests::i12::a_document_of_a_backfill_carries_the_version_that_was_polled_before_it_was_read`.
        Arc::new(OutstandingRead { all: self.clone(), number, began, version: context.version() })
    }

    /// Where the oldest read began.
    pub(crate) fn oldest(&self) -> Option<u64> {
        // Numbers and places grow together.
        self.lock().began.values().next().copied()
    }
}

impl Drop for OutstandingRead {
    fn drop(&mut self) {
        self.all.lock().began.remove(&self.number);
    }
}
