//! How the run stands now: what `/status` and `flusso-host status` show. The keys of flusso 0.15 mean what they meant there.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::instruments::word;
use crate::engine::{IndexStatus, RunHandle};
use crate::mask::masked;

/// How far a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// No run follows the source yet.
    Starting,
    /// An index is being seeded.
    Backfilling,
    /// Every index is whole, and changes follow.
    Live,
    /// What is in flight is written, then the host ends.
    Stopping,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexNow {
    /// Its name, without the prefix.
    pub name: String,
    /// `unseeded`, `seeding`, `rebuilding` or `seeded`.
    pub state: String,
    /// Rows that are done, while it is filled.
    pub rows: Option<u64>,
    /// About how many there are.
    pub of: Option<u64>,
    /// Documents that this host built.
    pub built: u64,
    /// Documents that it put into quarantine.
    pub quarantined: u64,
}

/// A sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkNow {
    /// Its name.
    pub name: String,
    /// Documents and deletes that it made durable.
    pub written: u64,
    /// How long its last flush took.
    pub last_flush_micros: u64,
    /// The part of the last minute in which it wrote and flushed, from 0 to 1.
    pub busy: f64,
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stage.
    pub stage: String,
    /// What it said.
    pub message: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// How the run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// How far the host is.
    pub phase: Phase,
    /// The host's version.
    pub version: String,
    /// Since the host started.
    pub uptime_seconds: u64,
    /// How many indexes there are.
    pub indexes: u64,
    /// Changes that came from the source.
    pub changes_captured: u64,
    /// Changes whose documents are durable in every sink.
    pub changes_committed: u64,
    /// Captured and not committed.
    pub changes_in_flight: u64,
    /// Documents that were built.
    pub documents_built: u64,
    /// Documents that were put into quarantine.
    pub documents_quarantined: u64,
    /// Batches of changes that were built.
    pub batches: u64,
    /// How long the last flush took, of whichever sink.
    pub last_flush_micros: u64,
    /// Bytes of the source's log that are not confirmed, where the source can tell.
    pub slot_lag_bytes: Option<u64>,
    /// From the commit of the last transaction that is durable everywhere until it was.
    pub behind_seconds: Option<f64>,
    /// Calls that failed and were made again.
    pub errors: u64,
    /// The last of them.
    pub last_error: Option<String>,
    /// The same with its stage and its time.
    pub last_problem: Option<Problem>,
    /// Each index.
    pub each_index: Vec<IndexNow>,
    /// Each sink that wrote something.
    pub each_sink: Vec<SinkNow>,
}

/// What is counted of an index.
#[derive(Debug, Default)]
pub(super) struct OfIndex {
    pub(super) built: u64,
    pub(super) quarantined: u64,
}

/// What is counted of a sink.
#[derive(Debug, Default)]
struct OfSink {
    written: u64,
    last_flush: Duration,
    /// The flushes of the last minute: when each ended and how long it took.
    recent: VecDeque<(Instant, Duration)>,
}

/// How long a sink is looked back on.
const RECENT: Duration = Duration::from_secs(60);
/// Flushes of a minute that are remembered.
const MOST_FLUSHES: usize = 4_096;

/// What was seen of a run.
#[derive(Debug)]
pub(super) struct Seen {
    started: Instant,
    captured: u64,
    committed: u64,
    /// What is captured and not committed: up to which version, and how many changes.
    in_flight: VecDeque<(u64, u64)>,
    pub(super) batches: u64,
    pub(super) quarantined: u64,
    pub(super) behind_seconds: Option<f64>,
    pub(super) is_stopping: bool,
    last_flush: Duration,
    errors: u64,
    last_problem: Option<Problem>,
    indexes: BTreeMap<String, OfIndex>,
    sinks: BTreeMap<String, OfSink>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            captured: 0,
            committed: 0,
            in_flight: VecDeque::new(),
            batches: 0,
            quarantined: 0,
            behind_seconds: None,
            is_stopping: false,
            last_flush: Duration::ZERO,
            errors: 0,
            last_problem: None,
            indexes: BTreeMap::new(),
            sinks: BTreeMap::new(),
        }
    }
}

impl Seen {
    /// Changes came, the last of this version.
    pub(super) fn captured(&mut self, changes: u64, version: u64) {
        self.captured += changes;
        match self.in_flight.back_mut() {
            // Polls of one transaction are one.
            Some((last, count)) if *last == version => *count += changes,
            _ if changes > 0 => self.in_flight.push_back((version, changes)),
            _ => {}
        }
    }

