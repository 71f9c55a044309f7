//! What the engine does about each kind of error, in one table: whether the call is tried again and how long, and with which
//! error of the run it gives up. What the operator is told and the exit code follow from the run's error ([`RunEnd`]).

use crate::engine::error::{EngineError, StageError};

/// How a failed call of a stage is tried again, each time on a fresh instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// With back-off until it works, or for `--timeout`: the stage is away and comes back by itself.
    RetryUntilBack,
    /// With back-off for `busy_timeout`: another client holds what is needed, and may be a dead connection of our own.
    RetryWhileHeld,
    /// With back-off, `crash_budget` times in a row: the instance died, and another may not.
    RetryWithinBudget,
    /// As within the budget, until the same call fails twice in a row in the same way: nothing but the call decides the answer.
    RetryUnlessSame,
    /// Not at all: the same call fails in the same way.
    GiveUp,
}

/// What an operator, or a script, can do about a run that ended by itself; one for each exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Nothing that the host knows of.
    Failed,
    /// Correct the configuration.
    Configuration,
    /// Replace or update a plugin.
    Plugin,
    /// Make the source or sink reachable.
    Unreachable,
    /// Stop the other holder of the replication slot.
    Busy,
    /// Accept that every index is seeded again.
    HistoryLost,
    /// Correct the document, or quarantine such documents.
    Rejected,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How the call is tried again.
    pub(crate) reaction: Reaction,
    /// How the run ends when that was not enough.
    pub(crate) end: RunEnd,
}

/// The table: kind of error, reaction, end of the run.
pub(crate) fn policy(error: &StageError) -> Policy {
    use Reaction::{GiveUp, RetryUnlessSame, RetryUntilBack, RetryWhileHeld, RetryWithinBudget};
    let (reaction, end) = match error {
        StageError::Transient { .. } => (RetryUntilBack, RunEnd::Unreachable),
        StageError::Busy(_) => (RetryWhileHeld, RunEnd::Busy),
        StageError::Crashed(_) => (RetryWithinBudget, RunEnd::Plugin),
        StageError::Violation(_) => (RetryUnlessSame, RunEnd::Plugin),
        StageError::Unusable(_) => (GiveUp, RunEnd::Plugin),
        StageError::HistoryLost(_) => (GiveUp, RunEnd::HistoryLost),
        StageError::RestartRequired(_) => (GiveUp, RunEnd::Failed),
        StageError::Configuration(_) => (GiveUp, RunEnd::Configuration),
        StageError::Denied(_) => (GiveUp, RunEnd::Configuration),
        StageError::Unsupported(_) => (GiveUp, RunEnd::Failed),
        StageError::Fatal(_) => (GiveUp, RunEnd::Failed),
    };
    Policy { reaction, end }
}

impl EngineError {
    /// Which kind of end this is.
    pub fn end(&self) -> RunEnd {
        match self {
            Self::Unreachable { .. } => RunEnd::Unreachable,
            Self::Busy(_) => RunEnd::Busy,
            Self::HistoryLost { .. } => RunEnd::HistoryLost,
            Self::Configuration { .. } => RunEnd::Configuration,
            Self::Rejected { .. } => RunEnd::Rejected,
            Self::Crashed { .. } => RunEnd::Plugin,
            Self::Stage { cause, .. } => policy(cause).end,
            Self::RestartRequired { .. } | Self::State(_) => RunEnd::Failed,
        }
    }
}
