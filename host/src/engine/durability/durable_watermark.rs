//! The watermark: which part of the lane is durable in every sink, and what follows from that.
//!
//! I1: a checkpoint is handed out only when every sink has flushed its entry and all before it. I2: a checkpoint stands
//! at the entry that holds the last change before it, so it is never handed out before all of its transaction is durable.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::stage::Mutation;
use crate::model::{Checkpoint, IndexNumber};

/// How far a backfill is, once its entry is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeedMark {
    pub(crate) index: IndexNumber,
    /// Which attempt at seeding this index.
    pub(crate) attempt: u64,
    /// Which range.
    pub(crate) part: usize,
    /// Where to go on; none: the range is done.
    pub(crate) cursor: Option<Vec<u8>>,
    pub(crate) rows: u64,
}

/// What becomes true when an entry is durable in every sink.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// The opening of the source and its checkpoint.
    pub(crate) checkpoint: Option<(u64, Checkpoint)>,
    pub(crate) seed: Option<SeedMark>,
    /// What to remember of documents that could not be built.
    pub(crate) aside: Vec<Mutation>,
    /// What the changes of a batch, all of whose documents stand up to here, ended among the remembered links.
    pub(crate) ended: Option<u64>,
    /// An index, and which attempt at seeding it is complete.
    pub(crate) seeded: Option<(IndexNumber, u64)>,
    /// It was the last entry.
    pub(crate) end: bool,
}

/// What became true.
#[derive(Debug, Default)]
pub(crate) struct Advance {
    /// The latest checkpoint.
    pub(crate) checkpoint: Option<(u64, Checkpoint)>,
    pub(crate) seeds: Vec<SeedMark>,
    pub(crate) aside: Vec<Mutation>,
    pub(crate) ended: Vec<u64>,
    pub(crate) seeded: Vec<(IndexNumber, u64)>,
    pub(crate) end: bool,
}

impl Advance {
    pub(crate) fn is_empty(&self) -> bool {
        self.checkpoint.is_none()
            && self.seeds.is_empty()
            && self.aside.is_empty()
            && self.ended.is_empty()
            && self.seeded.is_empty()
            && !self.end
    }

    /// Adds what became true later.
    pub(crate) fn extend(&mut self, later: Self) {
        if later.checkpoint.is_some() {
            self.checkpoint = later.checkpoint;
        }
        self.seeds.extend(later.seeds);
        self.aside.extend(later.aside);
        self.ended.extend(later.ended);
        self.seeded.extend(later.seeded);
        self.end |= later.end;
    }
}

/// The watermark over one lane.
pub(crate) struct Ack(Mutex<Inner>);

struct Inner {
    /// How far each sink is. Sinks flush in the lane's order, so a number says all before it.
    done: Vec<u64>,
    expected: VecDeque<(u64, Expected)>,
}

impl Ack {
    pub(crate) fn new(sinks: usize) -> Self {
        Self(Mutex::new(Inner { done: vec![0; sinks], expected: VecDeque::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry is being emitted.
    pub(crate) fn expect(&self, seq: u64, expected: Expected) {
        self.lock().expected.push_back((seq, expected));
    }

    /// A sink has flushed everything up to `seq`. Returns what became true by that.
    pub(crate) fn done(&self, sink: usize, seq: u64) -> Advance {
        let mut inner = self.lock();
        if let Some(done) = inner.done.get_mut(sink) {
            *done = (*done).max(seq);
        }
        // I1: the slowest sink decides. Guarded by `tests::i1::the_slowest_sink_decides_what_is_confirmed`.
        let durable = inner.done.iter().copied().min().unwrap_or(0);
        let mut advance = Advance::default();
        while inner.expected.front().is_some_and(|(seq, _)| *seq <= durable) {
            let Some((_, expected)) = inner.expected.pop_front() else { break };
            if expected.checkpoint.is_some() {
                advance.checkpoint = expected.checkpoint;
            }
            advance.seeds.extend(expected.seed);
            advance.aside.extend(expected.aside);
            advance.ended.extend(expected.ended);
            advance.seeded.extend(expected.seeded);
            advance.end |= expected.end;
        }
        advance
    }
}
