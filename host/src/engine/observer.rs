//! What the engine reports while it runs. The reports are never read back: an observer cannot change a run.

use std::time::Duration;

use crate::model::{HistoryId, Version};

/// One report.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Observation<'a> {
    /// The source is open.
    Connected {
        /// The store and the cursor on it.
        identity: &'a str,
    },
    /// The source is not ready yet.
    Preparing {
        /// What the source waits for.
        reason: &'a str,
    },
    /// The source is ready: this history is followed from this position.
    Prepared {
        /// The history.
        history: &'a HistoryId,
        /// The position, for a person.
        position: &'a str,
        /// What the source keeps in the store, a line each.
        resources: &'a [String],
    },
    /// The source cannot go on where the host left off, and the run may begin a new history: every index is seeded again.
    HistoryLost {
        /// What is missing.
        reason: &'a str,
    },
    /// Every index of every sink is seeded.
    NothingToSeed {
        /// How many indexes.
        indexes: usize,
        /// Since when the first of them is seeded (RFC 3339), if the host remembers.
        since: Option<&'a str>,
    },
    /// An index is seeded again, because its builds did not record the links of some relations, which it needs from now on.
    LinksIncomplete {
        /// The index.
        index: &'a str,
        /// The relations.
        relations: &'a [String],
    },
    /// What is to be seeded before only changes follow.
    ToSeed {
        /// How many indexes.
        indexes: usize,
    },
    /// An index is being seeded.
    SeedStarted {
        /// The index.
        index: &'a str,
        /// About how many rows.
        estimated_rows: Option<u64>,
        /// How many were read before an interruption.
        resumed_at: u64,
    },
    /// More of an index is durable in its sinks.
    SeedProgress {
        /// The index.
        index: &'a str,
        /// How many rows so far.
        rows: u64,
    },
    /// An index is seeded in all its sinks.
    Seeded {
        /// The index.
        index: &'a str,
        /// How many rows.
        rows: u64,
        /// How long it took, in this run.
        took: Duration,
    },
    /// Events came from the source.
    Captured {
        /// How many changes.
        changes: usize,
        /// How many whole transactions, at least.
        checkpoints: usize,
        /// The highest version among them.
        version: Version,
    },
    /// A batch was resolved and built.
    Built {
        /// How many changes it had.
        changes: usize,
        /// How many documents came of them.
        documents: usize,
        /// How long it took.
        took: Duration,
    },
    /// Documents of an index were built.
    DocumentsBuilt {
        /// The index.
        index: &'a str,
        /// How many.
        documents: usize,
        /// The bytes of their bodies.
        bytes: usize,
    },
    /// A sink made documents durable.
    Flushed {
        /// The sink.
        sink: &'a str,
        /// How many documents.
        documents: usize,
        /// How long write and flush took.
        took: Duration,
    },
    /// Changes up to a position are durable everywhere, and the host remembers it.
    Confirmed {
        /// When the last of their transactions was committed, in microseconds since 1970.
        committed_at: Option<u64>,
        /// The version at the position.
        version: Version,
    },
    /// The source was asked how far it is ahead.
    Lag {
        /// How many bytes of its log are not confirmed.
        bytes: u64,
    },
    /// A document was put into quarantine.
    Quarantined {
        /// The index.
        index: &'a str,
        /// The document.
        id: &'a str,
        /// The stage that rejected it.
        by: &'a str,
        /// A word to count by.
        class: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A call of a stage failed; it is made again.
    Retrying {
        /// The stage.
        what: &'a str,
        /// The error.
        error: &'a str,
        /// The time until then.
        after: Duration,
    },
    /// The run is ending: what is in flight is drained.
    Draining,
}

/// Takes the reports. Called on the pipeline's own tasks: it must be quick.
pub trait Observer: Send + Sync {
    /// Takes one report.
    fn observe(&self, observation: Observation<'_>);
}

/// An observer that ignores every report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _: Observation<'_>) {}
}
