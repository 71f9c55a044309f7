//! The handle on a run: it rebuilds an index, says how far each index is, and waits for changes (in
//! [`wait`](super::wait)).
//!
//! A handle outlives a run: where one run ends and the next begins, clients that wait go on waiting in the next.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::engine::backfill::running::{RowCount, RunningBackfills};
use crate::engine::control::position_reader::PositionReader;
use crate::engine::durability::visible_watermark::Watermarks;
use crate::engine::error::EngineError;
use crate::engine::run_context::RunContext;
use crate::model::{DocumentId, IndexNumber, Key, Position};

/// A command for the worker.
pub(crate) enum Command {
    /// Rebuild an index beside the generation that serves.
    Reindex(IndexNumber, oneshot::Sender<Result<(), ReindexError>>),
    /// Build documents again. Answered once they are on their way to the sinks.
    Build(Vec<DocumentId>, oneshot::Sender<()>),
}

/// A run that takes commands.
pub(crate) struct ActiveRun {
    pub(super) index_names: Vec<String>,
    pub(super) watermarks: watch::Receiver<Watermarks>,
    pub(super) refresh_requests: Arc<watch::Sender<u64>>,
    commands: mpsc::Sender<Command>,
    /// Requests for the source's head, to the capture.
    pub(super) head_requests: mpsc::Sender<oneshot::Sender<Position>>,
    backfills: RunningBackfills,
    pub(super) position_reader: Mutex<PositionReader>,
}

impl ActiveRun {
    pub(crate) fn new(
        context: &RunContext,
        commands: mpsc::Sender<Command>,
        head_requests: mpsc::Sender<oneshot::Sender<Position>>,
        backfills: RunningBackfills,
        position_reader: PositionReader,
    ) -> Self {
        // Not the context itself: its watermarks must close when the run's tasks are gone, which ends the waits in it.
        Self {
            index_names: context.index_names.clone(),
            watermarks: context.watermarks.subscribe(),
            refresh_requests: Arc::clone(&context.refresh_requests),
            commands,
            head_requests,
            backfills,
            position_reader: Mutex::new(position_reader),
        }
    }

    /// The number of an index, by its name.
    pub(super) fn index_number(&self, name: &str) -> Option<IndexNumber> {
        (0..).zip(&self.index_names).find(|(_, known)| *known == name).map(|(number, _)| number)
    }
}

/// Commands and questions to the run that is active.
#[derive(Clone)]
pub struct RunHandle(pub(super) watch::Receiver<Option<Arc<ActiveRun>>>);

/// Says which run is active.
pub struct RunRegistry(watch::Sender<Option<Arc<ActiveRun>>>);

/// A registry without a run, and the handle on what it will hold.
pub fn control() -> (RunHandle, RunRegistry) {
    let (sender, receiver) = watch::channel(None);
    (RunHandle(receiver), RunRegistry(sender))
}

impl RunRegistry {
    /// Makes a run the active one until the returned guard is dropped.
    pub(crate) fn register(&self, run: ActiveRun) -> RegisteredRun {
        self.0.send_replace(Some(Arc::new(run)));
        RegisteredRun(self.0.clone())
    }
}

/// Keeps a run registered.
pub(crate) struct RegisteredRun(watch::Sender<Option<Arc<ActiveRun>>>);

impl Drop for RegisteredRun {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

/// How an index stands in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexStatus {
    /// The index is not seeded, and this run does not seed it.
    Unseeded,
    /// The index is being seeded, and no complete generation serves searches.
    Seeding(RowCount),
    /// The index is rebuilt beside the generation that serves.
    Rebuilding(RowCount),
    /// The index is seeded.
    Seeded,
}

/// Why a rebuild did not begin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReindexError {
    /// No run is active at this moment.
    #[error("the host is starting or ending; ask again in a moment")]
    NotRunning,
    /// There is no such index.
    #[error("there is no index {wanted:?}; there are: {}", known.join(", "))]
    Unknown {
        /// The name that was given.
        wanted: String,
        /// The names of the indexes there are.
        known: Vec<String>,
    },
    /// The index is being built already.
    #[error("index {0:?} is being built already")]
    AlreadyRunning(String),
    /// The request could not be stored.
    #[error(transparent)]
    State(EngineError),
}

impl RunHandle {
    /// Whether a run is following its source.
    pub fn is_running(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Returns once a run is following its source.
    pub async fn started(&self) {
        let mut run = self.0.clone();
        if run.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn run(&self) -> Option<Arc<ActiveRun>> {
        self.0.borrow().clone()
    }

    /// How many bytes of the source's log are not confirmed, as of the last few seconds; none where the source cannot tell.
    pub fn lag(&self) -> Option<u64> {
        self.run()?.watermarks.borrow().lag
    }

    /// Every index and how it stands; none while no run is active.
    pub fn indexes(&self) -> Option<Vec<(String, IndexStatus)>> {
        let run = self.run()?;
        let watermarks = run.watermarks.borrow().clone();
        let status = |index: IndexNumber| match run.backfills.rows(index) {
            Some(rows) if watermarks.seeding.contains(&index) => IndexStatus::Seeding(rows),
            Some(rows) => IndexStatus::Rebuilding(rows),
            None if watermarks.unseeded.contains(&index) => IndexStatus::Unseeded,
            None => IndexStatus::Seeded,
        };
        Some((0..).zip(&run.index_names).map(|(number, name)| (name.clone(), status(number))).collect())
    }

    /// Builds documents again, each named by its index and its key; those of an index that this run does not have are left out. Returns how
    /// many, once they are on their way to the sinks.
    ///
    /// # Errors
    ///
    /// When no run is active.
    pub async fn build_again(&self, documents: Vec<(String, Key)>) -> Result<usize, ReindexError> {
        let run = self.run().ok_or(ReindexError::NotRunning)?;
        let named =
            documents.into_iter().filter_map(|(index, key)| Some(DocumentId { index: run.index_number(&index)?, key }));
        let mut seen = std::collections::HashSet::new();
        let ids: Vec<DocumentId> = named.filter(|id| seen.insert(id.clone())).collect();
        let count = ids.len();
        let (sender, answer) = oneshot::channel();
        run.commands.send(Command::Build(ids, sender)).await.map_err(|_| ReindexError::NotRunning)?;
        answer.await.map_err(|_| ReindexError::NotRunning)?;
        Ok(count)
    }

    /// Begins to rebuild an index beside the generation that serves. Once this returns, a restart continues it.
    ///
    /// # Errors
    ///
    /// Why the rebuild did not begin.
    pub async fn reindex(&self, index: &str) -> Result<(), ReindexError> {
        let run = self.run().ok_or(ReindexError::NotRunning)?;
        let unknown = || ReindexError::Unknown { wanted: index.to_owned(), known: run.index_names.clone() };
        let number = run.index_number(index).ok_or_else(unknown)?;
        let (sender, answer) = oneshot::channel();
        run.commands.send(Command::Reindex(number, sender)).await.map_err(|_| ReindexError::NotRunning)?;
        answer.await.unwrap_or(Err(ReindexError::NotRunning))
    }
}
