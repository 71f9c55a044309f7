//! The one ordered lane from the worker to the sinks: live batches, backfill pages and seed marks, in capture order (I5).
//! Bounded in bytes twice (I11): what the fastest sink has not flushed, and by how much it may lead the slowest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::engine::durability::durable_watermark::{DurableWatermark, OnDurable};
use crate::engine::options::Options;
use crate::limits;
use crate::model::{Document, IndexNumber, Version};

/// A set of sinks, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SinkSet(u64);

impl SinkSet {
    /// A run with more sinks is refused at start.
    pub(crate) const CAPACITY: usize = limits::engine::MAX_SINKS;

    pub(crate) fn all(sinks: usize) -> Self {
        Self(if sinks >= Self::CAPACITY { u64::MAX } else { (1 << sinks) - 1 })
    }

    pub(crate) fn insert(&mut self, sink: usize) {
        self.0 |= 1 << sink;
    }

    pub(crate) fn contains(self, sink: usize) -> bool {
        self.0 & (1 << sink) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How the backfill of an index begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeedStart {
    /// The attempt at seeding this index: a number that no other attempt has, in any run.
    pub(crate) attempt: u64,
    /// Nothing was written in this run before it, so what the sink said of an empty index still holds.
    pub(crate) at_run_start: bool,
    /// It continues a backfill of an earlier run, so no generation is begun and nothing is cleared.
    pub(crate) resume: bool,
    /// The operator asked for a rebuild of an index that is right: the live generation keeps its seed mark.
    pub(crate) reindex: bool,
    /// The version that a `clear` carries.
    pub(crate) version: Version,
}

/// What an entry has the sinks do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Live documents, for every sink and every generation.
    Live {
        /// Indexes that are cleared before these documents are written.
        clear: Vec<IndexNumber>,
        /// The version that a `clear` carries.
        version: Version,
        /// In capture order.
        documents: Arc<[Document]>,
    },
    /// Documents of a backfill page.
    Seed {
        /// The sinks that are being seeded.
        sinks: SinkSet,
        /// All of one index.
        documents: Arc<[Document]>,
    },
    /// The backfill of an index begins: its seed mark is removed, and a generation is begun or the index is cleared.
    BeginSeed {
        /// Which index.
        index: IndexNumber,
        /// Which sinks.
        sinks: SinkSet,
        /// How the backfill begins.
        start: SeedStart,
    },
    /// The whole snapshot of an index stands in the lane before this entry.
    Seeded {
        /// Which index.
        index: IndexNumber,
        /// Which sinks.
        sinks: SinkSet,
    },
    /// Nothing comes after this.
    End,
}

/// One entry of the lane.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The place in the lane, from 1.
    pub(crate) seq: u64,
    pub(crate) work: Work,
    pub(crate) bytes: usize,
    /// The share of `max_in_flight`; released by the first sink that flushes the entry.
    in_flight: Mutex<Option<OwnedSemaphorePermit>>,
    /// The share of `max_lead`; released when the last sink drops the entry.
    _lead: Option<OwnedSemaphorePermit>,
}

impl Entry {
    /// A sink has flushed the entry.
    pub(crate) fn flushed(&self) {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The worker's end of the lane.
pub(crate) struct Lane {
    sinks: Vec<mpsc::UnboundedSender<Arc<Entry>>>,
    emitted: Arc<AtomicU64>,
    in_flight: Arc<Semaphore>,
    lead: Arc<Semaphore>,
    /// What the two semaphores were made with, in bytes.
    capacity: (usize, usize),
    durable: Arc<DurableWatermark>,
}

impl Lane {
    /// A lane, and each sink's end of it.
    pub(crate) fn new(
        sinks: usize,
        options: &Options,
        durable: Arc<DurableWatermark>,
    ) -> (Self, Vec<mpsc::UnboundedReceiver<Arc<Entry>>>) {
        let (senders, receivers) = (0..sinks).map(|_| mpsc::unbounded_channel()).unzip();
        let bound = |bytes: usize| bytes.clamp(1, u32::MAX as usize >> 1);
        let capacity = (bound(options.max_in_flight), bound(options.max_in_flight.saturating_add(options.max_lead)));
        let lane = Self {
            sinks: senders,
            emitted: Arc::new(AtomicU64::new(0)),
            in_flight: Arc::new(Semaphore::new(capacity.0)),
            lead: Arc::new(Semaphore::new(capacity.1)),
            capacity,
            durable,
        };
        (lane, receivers)
    }

    /// The last entry that was emitted. A read of the store that began at a lower number may be older than a later entry.
    pub(crate) fn emitted(&self) -> &Arc<AtomicU64> {
        &self.emitted
    }

    /// Appends an entry once there is room. Returns its place.
    pub(crate) async fn emit(&self, work: Work, on_durable: OnDurable) -> u64 {
        let bytes: usize = match &work {
            Work::Live { documents, .. } | Work::Seed { documents, .. } => documents.iter().map(Document::size).sum(),
            _ => 0,
        };
        let bytes = bytes + limits::engine::ENTRY_OVERHEAD_BYTES;
        // I11: guarded by `tests::i11::what_is_built_and_not_flushed_is_bounded` and
        // `tests::i11::a_sink_leads_another_by_no_more_than_max_lead`. An entry larger than the bound
        // passes alone. The semaphores are never closed.
        let permits = |capacity: usize| u32::try_from(bytes.min(capacity)).unwrap_or(u32::MAX);
        let in_flight = Arc::clone(&self.in_flight).acquire_many_owned(permits(self.capacity.0)).await.ok();
        let lead = Arc::clone(&self.lead).acquire_many_owned(permits(self.capacity.1)).await.ok();
        let seq = self.emitted.fetch_add(1, Ordering::AcqRel) + 1;
        self.durable.register(seq, on_durable);
        let entry = Arc::new(Entry { seq, work, bytes, in_flight: Mutex::new(in_flight), _lead: lead });
        // I5: one lane, one order, for every sink. Guarded by `tests::i5::documents_are_flushed_in_the_order_of_their_changes`.
        for sink in &self.sinks {
            // A sink task that has ended has failed, and the run is ending.
            let _ = sink.send(Arc::clone(&entry));
        }
        seq
    }
}
