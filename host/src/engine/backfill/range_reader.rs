//! The tasks that read what is already in the store: several ranges of root tables at the same time, by whole ranges where
//! the builder can and by key where it cannot. They hand the documents to the worker, which puts them into the lane.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Mutex as AsyncMutex, mpsc};

use crate::engine::backfill::outstanding_reads::{OutstandingRead, OutstandingReads};
use crate::engine::durability::records::{BackfillRecord, RangeProgress};
use crate::engine::error::{EngineError, StageError};
use crate::engine::live::build_call::build_call;
use crate::engine::live::poison::PoisonSearch;
use crate::engine::retry::Retry;
use crate::engine::run_context::RunContext;
use crate::engine::stage::{Builder, RangeBuilder, RangedPage, Snapshot, Source};
use crate::model::{DocumentId, HistoryId, IndexNumber, Key, Outcome, TableInterest, TableNumber};

/// What a range reader is to do.
#[derive(Debug)]
pub(crate) enum BackfillJob {
    /// Divide the root table of an index into ranges.
    Plan { index: IndexNumber, attempt: u64, root: TableNumber, hash: String, sinks: Vec<String> },
    /// Read one range.
    Read { index: IndexNumber, attempt: u64, root: TableNumber, part: usize, range: Vec<u8>, cursor: Option<Vec<u8>> },
}

/// What a range reader has done.
pub(crate) enum BackfillResult {
    /// The ranges. The record is stored once a page of them is durable.
    Planned { index: IndexNumber, record: BackfillRecord },
    /// Documents of a range.
    Page(BackfillPage),
}

/// Documents of a range.
pub(crate) struct BackfillPage {
    pub(crate) index: IndexNumber,
    pub(crate) attempt: u64,
    pub(crate) part: usize,
    pub(crate) documents: Vec<(Key, Outcome)>,
    pub(crate) rows: u64,
    /// Where the next page begins; none: the range is read to its end.
    pub(crate) cursor: Option<Vec<u8>>,
    /// The earliest moment at which the page may have been read.
    pub(crate) read: Arc<OutstandingRead>,
}

/// The stages that range readers use.
#[derive(Clone)]
pub(crate) struct BackfillStages {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) interest: Arc<[TableInterest]>,
    pub(crate) history: HistoryId,
}

/// One of the tasks that read ranges.
pub(crate) struct RangeReader {
    stages: BackfillStages,
    /// Shared by all readers: each takes the next job.
    jobs: Arc<AsyncMutex<mpsc::UnboundedReceiver<BackfillJob>>>,
    results: mpsc::Sender<BackfillResult>,
    outstanding_reads: OutstandingReads,
    /// The last entry of the lane.
    emitted: Arc<AtomicU64>,
    context: Arc<RunContext>,
}

/// The instances that a reader has open.
#[derive(Default)]
struct Instances {
    snapshot: Option<Box<dyn Snapshot>>,
    ranges: Option<Box<dyn RangeBuilder>>,
    /// The builder has said that it cannot build ranges.
    by_key: bool,
    /// How often in a row an instance died of a page: each time the next one is asked for an eighth of the rows, since rows
    /// that are much larger than those before them may have been too many at once.
    deaths: u32,
    /// Whether the last page failed in a way that may be one document's.
    suspect: bool,
    poison: PoisonSearch,
}

/// Whether anybody still takes results; if not, the run is ending.
#[derive(PartialEq, Eq)]
enum Delivered {
    Yes,
    RunEnds,
}

impl RangeReader {
    pub(crate) fn new(
        stages: BackfillStages,
        jobs: Arc<AsyncMutex<mpsc::UnboundedReceiver<BackfillJob>>>,
        results: mpsc::Sender<BackfillResult>,
        outstanding_reads: OutstandingReads,
        emitted: Arc<AtomicU64>,
        context: Arc<RunContext>,
    ) -> Self {
        Self { stages, jobs, results, outstanding_reads, emitted, context }
    }

    /// Runs until the worker is gone.
    pub(crate) async fn run(self) -> Result<(), EngineError> {
        let mut retry = self.context.retry(format!("backfill from source {:?}", self.stages.source.name()));
        let mut instances = Instances::default();
        loop {
            let job = self.jobs.lock().await.recv().await;
            let Some(mut job) = job else { return Ok(()) };
            loop {
                match self.work(&mut job, &mut instances, &mut retry).await {
                    Ok(Delivered::Yes) => break,
                    Ok(Delivered::RunEnds) => return Ok(()),
                    Err(error) => {
                        let deaths = if matches!(error, StageError::Crashed(_)) { instances.deaths + 1 } else { 0 };
                        let suspect = instances.by_key && error.may_be_of_one_document();
                        let Instances { by_key, poison, .. } = instances;
                        instances = Instances { by_key, deaths, suspect, poison, ..Instances::default() };
                        retry.failed(error).await?;
                    }
                }
            }
            retry.succeeded();
        }
    }

