//! Trying a failed call again: back-off for a stage that is away, a time limit for one that another client holds, a budget
//! for one whose instances die. Which of these an error gets stands in [`error_policy`](super::error_policy).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::error::{EngineError, StageError};
use crate::engine::error_policy::{Reaction, policy};
use crate::engine::observer::{Observation, Observer};
use crate::engine::options::Options;
use crate::limits;

/// The consecutive failures of one stage. A success ends the series.
pub(crate) struct Retry<'a> {
    /// The stage, as messages name it.
    stage: String,
    options: &'a Options,
    observer: &'a dyn Observer,
    failing_since: Option<Instant>,
    backoff: Duration,
    crashes: u32,
    /// The last failure, if it was a violation of the contract.
    violation: Option<String>,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(stage: impl Into<String>, options: &'a Options, observer: &'a dyn Observer) -> Self {
        let (stage, backoff) = (stage.into(), options.retry_first);
        Self { stage, options, observer, failing_since: None, backoff, crashes: 0, violation: None }
    }

    /// Makes a call until it succeeds. The call opens a fresh instance after each failure. The success does not end the
    /// series of failures: an instance that opens and dies in its first use is one that fails.
    ///
    /// # Errors
    ///
    /// The run's error, when the call will not succeed or was tried for long enough.
    pub(crate) async fn run<T, F>(&mut self, mut call: impl FnMut() -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, StageError>>,
    {
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.failed(error).await?,
            }
        }
    }

    /// The stage did its work: the next failure begins a new series.
    pub(crate) fn succeeded(&mut self) {
        self.failing_since = None;
        self.backoff = self.options.retry_first;
        self.crashes = 0;
        self.violation = None;
    }

    /// The stage failed: returns after the back-off, when the call is to be made again on a fresh instance.
    ///
    /// # Errors
    ///
    /// The run's error, when another try makes no sense or was made for long enough.
    pub(crate) async fn failed(&mut self, error: StageError) -> Result<(), EngineError> {
        let failing_for = self.failing_since.get_or_insert_with(Instant::now).elapsed();
        let Options { timeout, busy_timeout, crash_budget, .. } = *self.options;
        let reaction = policy(&error).reaction;
        let violation = (reaction == Reaction::RetryUnlessSame).then(|| error.to_string());
        let same = violation.is_some() && violation == self.violation;
        self.violation = violation;
        match reaction {
            Reaction::RetryUntilBack if timeout.is_some_and(|limit| failing_for >= limit) => {
                return Err(EngineError::Unreachable { what: self.stage.clone(), waited: failing_for, cause: error });
            }
            Reaction::RetryWhileHeld
                if failing_for >= timeout.map_or(busy_timeout, |limit| limit.min(busy_timeout)) =>
            {
                return Err(EngineError::stage(&*self.stage, error));
            }
            Reaction::RetryWithinBudget | Reaction::RetryUnlessSame => {
                self.crashes += 1;
                if same || self.crashes > crash_budget {
                    return Err(EngineError::Crashed {
                        what: self.stage.clone(),
                        failures: self.crashes,
                        cause: error,
                    });
                }
            }
            Reaction::GiveUp => return Err(EngineError::stage(&*self.stage, error)),
            Reaction::RetryUntilBack | Reaction::RetryWhileHeld => {}
        }
        let wanted = match &error {
            // What a stage asks for, within reason: it must not be able to put a run to sleep.
            StageError::Transient { retry_after, .. } => {
                retry_after.unwrap_or_default().min(limits::engine::RETRY_AFTER_LONGEST)
            }
            _ => Duration::ZERO,
        };
        let mut after = self.backoff.max(wanted);
        if let Some(limit) = timeout {
            after = after.min(limit.saturating_sub(failing_for).max(limits::engine::MIN_BACKOFF));
        }
        self.backoff = (self.backoff * 2).min(self.options.retry_longest);
        let message = error.to_string();
        self.observer.observe(Observation::Retrying { what: &self.stage, error: &message, after });
        sleep(after).await;
        Ok(())
    }
}
