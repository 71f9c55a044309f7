//! The one ordered lane from the worker to the sinks: live batches, backfill batches and marks, in capture order (I5).
//! Bounded in bytes twice (I11): what the fastest sink has not flushed, and by how much it may lead the slowest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::engine::durability::durable_watermark::{Ack, Expected};
use crate::engine::options::Options;
use crate::model::{Document, IndexNumber, Version};

/// What an entry counts for beside its documents, in bytes: also those without any are bounded.
const ENTRY: usize = 256;

/// A set of sinks, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope(u64);

impl Scope {
    /// More sinks than this are refused at start.
    pub(crate) const MOST: usize = 64;

    pub(crate) fn all(sinks: usize) -> Self {
        Self(if sinks >= Self::MOST { u64::MAX } else { (1 << sinks) - 1 })
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

/// How a backfill of an index begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    /// Which attempt at seeding this index it is: a number that no other attempt has, in any run.
    pub(crate) attempt: u64,
    /// It is the first thing a run does, so a sink's word on whether an index is empty still holds.
    pub(crate) first: bool,
    /// It goes on with one that an earlier run left unfinished, so nothing makes room.
    pub(crate) resume: bool,
    /// Nothing is wrong with the live one but that somebody asked for another: it keeps its mark.
    pub(crate) asked: bool,
    /// The version that making room carries.
    pub(crate) version: Version,
}

/// What an entry asks of the sinks.
#[derive(Debug)]
pub(crate) enum Work {
    /// Live documents, for every sink and every generation.
    Live {
        /// Indexes whose documents are all gone, before these.
        clear: Vec<IndexNumber>,
        /// The version the clearing carries.
        version: Version,
        /// In order.
        documents: Arc<[Document]>,
    },
    /// Documents of a backfill.
    Seed {
        /// The sinks that are being seeded.
        scope: Scope,
        /// All of one index.
        documents: Arc<[Document]>,
    },
    /// A backfill of an index begins: what is marked seeded no longer is, and what must go makes room.
    BeginSeed {
        /// Which index.
        index: IndexNumber,
        /// Which sinks.
        scope: Scope,
        /// How.
        begin: Begin,
    },
    /// The whole snapshot of an index stands before this.
    Seeded {
        /// Which index.
        index: IndexNumber,
        /// Which sinks.
        scope: Scope,
    },
    /// Nothing comes after this.
    End,
}

/// One place in the lane.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) work: Work,
    pub(crate) bytes: usize,
    /// Given back by the sink that is first to flush it.
    in_flight: Mutex<Option<OwnedSemaphorePermit>>,
    /// Given back when the last sink lets go of the entry.
    _lead: Option<OwnedSemaphorePermit>,
}

impl Entry {
    /// A sink has flushed it.
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
    most: (usize, usize),
    ack: Arc<Ack>,
}

impl Lane {
    /// A lane, and each sink's end of it.
    pub(crate) fn new(
        sinks: usize,
        options: &Options,
        ack: Arc<Ack>,
    ) -> (Self, Vec<mpsc::UnboundedReceiver<Arc<Entry>>>) {
        let (senders, receivers) = (0..sinks).map(|_| mpsc::unbounded_channel()).unzip();
        let bound = |bytes: usize| bytes.clamp(1, u32::MAX as usize >> 1);
        let most = (bound(options.max_in_flight), bound(options.max_in_flight.saturating_add(options.max_lead)));
        let lane = Self {
            sinks: senders,
            emitted: Arc::new(AtomicU64::new(0)),
            in_flight: Arc::new(Semaphore::new(most.0)),
            lead: Arc::new(Semaphore::new(most.1)),
            most,
            ack,
        };
        (lane, receivers)
    }

    /// How far the lane is; what was read from the store before a place with a higher number was emitted may be older.
    pub(crate) fn emitted(&self) -> &Arc<AtomicU64> {
        &self.emitted
    }

    /// Puts work at the end of the lane, once there is room. Returns its place.
    pub(crate) async fn emit(&self, work: Work, expected: Expected) -> u64 {
        let bytes: usize = match &work {
            Work::Live { documents, .. } | Work::Seed { documents, .. } => documents.iter().map(Document::size).sum(),
            _ => 0,
        };
        let bytes = bytes + ENTRY;
        // I11: guarded by `tests::i11::what_is_built_and_not_flushed_is_bounded` and
        // `tests::i11::a_sink_leads_another_by_no_more_than_max_lead`. A batch larger than the bound passes alone. The
        // semaphores are never closed.
        let permits = |most: usize| u32::try_from(bytes.min(most)).unwrap_or(u32::MAX);
        let in_flight = Arc::clone(&self.in_flight).acquire_many_owned(permits(self.most.0)).await.ok();
        let lead = Arc::clone(&self.lead).acquire_many_owned(permits(self.most.1)).await.ok();
        let seq = self.emitted.fetch_add(1, Ordering::AcqRel) + 1;
        self.ack.expect(seq, expected);
        let entry = Arc::new(Entry { seq, work, bytes, in_flight: Mutex::new(in_flight), _lead: lead });
        // I5: one lane, one order, for every sink. Guarded by `tests::i5::documents_are_flushed_in_the_order_of_their_changes`.
        for sink in &self.sinks {
            // A sink that is gone has failed, and the run is ending.
            let _ = sink.send(Arc::clone(&entry));
        }
        seq
    }
}
