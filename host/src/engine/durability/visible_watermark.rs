//! The watermarks as `/wait` and `status` see them: up to where everything is durable in every sink, up to where searches
//! find it, and which indexes are not complete yet.

use std::collections::{BTreeSet, VecDeque};

use crate::limits;
use crate::model::{IndexNumber, Position};

/// A sink has flushed everything up to an entry of the lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SinkProgress {
    pub(crate) sink: usize,
    pub(crate) seq: u64,
    /// Searches find all of it, and all that was flushed before.
    pub(crate) visible: bool,
}

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watermarks {
    /// Everything up to this position is durable in every sink.
    pub(crate) durable: Option<Position>,
    /// Searches find everything up to this position, in every sink, in the indexes that are complete.
    pub(crate) visible: Option<Position>,
    /// The indexes that this run is seeding while no complete generation serves searches.
    pub(crate) seeding: BTreeSet<IndexNumber>,
    /// The indexes that are not seeded, and that this run does not seed.
    pub(crate) unseeded: BTreeSet<IndexNumber>,
    /// How many bytes of the source's log were not confirmed when the source was asked last, where it can tell.
    pub(crate) lag: Option<u64>,
}

/// Computes up to where searches find everything.
pub(crate) struct VisibleWatermark {
    /// By sink: the last entry that it has flushed.
    flushed: Vec<u64>,
    /// By sink: the last entry that searches find; none: the sink has not said anything yet, also not of what earlier runs
    /// wrote.
    visible: Vec<Option<u64>>,
    /// Entries by which everything up to a position was durable, and the positions.
    pending: VecDeque<(u64, Position)>,
}

impl VisibleWatermark {
    /// For sinks in which everything up to a position is durable.
    pub(crate) fn new(sinks: usize, durable: Position) -> Self {
        Self { flushed: vec![0; sinks], visible: vec![None; sinks], pending: VecDeque::from([(0, durable)]) }
    }

    /// Takes a sink's progress, and the position up to which everything became durable in all sinks by it, if one did.
    /// Returns the position up to which searches find everything now, if it moved.
    pub(crate) fn advance(&mut self, progress: SinkProgress, durable: Option<Position>) -> Option<Position> {
        let sink = self.flushed.get_mut(progress.sink).zip(self.visible.get_mut(progress.sink));
        if let Some((flushed, visible)) = sink {
            *flushed = progress.seq.max(*flushed);
            if progress.visible {
                *visible = Some(*flushed);
            }
        }
        if let Some(durable) = durable {
            let everywhere = self.flushed.iter().copied().min().unwrap_or_default();
            self.pending.push_back((everywhere, durable));
            if self.pending.len() > limits::engine::MAX_PENDING_POSITIONS {
                // Neither the last, which is what will be waited for, nor the first, which becomes visible next.
                self.pending.remove(limits::engine::MAX_PENDING_POSITIONS - 1);
            }
        }
        // The slowest sink decides, and one that has said nothing is the slowest.
        let visible = self.visible.iter().copied().min().flatten()?;
        let mut moved = None;
        while self.pending.front().is_some_and(|(seq, _)| *seq <= visible) {
            moved = self.pending.pop_front().map(|(_, position)| position);
        }
        moved
    }
}