    /// Everything up to this version is durable. Returns how many changes that are.
    pub(super) fn confirmed(&mut self, version: u64) -> u64 {
        let mut committed = 0;
        while let Some((_, changes)) = self.in_flight.pop_front_if(|(of, _)| *of <= version) {
            committed += changes;
        }
        self.committed += committed;
        committed
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.captured.saturating_sub(self.committed)
    }

    pub(super) fn index(&mut self, name: &str) -> &mut OfIndex {
        if !self.indexes.contains_key(name) {
            self.indexes.insert(name.to_owned(), OfIndex::default());
        }
        self.indexes.entry(name.to_owned()).or_default()
    }

    pub(super) fn flushed(&mut self, sink: &str, documents: u64, took: Duration) {
        let sink = self.sinks.entry(sink.to_owned()).or_default();
        sink.written += documents;
        sink.last_flush = took;
        sink.recent.push_back((Instant::now(), took));
        if sink.recent.len() > MOST_FLUSHES {
            sink.recent.pop_front();
        }
        self.last_flush = took;
    }

    pub(super) fn failed(&mut self, stage: &str, message: &str) {
        self.errors += 1;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        // It is shown to whoever asks.
        let message = String::from_utf8_lossy(&masked(message.as_bytes())).into_owned();
        self.last_problem = Some(Problem { stage: stage.to_owned(), message, at });
    }

    pub(super) fn status(&self, run: &RunHandle) -> Status {
        let indexes = run.indexes();
        let is_filled = |(_, status): &(String, IndexStatus)| matches!(status, IndexStatus::Seeding(_));
        let phase = match &indexes {
            _ if self.is_stopping => Phase::Stopping,
            None => Phase::Starting,
            Some(all) if all.iter().any(is_filled) => Phase::Backfilling,
            Some(_) => Phase::Live,
        };
        let index = |(name, status): (String, IndexStatus)| {
            let rows = match &status {
                IndexStatus::Seeding(rows) | IndexStatus::Rebuilding(rows) => Some(rows),
                IndexStatus::Unseeded | IndexStatus::Seeded => None,
            };
            let (built, quarantined) = self.indexes.get(&name).map_or((0, 0), |of| (of.built, of.quarantined));
            let (done, of) = (rows.map(|rows| rows.done), rows.and_then(|rows| rows.estimated));
            IndexNow { state: word(&status).to_owned(), name, rows: done, of, built, quarantined }
        };
        let each_index: Vec<_> = indexes.unwrap_or_default().into_iter().map(index).collect();
        let each_sink = self.sinks.iter().map(|(name, of)| SinkNow {
            name: name.clone(),
            written: of.written,
            last_flush_micros: micros(of.last_flush),
            busy: busy(&of.recent, self.started),
        });
        Status {
            phase,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            indexes: each_index.len() as u64,
            changes_captured: self.captured,
            changes_committed: self.committed,
            changes_in_flight: self.in_flight(),
            documents_built: self.indexes.values().map(|of| of.built).sum(),
            documents_quarantined: self.quarantined,
            batches: self.batches,
            last_flush_micros: micros(self.last_flush),
            slot_lag_bytes: run.lag(),
            behind_seconds: self.behind_seconds,
            errors: self.errors,
            last_error: self.last_problem.as_ref().map(|problem| problem.message.clone()),
            last_problem: self.last_problem.clone(),
            each_sink: each_sink.collect(),
            each_index,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The part of the last minute, or of the time since the start, that flushes took.
fn busy(recent: &VecDeque<(Instant, Duration)>, started: Instant) -> f64 {
    let of = started.elapsed().min(RECENT);
    let spent = recent.iter().map(|(ended, took)| match RECENT.checked_sub(ended.elapsed()) {
        Some(left) => (*took).min(left),
        None => Duration::ZERO,
    });
    let spent: Duration = spent.sum();
    if of.is_zero() { 0.0 } else { (spent.as_secs_f64() / of.as_secs_f64()).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_in_flight_until_their_version_is_confirmed() {
        let mut seen = Seen::default();
        for (changes, version) in [(2, 10), (3, 10), (1, 12), (0, 15)] {
            seen.captured(changes, version);
        }
        assert_eq!((seen.in_flight(), seen.confirmed(9)), (6, 0));
        assert_eq!((seen.confirmed(10), seen.in_flight()), (5, 1));
        assert_eq!((seen.confirmed(20), seen.in_flight()), (1, 0));
    }
}
