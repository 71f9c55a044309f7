//! The table of reactions to errors, row by row, and that nothing which fails in the same way again is tried again.

use std::time::Duration;

use crate::engine::error_policy::{Policy, Reaction, RunEnd, policy};
use crate::engine::{EngineError, StageError};

fn text() -> String {
    "because".to_owned()
}

#[test]
fn each_kind_of_error_has_its_reaction_and_its_end() {
    let transient = StageError::Transient { message: text(), retry_after: Some(Duration::from_secs(1)) };
    let table = [
        (transient, Reaction::RetryUntilBack, RunEnd::Unreachable),
        (StageError::Busy(text()), Reaction::RetryWhileHeld, RunEnd::Busy),
        (StageError::Crashed(text()), Reaction::RetryWithinBudget, RunEnd::Plugin),
        (StageError::Violation(text()), Reaction::RetryUnlessSame, RunEnd::Plugin),
        (StageError::Unusable(text()), Reaction::GiveUp, RunEnd::Plugin),
        (StageError::HistoryLost(text()), Reaction::GiveUp, RunEnd::HistoryLost),
        (StageError::RestartRequired(text()), Reaction::GiveUp, RunEnd::Failed),
        (StageError::Configuration(text()), Reaction::GiveUp, RunEnd::Configuration),
        (StageError::Denied(text()), Reaction::GiveUp, RunEnd::Configuration),
        (StageError::Unsupported(text()), Reaction::GiveUp, RunEnd::Failed),
        (StageError::Fatal(text()), Reaction::GiveUp, RunEnd::Failed),
    ];
    for (error, reaction, end) in table {
        let Policy { reaction: found, end: ends } = policy(&error);
        assert_eq!((found, ends), (reaction, end), "{error:?}");
        // An error that is not tried again ends the run in the same way that the table says.
        assert_eq!(EngineError::stage("a stage", error.clone()).end(), end, "{error:?}");
        let again = [Reaction::RetryUntilBack, Reaction::RetryWithinBudget, Reaction::RetryUnlessSame];
        assert_eq!(error.is_retryable(), again.contains(&reaction));
    }
}
