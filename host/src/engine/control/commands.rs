//! What may be asked of a run while it goes on: to build an index anew beside the one that serves, and to say when a change
//! is found by searches.
//!
//! The handle outlives a run: where one ends and the next begins, whoever waits goes on waiting with that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::engine::control::position_reader::Asking;
use crate::engine::durability::confirm::Backfills;
use crate::engine::error::{EngineError, StageError};
use crate::engine::durability::visible_watermark::Reached;
use crate::model::{IndexNumber, Position};

/// After so long without an answer a source is asked to move on, should nothing be written that moves it.
const IMPATIENCE: Duration = Duration::from_millis(25);
/// How often one looks again while nothing moves.
const LOOK: Duration = Duration::from_millis(250);
/// How long a person's word for a position may take.
const PRINT: Duration = Duration::from_secs(1);

/// What the worker is asked for.
pub(crate) enum Command {
    /// Build an index anew, beside the one that serves.
    Reindex(IndexNumber, oneshot::Sender<Result<(), Refused>>),
}

/// A run, as far as it can be asked.
pub(crate) struct Run {
    pub(crate) names: Vec<String>,
    pub(crate) commands: mpsc::Sender<Command>,
    /// Where the capture is asked for the source's head.
    pub(crate) heads: mpsc::Sender<oneshot::Sender<Position>>,
    pub(crate) reached: watch::Receiver<Reached>,
    /// Grows when somebody wishes to find what is durable.
    pub(crate) wish: Arc<watch::Sender<u64>>,
    pub(crate) backfills: Backfills,
    pub(crate) asking: Mutex<Asking>,
}

/// Asks runs.
#[derive(Clone)]
pub struct Control(watch::Receiver<Option<Arc<Run>>>);

/// The runs' side of it: says which run can be asked.
pub struct Controlled(watch::Sender<Option<Arc<Run>>>);

/// Both sides.
pub fn control() -> (Control, Controlled) {
    let (sender, receiver) = watch::channel(None);
    (Control(receiver), Controlled(sender))
}

impl Controlled {
    /// From now on this run is asked, until what is returned is dropped.
    pub(crate) fn enter(&self, run: Run) -> Entered {
        self.0.send_replace(Some(Arc::new(run)));
        Entered(self.0.clone())
    }
}

/// A run that can be asked.
pub(crate) struct Entered(watch::Sender<Option<Arc<Run>>>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

/// How an index stands in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is not seeded, and this run does not seed it.
    Unseeded,
    /// It is being seeded; nothing else serves that is whole.
    Seeding(Rows),
    /// It is built anew beside the one that serves.
    Rebuilding(Rows),
    /// It is seeded.
    Seeded,
}

/// How far a backfill is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows that are durable.
    pub done: u64,
    /// About how many there are.
    pub estimated: Option<u64>,
}

/// Why a rebuild did not begin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// No run can be asked at this moment.
    #[error("the host is starting, or on its way to an end; ask again in a moment")]
    NotRunning,
    /// There is no such index.
    #[error("there is no index {wanted:?}; there are: {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// It is being built already.
    #[error("index {0:?} is being built already")]
    Underway(String),
    /// The host could not remember it.
    #[error(transparent)]
    State(EngineError),
}

/// A place that is waited for.
#[derive(Clone, Debug)]
pub enum Until {
    /// Everything committed before the question.
    Now,
    /// A position as the source prints it, or its store's own tools.
    Position(String),
}

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Searches find every change up to the position.
    Found {
        /// It.
        position: String,
    },
    /// Not within the time.
    TooLate {
        /// What was waited for, if that is known.
        position: Option<String>,
        /// Up to where everything is durable.
        durable: Option<String>,
        /// Up to where searches find everything.
        found: Option<String>,
        /// The index is being seeded: before it is whole nothing is promised of it.
        seeding: bool,
    },
}

/// Why one cannot wait.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CannotWait {
    /// There is no such index.
    #[error("there is no index {wanted:?}; there are: {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The source cannot read this, or it is of another history.
    #[error("{0}")]
    NoPosition(String),
}

impl Control {
    /// Whether a run is following its source.
    pub fn is_running(&self) -> bool {
        self.0.borrow().is_some()
    }

    fn run(&self) -> Option<Arc<Run>> {
        self.0.borrow().clone()
    }

    /// Every index and how it stands; none: no run can be asked at this moment.
    pub fn indexes(&self) -> Option<Vec<(String, Progress)>> {
        let run = self.run()?;
        let Reached { filling, unseeded, .. } = run.reached.borrow().clone();
        let backfills = run.backfills.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let one = |(index, name): (IndexNumber, &String)| {
            let rows = backfills.get(&index).map(|underway| {
                let record = underway.record.as_ref();
                Rows {
                    done: record.map_or(0, |record| record.rows()),
                    estimated: record.and_then(|record| record.estimated_rows),
                }
            });
            let progress = match rows {
                Some(rows) if filling.contains(&index) => Progress::Seeding(rows),
                Some(rows) => Progress::Rebuilding(rows),
                None if unseeded.contains(&index) => Progress::Unseeded,
                None => Progress::Seeded,
            };
            (name.clone(), progress)
        };
        Some((0..).zip(&run.names).map(one).collect())
    }

