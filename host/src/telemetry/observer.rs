//! The observer that feeds logs and progress.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Screen;
use super::progress::Seeds;
use crate::engine::{Observation, Observer};
use crate::limits;

/// Documents in quarantine that have lines of their own in the log of a run.
const QUARANTINED_NAMED: u64 = 1_000;

/// Hears what the engine says and puts it on the screen.
#[derive(Debug)]
pub struct Telemetry {
    started: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    seeds: Seeds,
    ready: bool,
    resources: Vec<String>,
    changes: u64,
    documents: u64,
    quarantined: u64,
    lag_logged: Option<Instant>,
}

impl Telemetry {
    /// An observer that draws on this screen.
    pub fn new(screen: Screen) -> Self {
        let seeds = Seeds::new(screen);
        Self {
            started: Instant::now(),
            seen: Mutex::new(Seen {
                seeds,
                ready: false,
                resources: Vec::new(),
                changes: 0,
                documents: 0,
                quarantined: 0,
                lag_logged: None,
            }),
        }
    }

    /// Clears the progress lines and, if it came to anything, says what was done and what the source keeps: a forgotten replication slot fills its
    /// server's disk, so every exit names it.
    pub fn end(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.seeds.clear();
        if !seen.ready {
            return;
        }
        tracing::info!(
            changes = seen.changes,
            documents = seen.documents,
            quarantined = seen.quarantined,
            seconds = format!("{:.1}", self.started.elapsed().as_secs_f64()),
            "ended"
        );
        for resource in &seen.resources {
            tracing::info!("the source keeps {resource}; remove it with `flusso-host drop` if you do not come back");
        }
    }
}

impl Observer for Telemetry {
    fn observe(&self, observation: Observation<'_>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match observation {
            Observation::Connected { identity } => tracing::debug!(source = identity, "connected"),
            Observation::Preparing { reason } => tracing::info!("the source is not ready yet: {reason}"),
            Observation::Prepared { history, position, resources } => {
                seen.resources = resources.to_vec();
                // Of the first round: later ones begin when they have to.
                let first = !std::mem::replace(&mut seen.ready, true);
                let ready_ms = first.then(|| u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
                tracing::info!(position, %history, ready_ms, "ready");
            }
            Observation::HistoryLost { reason } => {
                tracing::warn!("the history of the source is lost: {reason}; every index is seeded again");
            }
            Observation::NothingToSeed { indexes, since } => match since {
                Some(since) => tracing::info!(
                    indexes,
                    since,
                    "nothing to seed: everything was seeded on {since} and only changes follow; --reseed prints it all again"
                ),
                None => tracing::info!(indexes, "nothing to seed: only changes follow; --reseed prints it all again"),
            },
            Observation::LinksIncomplete { index, relations } => tracing::warn!(
                index,
                "the index is seeded again: the database no longer tells where deleted and moved rows of {} were, and the link \
                 table that stands in has to see every row once",
                relations.join(", ")
            ),
            Observation::ToSeed { indexes } => {
                seen.seeds.expect(indexes, Instant::now());
                if !seen.seeds.are_named() {
                    tracing::info!(indexes, "seeding many indexes; a line every few seconds tells how many are done");
                }
            }
            Observation::SeedStarted { index, estimated_rows, resumed_at } => {
                seen.seeds.start(index, estimated_rows, resumed_at, Instant::now());
                match seen.seeds.are_named() {
                    true => tracing::info!(index, estimated_rows, resumed_at, "seeding"),
                    false => tracing::debug!(index, estimated_rows, resumed_at, "seeding"),
                }
            }
            Observation::SeedProgress { index, rows } => {
                if let Some(line) = seen.seeds.advance(index, rows, Instant::now()) {
                    tracing::info!(index, rows, "seeding: {line}");
                }
            }
            Observation::Seeded { index, rows, took } => {
                let seconds = format!("{:.1}", took.as_secs_f64());
                match seen.seeds.are_named() {
                    true => tracing::info!(index, rows, seconds, "seeded"),
                    false => tracing::debug!(index, rows, seconds, "seeded"),
                }
                if let Some((seeded, indexes)) = seen.seeds.end(index, Instant::now()) {
                    tracing::info!(seeded, indexes, "seeding many indexes");
                }
            }
            Observation::Captured { changes, checkpoints, .. } => {
                seen.changes += changes as u64;
                tracing::trace!(changes, checkpoints, "captured");
            }
            Observation::Built { changes, documents, took } => tracing::debug!(changes, documents, ?took, "built"),
            Observation::Flushed { sink, documents, took } => {
                seen.documents += documents as u64;
                tracing::debug!(sink, documents, ?took, "flushed");
            }
            Observation::DocumentsBuilt { index, documents, bytes } => {
                tracing::trace!(index, documents, bytes, "built documents");
            }
            Observation::Confirmed { committed_at, .. } => tracing::trace!(committed_at, "confirmed"),
            Observation::Lag { bytes } => {
                let due = seen.lag_logged.is_none_or(|logged| logged.elapsed() >= limits::program::LAG_LOG_INTERVAL);
                if due && bytes >= limits::program::NOTABLE_LAG_BYTES {
                    seen.lag_logged = Some(Instant::now());
                    tracing::info!(lag_bytes = bytes, "behind the source");
                }
            }
            Observation::Quarantined { index, id, by, class, reason } => {
                seen.quarantined += 1;
                let count = seen.quarantined;
                // Then a line for many: each of them is in the quarantine.
                if count <= QUARANTINED_NAMED {
                    tracing::warn!(index, id, by, class, "quarantined a document: {reason}");
                } else if count.is_multiple_of(QUARANTINED_NAMED) {
                    tracing::warn!(
                        index,
                        id,
                        by,
                        class,
                        count,
                        "quarantined documents, the last of them for: {reason}"
                    );
                }
            }
            Observation::Retrying { what, error, after } => {
                let after = format_args!("{:.1}s", after.as_secs_f64());
                tracing::warn!(stage = what, %after, "no answer, trying again: {error}");
            }
            Observation::Draining => tracing::info!("stopping: writing what is in flight"),
        }
    }
}
