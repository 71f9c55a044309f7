//! Waiting until searches find every change up to a position, for applications that read their own writes.
//!
//! A wait that nothing moves to (idle tables on a busy server) asks the capture for the source's head, which makes the stream
//! move on. A wait for what is durable and not visible requests a refresh from every sink.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::engine::control::commands::{ActiveRun, RunHandle};
use crate::engine::error::StageError;
use crate::limits;
use crate::model::{IndexNumber, Position};

/// The position that is waited for.
#[derive(Clone, Debug)]
pub enum WaitTarget {
    /// The position of everything committed before the wait began.
    Now,
    /// A position as the source or its store's own tools print it.
    Position(String),
}

/// The result of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// Searches find every change up to the position.
    Found {
        /// The position.
        position: String,
    },
    /// Searches did not find every change within the time.
    TooLate {
        /// The position that was waited for, if it is known.
        position: Option<String>,
        /// The position up to which everything is durable.
        durable: Option<String>,
        /// The position up to which searches find everything.
        found: Option<String>,
        /// The index is being seeded: nothing is promised of it before it is complete.
        seeding: bool,
    },
}

/// Why a wait is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WaitError {
    /// There is no such index.
    #[error("there is no index {wanted:?}; there are: {}", known.join(", "))]
    Unknown {
        /// The name that was given.
        wanted: String,
        /// The names of the indexes there are.
        known: Vec<String>,
    },
    /// The source cannot read the position, or it is of another history.
    #[error("{0}")]
    NoPosition(String),
}

/// Why a wait in one run ended without a result.
enum Interrupted {
    /// The run ended, or its source does not answer at this moment.
    Away,
    /// The target is no position of the run's history.
    NoPosition(String),
}

impl From<StageError> for Interrupted {
    fn from(error: StageError) -> Self {
        match error {
            error @ (StageError::Configuration(_) | StageError::HistoryLost(_) | StageError::Unsupported(_)) => {
                Self::NoPosition(error.to_string())
            }
            _ => Self::Away,
        }
    }
}

impl RunHandle {
    /// Waits until searches find every change of an index up to a position, at most for `limit`.
    ///
    /// # Errors
    ///
    /// When there is nothing to wait for.
    pub async fn wait(&self, index: &str, until: WaitTarget, limit: Duration) -> Result<WaitOutcome, WaitError> {
        let mut target = None;
        if let Ok(outcome) = timeout(limit, self.wait_over_runs(index, &until, &mut target)).await {
            return outcome;
        }
        let Some(run) = self.run() else {
            return Ok(WaitOutcome::TooLate { position: None, durable: None, found: None, seeding: false });
        };
        let watermarks = run.watermarks.borrow().clone();
        Ok(WaitOutcome::TooLate {
            position: run.print(target.as_ref()).await,
            durable: run.print(watermarks.durable.as_ref()).await,
            found: run.print(watermarks.visible.as_ref()).await,
            seeding: run.index_number(index).is_some_and(|index| watermarks.seeding.contains(&index)),
        })
    }

    /// Waits in the active run, and in the next one where a run ends meanwhile.
    async fn wait_over_runs(
        &self,
        index: &str,
        until: &WaitTarget,
        target: &mut Option<Position>,
    ) -> Result<WaitOutcome, WaitError> {
        let mut runs = self.0.clone();
        loop {
            let Ok(run) = runs.wait_for(Option::is_some).await.map(|run| run.clone()) else {
                // The program is ending.
                return std::future::pending().await;
            };
            let Some(run) = run else { continue };
            let unknown = || WaitError::Unknown { wanted: index.to_owned(), known: run.index_names.clone() };
            let number = run.index_number(index).ok_or_else(unknown)?;
            // Another run may follow another history, so the target is read again.
            *target = None;
            match run.wait(number, until, target).await {
                Ok(()) => {
                    let position = run.print(target.as_ref()).await.unwrap_or_default();
                    return Ok(WaitOutcome::Found { position });
                }
                Err(Interrupted::NoPosition(reason)) => return Err(WaitError::NoPosition(reason)),
                Err(Interrupted::Away) => sleep(limits::engine::WAIT_RECHECK_INTERVAL).await,
            }
        }
    }
}

impl ActiveRun {
    async fn print(&self, position: Option<&Position>) -> Option<String> {
        let position = position?;
        timeout(limits::engine::PRINT_TIMEOUT, async { self.position_reader.lock().await.print(position).await })
            .await
            .ok()?
            .ok()
    }

    /// The source's head, which the capture reads between two polls; from then on its polls aim at it.
    async fn head(&self) -> Result<Position, Interrupted> {
        let (sender, head) = oneshot::channel();
        self.head_requests.send(sender).await.map_err(|_| Interrupted::Away)?;
        head.await.map_err(|_| Interrupted::Away)
    }

    /// Waits in this run. `target_slot` holds the target as soon as it is known, for the message of a wait that is too late.
    async fn wait(
        &self,
        index: IndexNumber,
        until: &WaitTarget,
        target_slot: &mut Option<Position>,
    ) -> Result<(), Interrupted> {
        let target = match until {
            WaitTarget::Now => self.head().await?,
            WaitTarget::Position(text) => self.position_reader.lock().await.parse(text).await?,
        };
        *target_slot = Some(target.clone());
        let mut watermarks = self.watermarks.clone();
        let mut recheck = limits::engine::HEAD_REQUEST_DELAY;
        loop {
            let now = watermarks.borrow_and_update().clone();
            if !now.seeding.contains(&index) {
                if self.is_past(now.visible.as_ref(), &target).await? {
                    return Ok(());
                }
                if self.is_past(now.durable.as_ref(), &target).await? {
                    self.refresh_requests.send_modify(|requests| *requests += 1);
                }
            }
            match timeout(recheck, watermarks.changed()).await {
                Ok(changed) => changed.map_err(|_| Interrupted::Away)?,
                Err(_) => {
                    recheck = limits::engine::WAIT_RECHECK_INTERVAL;
                    if !self.is_past(now.durable.as_ref(), &target).await? {
                        // The source may have nothing to report; asked for its head, it moves on. The answer is not needed.
                        let _ = self.head_requests.try_send(oneshot::channel().0);
                    }
                }
            }
        }
    }

    async fn is_past(&self, position: Option<&Position>, target: &Position) -> Result<bool, Interrupted> {
        let Some(position) = position else { return Ok(false) };
        Ok(self.position_reader.lock().await.is_past(position, target).await?)
    }
}
