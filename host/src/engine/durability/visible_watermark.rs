//! How far a run is as whoever waits for a change sees it: up to where everything is durable in every sink, up to where
//! searches find it, and which indexes are not whole yet.

use std::collections::{BTreeSet, VecDeque};

use crate::model::{IndexNumber, Position};

/// Positions that are durable and not found yet, at most; more are thinned out, which makes an answer later, never earlier.
const MOST: usize = 1_024;

/// A sink has flushed everything up to a place in the lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) sink: usize,
    pub(crate) seq: u64,
    /// Searches find all of it, also what was flushed before.
    pub(crate) visible: bool,
}

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// Everything up to here is durable in every sink.
    pub(crate) durable: Option<Position>,
    /// Searches find everything up to here, in every sink, in the indexes that are whole.
    pub(crate) visible: Option<Position>,
    /// The indexes that are not whole: they are being seeded, and nothing else serves that is.
    pub(crate) filling: BTreeSet<IndexNumber>,
    /// The indexes that are not seeded, and nobody seeds them.
    pub(crate) unseeded: BTreeSet<IndexNumber>,
}

/// The watermark of what searches find.
pub(crate) struct Watermark {
    done: Vec<u64>,
    /// None: nothing is known of a sink yet, also not of what earlier runs wrote.
    visible: Vec<Option<u64>>,
    /// Places by which everything up to a position was durable, and the positions.
    open: VecDeque<(u64, Position)>,
}

impl Watermark {
    /// Of sinks in which everything up to a position is durable.
    pub(crate) fn new(sinks: usize, durable: Position) -> Self {
        Self { done: vec![0; sinks], visible: vec![None; sinks], open: VecDeque::from([(0, durable)]) }
    }

    /// A sink is so far; with that, everything up to `durable` is durable in all of them, if it says something new. Returns
    /// up to where searches find everything now, if that is news.
    pub(crate) fn note(&mut self, done: Done, durable: Option<Position>) -> Option<Position> {
        if let (Some(at), Some(visible)) = (self.done.get_mut(done.sink), self.visible.get_mut(done.sink)) {
            *at = done.seq.max(*at);
            if done.visible {
                *visible = Some(*at);
            }
        }
        if let Some(durable) = durable {
            let everywhere = self.done.iter().copied().min().unwrap_or_default();
            self.open.push_back((everywhere, durable));
            if self.open.len() > MOST {
                // Not the last, which is what will be asked for, and not the first, which is what comes next.
                self.open.remove(MOST - 1);
            }
        }
        // The slowest decides, and one of which nothing is known is the slowest.
        let found = self.visible.iter().copied().min().flatten()?;
        let mut news = None;
        while self.open.front().is_some_and(|(seq, _)| *seq <= found) {
            news = self.open.pop_front().map(|(_, position)| position);
        }
        news
    }
}
