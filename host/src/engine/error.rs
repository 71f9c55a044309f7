//! What can go wrong: in a stage (by what the engine can do about it), and for the whole run (by what an operator can).

use std::sync::Arc;
use std::time::Duration;

use crate::model::Failure;

/// Why a stage did not answer with a result. Each variant is one reaction of the engine.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StageError {
    /// It may work later: waited out with backoff, then tried on a fresh instance.
    #[error("{message}")]
    Transient {
        /// What went wrong, with the stage's name.
        message: String,
        /// The shortest wait that makes sense.
        retry_after: Option<Duration>,
    },
    /// Another client holds what is needed.
    #[error("{0}")]
    Busy(String),
    /// What should be resumed is gone.
    #[error("{0}")]
    HistoryLost(String),
    /// Some indexes have to be seeded again, which only a start can find out which.
    #[error("{0}")]
    RestartRequired(String),
    /// A setting is wrong.
    #[error("{0}")]
    Configuration(String),
    /// The operator has not granted this.
    #[error("{0}")]
    Denied(String),
    /// The stage cannot do this; there is a fallback.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The stage's instance died in a call (a trap, a time-out, a limit, a lie): tried again on a fresh one, within a budget.
    #[error("{0}")]
    Crashed(String),
    /// The stage's answer breaks the contract, or its instance died of nothing but the call: tried again on a fresh one, and
    /// final if that does the same.
    #[error("{0}")]
    Violation(String),
    /// The plugin does what no plugin may, and would do it again.
    #[error("{0}")]
    Unusable(String),
    /// Nothing will help.
    #[error("{0}")]
    Fatal(String),
}

impl StageError {
    /// What becomes of the one document that it is of.
    pub(crate) fn of_document(&self) -> Failure {
        Failure { class: "crash".to_owned(), reason: self.to_string() }
    }

    /// Whether halving the call can tell which document the error is of: the instance died of it, or answered wrongly.
    pub(crate) fn may_be_of_one_document(&self) -> bool {
        matches!(self, Self::Crashed(_) | Self::Violation(_))
    }

    /// A transient error that asks for no particular wait.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::Transient { message: message.into(), retry_after: None }
    }

    /// Whether trying again on a fresh instance can help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Crashed(_) | Self::Violation(_))
    }
}

/// Why a run ended otherwise than asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// Source or sink could not be reached within the time the operator gave.
    #[error("{what} was not reachable for {} s: {cause}", waited.as_secs())]
    Unreachable {
        /// Which stage.
        what: String,
        /// How long it was tried.
        waited: Duration,
        /// The last answer.
        cause: StageError,
    },
    /// What the source needs is held by another client.
    #[error("{0}")]
    Busy(String),
    /// The source cannot go on where the host left off.
    #[error(
        "the history of the source is lost: {reason}; every index must be seeded again: start once with --reseed, or set on_history_loss = \"reseed\""
    )]
    HistoryLost {
        /// What is missing.
        reason: String,
    },
    /// A new run finds out what this one cannot; safe at any time.
    #[error("{reason}; start again, and what it concerns is seeded anew")]
    RestartRequired {
        /// What happened.
        reason: String,
    },
    /// A setting is wrong.
    #[error("{what}: {message}")]
    Configuration {
        /// Which stage.
        what: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A document was refused, and its index's policy is to stop.
    #[error(
        "document {id:?} of index {index:?} was refused by {what} ({class}): {reason}; \
         mend the cause and start again, or set on_error = \"skip\" for this index to quarantine such documents"
    )]
    Rejected {
        /// The index's name.
        index: String,
        /// The document's id.
        id: String,
        /// Who refused it.
        what: String,
        /// A word to count by.
        class: String,
        /// Why.
        reason: String,
    },
    /// A stage's instances died more often than the budget allows.
    #[error("{what} failed {failures} times in a row, the last time with: {cause}")]
    Crashed {
        /// Which stage.
        what: String,
        /// How often.
        failures: u32,
        /// The last answer.
        cause: StageError,
    },
    /// A stage gave up.
    #[error("{what}: {cause}")]
    Stage {
        /// Which stage.
        what: String,
        /// Its answer.
        cause: StageError,
    },
    /// The host's own state could not be read or written.
    #[error("the state of the host: {0}")]
    State(Arc<dyn std::error::Error + Send + Sync>),
}

impl EngineError {
    /// The error of a run for a stage's answer that nothing will help against.
    pub fn stage(what: impl Into<String>, cause: StageError) -> Self {
        let what = what.into();
        match cause {
            StageError::Configuration(message) => Self::Configuration { what, message },
            StageError::Busy(message) => Self::Busy(message),
            StageError::HistoryLost(reason) => Self::HistoryLost { reason },
            StageError::RestartRequired(reason) => Self::RestartRequired { reason },
            cause => Self::Stage { what, cause },
        }
    }
}