    async fn work(
        &self,
        job: &mut BackfillJob,
        instances: &mut Instances,
        retry: &mut Retry<'_>,
    ) -> Result<Delivered, StageError> {
        match job {
            BackfillJob::Plan { index, attempt, root, hash, sinks } => {
                let snapshot = self.snapshot(&mut instances.snapshot).await?;
                let parts = self.context.options.backfill_parts.saturating_mul(2).max(1);
                let division = snapshot.split(*root, parts).await?;
                let part = |range| RangeProgress { range, cursor: None, rows: 0, done: false };
                let record = BackfillRecord {
                    attempt: *attempt,
                    history: self.stages.history.to_string(),
                    hash: hash.clone(),
                    sinks: sinks.clone(),
                    estimated_rows: division.estimated_rows,
                    parts: division.ranges.into_iter().map(part).collect(),
                };
                Ok(self.deliver(BackfillResult::Planned { index: *index, record }).await)
            }
            BackfillJob::Read { index, attempt, root, part, range, cursor } => {
                let target = Target { index: *index, attempt: *attempt, root: *root, part: *part };
                self.read(target, range, cursor, instances, retry).await
            }
        }
    }

    async fn deliver(&self, result: BackfillResult) -> Delivered {
        match self.results.send(result).await {
            Ok(()) => Delivered::Yes,
            Err(_) => Delivered::RunEnds,
        }
    }

    /// Reads a range to its end; `cursor` always says where the next page begins.
    async fn read(
        &self,
        target: Target,
        range: &[u8],
        cursor: &mut Option<Vec<u8>>,
        instances: &mut Instances,
        retry: &mut Retry<'_>,
    ) -> Result<Delivered, StageError> {
        let Target { index, attempt, root, part } = target;
        if !instances.by_key && instances.ranges.is_none() {
            match self.stages.builder.ranges().await {
                Ok(ranges) => instances.ranges = Some(ranges),
                Err(StageError::Unsupported(_)) => instances.by_key = true,
                Err(error) => return Err(error),
            }
        }
        if instances.by_key {
            self.snapshot(&mut instances.snapshot).await?.begin(root, range, cursor.as_deref()).await?;
        }
        // A page may have been read ahead, as early as the call before it began (contract, `build-range`).
        let mut previous: Option<Arc<OutstandingRead>> = None;
        loop {
            let now = self.outstanding_reads.begin(&self.emitted, &self.context);
            let read = previous.replace(Arc::clone(&now)).unwrap_or(now);
            let options = &self.context.options;
            let max = (options.backfill_documents >> (3 * instances.deaths).min(31)).max(1);
            let page = match &mut instances.ranges {
                Some(ranges) => {
                    ranges.build_range(index, range, cursor.as_deref(), max, options.backfill_bytes).await?
                }
                None => {
                    let search = instances.suspect.then_some(&mut instances.poison);
                    self.build_keys(self.snapshot(&mut instances.snapshot).await?, index, max, search).await?
                }
            };
            (instances.deaths, instances.suspect) = (0, false);
            let RangedPage { documents, rows, cursor: next } = page;
            if next.is_some() && next == *cursor {
                // The pages of a cursor that does not move would never end.
                return Err(StageError::Violation("the cursor of a range did not move".to_owned()));
            }
            retry.succeeded();
            let page = BackfillPage { index, attempt, part, documents, rows, cursor: next.clone(), read };
            let delivered = self.deliver(BackfillResult::Page(page)).await;
            match next {
                Some(next) if delivered == Delivered::Yes => *cursor = Some(next),
                _ => return Ok(delivered),
            }
        }
    }

    /// A page of documents by key, of a builder that cannot build ranges.
    async fn build_keys(
        &self,
        snapshot: &mut dyn Snapshot,
        index: IndexNumber,
        max: u32,
        search: Option<&mut PoisonSearch>,
    ) -> Result<RangedPage, StageError> {
        let page = snapshot.next(max).await?;
        let rows = page.keys.len() as u64;
        let ids: Vec<_> = page.keys.iter().map(|key| DocumentId { index, key: key.clone() }).collect();
        let outcomes = match search {
            _ if ids.is_empty() => Vec::new(),
            Some(search) => search.build(&*self.stages.builder, &Arc::new(ids), &self.context).await?,
            None => build_call(&*self.stages.builder, ids.into()).await?,
        };
        Ok(RangedPage { documents: page.keys.into_iter().zip(outcomes).collect(), rows, cursor: page.cursor })
    }

    /// The open snapshot, or a fresh one.
    async fn snapshot<'a>(&self, open: &'a mut Option<Box<dyn Snapshot>>) -> Result<&'a mut dyn Snapshot, StageError> {
        let snapshot = match open.take() {
            Some(snapshot) => snapshot,
            None => self.stages.source.snapshot(&self.stages.interest).await?,
        };
        Ok(&mut **open.insert(snapshot))
    }
}

/// Which range of which index.
#[derive(Clone, Copy)]
struct Target {
    index: IndexNumber,
    attempt: u64,
    root: TableNumber,
    part: usize,
}
