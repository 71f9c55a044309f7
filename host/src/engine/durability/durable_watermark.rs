//! The durable watermark: up to which entry of the lane everything is durable in every sink, and what takes effect by that.
//!
//! I1: a checkpoint takes effect only when every sink has flushed its entry and all before it. I2: a checkpoint stands at the
//! entry that holds the last change before it, so it never takes effect before all of its transaction is durable.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::stage::Mutation;
use crate::model::{Checkpoint, IndexNumber};

/// A page of a backfill: how far its range is, once the page is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackfillStep {
    pub(crate) index: IndexNumber,
    /// The attempt at seeding this index.
    pub(crate) attempt: u64,
    /// The range, by its place in the plan.
    pub(crate) part: usize,
    /// Where the next page begins; none: the range is read to its end.
    pub(crate) cursor: Option<Vec<u8>>,
    pub(crate) rows: u64,
}

/// What takes effect when an entry is durable in every sink.
#[derive(Debug, Default)]
pub(crate) struct OnDurable {
    /// The opening of the source and its checkpoint.
    pub(crate) checkpoint: Option<(u64, Checkpoint)>,
    pub(crate) backfill_step: Option<BackfillStep>,
    /// The quarantine entries of documents that could not be built.
    pub(crate) quarantine_writes: Vec<Mutation>,
    /// The links that the changes of a batch ended, all of whose documents stand at or before the entry.
    pub(crate) link_removals: Option<u64>,
    /// An index, and the attempt at seeding it that is complete.
    pub(crate) seeded: Option<(IndexNumber, u64)>,
    /// The entry is the last one of the run.
    pub(crate) end: bool,
}

/// What took effect, of one entry or of several together.
#[derive(Debug, Default)]
pub(crate) struct BecameDurable {
    /// The latest checkpoint.
    pub(crate) checkpoint: Option<(u64, Checkpoint)>,
    pub(crate) backfill_steps: Vec<BackfillStep>,
    pub(crate) quarantine_writes: Vec<Mutation>,
    pub(crate) link_removals: Vec<u64>,
    pub(crate) seeded: Vec<(IndexNumber, u64)>,
    pub(crate) end: bool,
}

impl BecameDurable {
    pub(crate) fn is_empty(&self) -> bool {
        self.checkpoint.is_none()
            && self.backfill_steps.is_empty()
            && self.quarantine_writes.is_empty()
            && self.link_removals.is_empty()
            && self.seeded.is_empty()
            && !self.end
    }

    /// Adds what took effect later.
    pub(crate) fn extend(&mut self, later: Self) {
        self.checkpoint = later.checkpoint.or(self.checkpoint.take());
        self.backfill_steps.extend(later.backfill_steps);
        self.quarantine_writes.extend(later.quarantine_writes);
        self.link_removals.extend(later.link_removals);
        self.seeded.extend(later.seeded);
        self.end |= later.end;
    }

    fn add(&mut self, entry: OnDurable) {
        self.checkpoint = entry.checkpoint.or(self.checkpoint.take());
        self.backfill_steps.extend(entry.backfill_step);
        self.quarantine_writes.extend(entry.quarantine_writes);
        self.link_removals.extend(entry.link_removals);
        self.seeded.extend(entry.seeded);
        self.end |= entry.end;
    }
}

/// The durable watermark of one lane.
pub(crate) struct DurableWatermark(Mutex<Inner>);

struct Inner {
    /// By sink: the last entry that it has flushed. Sinks flush in the lane's order, so the number covers all before it.
    flushed: Vec<u64>,
    /// The entries that are not durable in every sink yet, in the lane's order.
    pending: VecDeque<(u64, OnDurable)>,
}

impl DurableWatermark {
    pub(crate) fn new(sinks: usize) -> Self {
        Self(Mutex::new(Inner { flushed: vec![0; sinks], pending: VecDeque::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers what takes effect with an entry; called before the entry is in the lane.
    pub(crate) fn register(&self, seq: u64, on_durable: OnDurable) {
        self.lock().pending.push_back((seq, on_durable));
    }

    /// A sink has flushed everything up to `seq`. Returns what takes effect by that.
    pub(crate) fn advance(&self, sink: usize, seq: u64) -> BecameDurable {
        let mut inner = self.lock();
        if let Some(flushed) = inner.flushed.get_mut(sink) {
            *flushed = (*flushed).max(seq);
        }
        // I1: the slowest sink decides. Guarded by `tests::i1::the_slowest_sink_decides_what_is_confirmed`.
        let durable = inner.flushed.iter().copied().min().unwrap_or(0);
        let mut became = BecameDurable::default();
        while inner.pending.front().is_some_and(|(seq, _)| *seq <= durable) {
            let Some((_, entry)) = inner.pending.pop_front() else { break };
            became.add(entry);
        }
        became
    }
}
