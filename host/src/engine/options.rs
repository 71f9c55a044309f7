//! How a pipeline runs: every limit with its name, its unit and its default.

use std::time::Duration;

use crate::limits;
use crate::model::Mapping;

/// What a rejected or unbuildable document does to the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The run stops; nothing is quarantined.
    #[default]
    Stop,
    /// The document goes to the quarantine, durably, and the run goes on.
    Skip,
}

/// Which indexes to seed again although they are seeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reseed {
    /// None.
    #[default]
    Nothing,
    /// All of them; also accepts that the source's history is lost.
    Everything,
    /// These, by name.
    Indexes(Vec<String>),
}

/// What a run does when the source cannot go on where the host left off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnHistoryLoss {
    /// It ends with the reason, and nothing is created.
    #[default]
    Stop,
    /// It begins a new history and seeds every index again.
    Reseed,
}

/// How a pipeline runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Put before every index name at the sinks.
    pub prefix: String,
    /// The most documents of one stage in quarantine; see [`crate::limits::engine::QUARANTINE_DOCUMENTS`].
    pub quarantine_documents: usize,
    /// Changes in a live batch, at most.
    pub max_changes: usize,
    /// How long a live batch may fill, from its first change.
    pub max_delay: Duration,
    /// Documents in a batch of a backfill, and of a change that touches very many.
    pub backfill_documents: u32,
    /// Bytes of bodies in a batch of a backfill, about.
    pub backfill_bytes: u32,
    /// Ranges of a table read side by side.
    pub backfill_parts: u32,
    /// Changes waiting between capture and batching.
    pub queue_changes: usize,
    /// Bytes of changes waiting between capture and batching.
    pub queue_bytes: usize,
    /// Bytes of built batches that the fastest sink has not flushed yet.
    pub max_in_flight: usize,
    /// Bytes of built batches by which the fastest sink may lead the slowest.
    pub max_lead: usize,
    /// Bytes that a sink gathers before it flushes while more is waiting.
    pub flush_bytes: usize,
    /// Bytes of bodies that one call builds, or hands to a sink, about.
    pub call_bytes: usize,
    /// How long one flush may take.
    pub flush_deadline: Duration,
    /// The first wait after a transient failure; it doubles.
    pub retry_first: Duration,
    /// The longest wait after a transient failure.
    pub retry_longest: Duration,
    /// How often in a row a stage's instances may die before the run stops.
    pub crash_budget: u32,
    /// How long another client may hold what the source needs before the run stops.
    pub busy_timeout: Duration,
    /// How long source or sink may be away before the run stops; none: for ever.
    pub timeout: Option<Duration>,
    /// The shortest time between two confirmations that are stored.
    pub confirm_interval: Duration,
    /// How long a run that was asked to stop may take to drain what is in flight.
    pub drain: Duration,
    /// What a rejected document does, by default.
    pub on_error: OnError,
    /// What it does in some indexes, by name.
    pub on_error_by_index: Vec<(String, OnError)>,
    /// What happens at a start that finds the source's history lost. A loss while the source is followed always ends the
    /// run.
    pub on_history_loss: OnHistoryLoss,
    /// Go straight to the live changes.
    pub skip_backfill: bool,
    /// Seed again what is seeded.
    pub reseed: Reseed,
    /// Follow to the head as it is when the last seed is durable, then end.
    pub once: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            quarantine_documents: limits::engine::QUARANTINE_DOCUMENTS,
            max_changes: limits::engine::MAX_CHANGES as usize,
            max_delay: limits::engine::MAX_DELAY,
            backfill_documents: limits::engine::BACKFILL_DOCUMENTS,
            backfill_bytes: limits::engine::BACKFILL_BYTES,
            backfill_parts: limits::engine::BACKFILL_PARTS,
            queue_changes: limits::engine::QUEUE_CHANGES,
            queue_bytes: limits::engine::QUEUE_BYTES,
            max_in_flight: limits::engine::MAX_IN_FLIGHT,
            max_lead: limits::engine::MAX_LEAD,
            flush_bytes: limits::engine::FLUSH_BYTES,
            call_bytes: limits::engine::CALL_BYTES,
            flush_deadline: limits::engine::FLUSH_DEADLINE,
            retry_first: limits::engine::RETRY_FIRST,
            retry_longest: limits::engine::RETRY_LONGEST,
            crash_budget: limits::engine::CRASH_BUDGET,
            busy_timeout: limits::engine::BUSY_TIMEOUT,
            timeout: None,
            confirm_interval: limits::engine::CONFIRM_INTERVAL,
            drain: limits::engine::DRAIN_TIMEOUT,
            on_error: OnError::default(),
            on_error_by_index: Vec::new(),
            on_history_loss: OnHistoryLoss::default(),
            skip_backfill: false,
            reseed: Reseed::default(),
            once: false,
        }
    }
}

impl Options {
    /// The policy of an index.
    pub fn on_error_of(&self, index: &str) -> OnError {
        self.on_error_by_index.iter().find(|(name, _)| name == index).map_or(self.on_error, |(_, policy)| *policy)
    }

    /// A mapping as the sinks get it: with the prefix, which it also says apart, for names that a sink makes up for itself.
    /// Guarded by `tests::prefix::a_sink_is_told_the_prefix_that_stands_before_an_index`.
    pub fn at_sinks(&self, mapping: &Mapping) -> Mapping {
        if self.prefix.is_empty() {
            return mapping.clone();
        }
        let index = format!("{}{}", self.prefix, mapping.index);
        Mapping { index, prefix: self.prefix.clone(), ..mapping.clone() }
    }
}
