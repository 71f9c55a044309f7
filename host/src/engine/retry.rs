//! Waiting out what may pass: backoff for a stage that is away, a budget for one whose instances die, patience for one
//! that somebody else holds.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::error::{EngineError, StageError};
use crate::engine::observer::{Observation, Observer};
use crate::engine::options::Options;

/// How one stage has been failing. Made once a stage; a success heals it.
pub(crate) struct Retry<'a> {
    what: &'a str,
    options: &'a Options,
    observer: &'a dyn Observer,
    since: Option<Instant>,
    wait: Duration,
    crashes: u32,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(what: &'a str, options: &'a Options, observer: &'a dyn Observer) -> Self {
        Self { what, options, observer, since: None, wait: options.retry_first, crashes: 0 }
    }

    /// The stage answered.
    pub(crate) fn succeeded(&mut self) {
        self.since = None;
        self.wait = self.options.retry_first;
        self.crashes = 0;
    }

    /// The stage failed: returns after the wait when it should be tried again on a fresh instance.
    ///
    /// # Errors
    ///
    /// The run's error, when trying again makes no sense or was tried for long enough.
    pub(crate) async fn failed(&mut self, error: StageError) -> Result<(), EngineError> {
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let least = match &error {
            StageError::Transient { retry_after, .. } => {
                if self.options.timeout.is_some_and(|longest| waited >= longest) {
                    return Err(EngineError::Unreachable { what: self.what.to_owned(), waited, cause: error });
                }
                retry_after.unwrap_or_default()
            }
            StageError::Busy(_) => {
                let patience =
                    self.options.timeout.map_or(self.options.busy_patience, |t| t.min(self.options.busy_patience));
                if waited >= patience {
                    return Err(EngineError::stage(self.what, error));
                }
                Duration::ZERO
            }
            StageError::Crashed(_) => {
                self.crashes += 1;
                if self.crashes > self.options.crash_budget {
                    let (what, failures) = (self.what.to_owned(), self.crashes);
                    return Err(EngineError::Crashed { what, failures, cause: error });
                }
                Duration::ZERO
            }
            _ => return Err(EngineError::stage(self.what, error)),
        };
        let mut after = self.wait.max(least);
        if let Some(longest) = self.options.timeout {
            after = after.min(longest.saturating_sub(waited).max(Duration::from_millis(10)));
        }
        self.wait = (self.wait * 2).min(self.options.retry_longest);
        let message = error.to_string();
        self.observer.observe(Observation::Retrying { what: self.what, error: &message, after });
        sleep(after).await;
        Ok(())
    }
}