    /// Begins to build an index anew, beside the one that serves. Once this returns, a restart goes on with it.
    ///
    /// # Errors
    ///
    /// Why it did not begin.
    pub async fn reindex(&self, index: &str) -> Result<(), Refused> {
        let run = self.run().ok_or(Refused::NotRunning)?;
        let number =
            run.number(index).ok_or_else(|| Refused::Unknown { wanted: index.to_owned(), known: run.names.clone() })?;
        let (answer, answered) = oneshot::channel();
        run.commands.send(Command::Reindex(number, answer)).await.map_err(|_| Refused::NotRunning)?;
        answered.await.unwrap_or(Err(Refused::NotRunning))
    }

    /// Waits until searches find every change of an index up to a place, for so long at most.
    ///
    /// # Errors
    ///
    /// When waiting makes no sense.
    pub async fn wait(&self, index: &str, until: Until, patience: Duration) -> Result<Waited, CannotWait> {
        let mut target = None;
        if let Ok(answer) = timeout(patience, self.wait_on(index, &until, &mut target)).await {
            return answer;
        }
        let Some(run) = self.run() else {
            return Ok(Waited::TooLate { position: None, durable: None, found: None, seeding: false });
        };
        let reached = run.reached.borrow().clone();
        Ok(Waited::TooLate {
            position: run.print(target.as_ref()).await,
            durable: run.print(reached.durable.as_ref()).await,
            found: run.print(reached.visible.as_ref()).await,
            seeding: run.number(index).is_some_and(|index| reached.filling.contains(&index)),
        })
    }

    /// Over runs that end and begin again.
    async fn wait_on(&self, index: &str, until: &Until, target: &mut Option<Position>) -> Result<Waited, CannotWait> {
        let mut runs = self.0.clone();
        loop {
            let Ok(run) = runs.wait_for(Option::is_some).await.map(|run| run.clone()) else {
                // The program is ending.
                return std::future::pending().await;
            };
            let Some(run) = run else { continue };
            let known = || CannotWait::Unknown { wanted: index.to_owned(), known: run.names.clone() };
            let number = run.number(index).ok_or_else(known)?;
            // Another run may follow another history, so what was meant is found out again.
            *target = None;
            match run.wait(number, until, target).await {
                Ok(()) => {
                    let position = run.print(target.as_ref()).await.unwrap_or_default();
                    return Ok(Waited::Found { position });
                }
                Err(Interrupted::NoPosition(reason)) => return Err(CannotWait::NoPosition(reason)),
                Err(Interrupted::Away) => sleep(LOOK).await,
            }
        }
    }
}

/// Why a wait in one run came to no end.
enum Interrupted {
    /// The run ended, or its source does not answer at this moment.
    Away,
    /// What is waited for is no position of its history.
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

impl Run {
    fn number(&self, index: &str) -> Option<IndexNumber> {
        (0..).zip(&self.names).find(|(_, name)| *name == index).map(|(number, _)| number)
    }

    async fn print(&self, position: Option<&Position>) -> Option<String> {
        let position = position?;
        timeout(PRINT, async { self.asking.lock().await.print(position).await }).await.ok()?.ok()
    }

    /// The source's head, which its capture tells between two polls, and goes for.
    async fn head(&self) -> Result<Position, Interrupted> {
        let (answer, answered) = oneshot::channel();
        self.heads.send(answer).await.map_err(|_| Interrupted::Away)?;
        answered.await.map_err(|_| Interrupted::Away)
    }

    async fn wait(&self, index: IndexNumber, until: &Until, place: &mut Option<Position>) -> Result<(), Interrupted> {
        let target = match until {
            Until::Now => self.head().await?,
            Until::Position(text) => self.asking.lock().await.parse(text).await?,
        };
        *place = Some(target.clone());
        let mut reached = self.reached.clone();
        let mut patience = IMPATIENCE;
        loop {
            let now = reached.borrow_and_update().clone();
            if !now.filling.contains(&index) {
                if self.is_past(now.visible.as_ref(), &target).await? {
                    return Ok(());
                }
                if self.is_past(now.durable.as_ref(), &target).await? {
                    self.wish.send_modify(|wish| *wish += 1);
                }
            }
            match timeout(patience, reached.changed()).await {
                Ok(changed) => changed.map_err(|_| Interrupted::Away)?,
                Err(_) => {
                    patience = LOOK;
                    if !self.is_past(now.durable.as_ref(), &target).await? {
                        // The source may have nothing to tell: it is asked to go on to where it is. Nobody needs the answer.
                        let _ = self.heads.try_send(oneshot::channel().0);
                    }
                }
            }
        }
    }

    async fn is_past(&self, position: Option<&Position>, target: &Position) -> Result<bool, Interrupted> {
        let Some(position) = position else { return Ok(false) };
        Ok(self.asking.lock().await.is_past(position, target).await?)
    }
}
