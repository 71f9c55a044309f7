//! Reading what is already there: a few tasks that read ranges of root tables side by side, by whole ranges where the
//! builder can and by key where not, and hand the documents to the worker, which puts them into the lane.
//!
//! The reads are not in the lane's order, so each says how far the lane was when it began ([`Held`]): a document
//! that a live batch has emitted since is newer there, and the worker drops the one that was read here (I5).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, mpsc};

use crate::engine::error::{EngineError, StageError};
use crate::engine::durability::records::{BackfillRecord, Part};
use crate::engine::retry::Retry;
use crate::engine::run_context::Shared;
use crate::engine::stage::{Builder, RangeBuilder, Snapshot, Source};
use crate::model::{DocumentId, HistoryId, IndexNumber, Key, Outcome, TableInterest, TableNumber, Version};

/// What a reading task is asked for.
#[derive(Debug)]
pub(crate) enum Job {
    /// Divide the root table of an index.
    Plan { index: IndexNumber, attempt: u64, root: TableNumber, sinks: Vec<String> },
    /// Read one range.
    Read { index: IndexNumber, attempt: u64, root: TableNumber, part: usize, range: Vec<u8>, cursor: Option<Vec<u8>> },
}

/// What a reading task answers.
pub(crate) enum Answer {
    /// The plan. It is remembered once something of it is durable.
    Planned { index: IndexNumber, record: BackfillRecord },
    /// Documents of a range.
    Chunk(Chunk),
}

/// Documents of a range.
pub(crate) struct Chunk {
    pub(crate) index: IndexNumber,
    pub(crate) attempt: u64,
    pub(crate) part: usize,
    pub(crate) documents: Vec<(Key, Outcome)>,
    pub(crate) rows: u64,
    /// None: the range is done.
    pub(crate) cursor: Option<Vec<u8>>,
    /// Since when it may have been read.
    pub(crate) held: Arc<Held>,
}

/// Since when reads are under way that are not in the lane yet.
#[derive(Clone, Default)]
pub(crate) struct Outstanding(Arc<Mutex<Since>>);

#[derive(Default)]
struct Since {
    next: u64,
    /// By number: the place in the lane that was emitted last when the read began.
    reads: BTreeMap<u64, u64>,
}

/// A read that is under way, or whose documents are on their way; over when it is dropped.
pub(crate) struct Held {
    all: Outstanding,
    number: u64,
    /// The place in the lane that was emitted last when it began.
    pub(crate) began: u64,
    /// The version at that time.
    pub(crate) version: Version,
}

impl Outstanding {
    fn lock(&self) -> MutexGuard<'_, Since> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A read begins. The lane's place is taken under the lock, so that nothing newer is forgotten in between.
    fn begin(&self, emitted: &AtomicU64, shared: &Shared) -> Arc<Held> {
        let mut since = self.lock();
        let (number, began) = (since.next, emitted.load(Ordering::Acquire));
        since.next += 1;
        since.reads.insert(number, began);
        drop(since);
        // I12: the version too is that of before. Guarded by
        // `tests::i12::a_document_of_a_backfill_carries_the_version_that_was_polled_before_it_was_read`.
        Arc::new(Held { all: self.clone(), number, began, version: shared.version() })
    }

    /// The place where the oldest read began.
    pub(crate) fn oldest(&self) -> Option<u64> {
        // Numbers and places grow together.
        self.lock().reads.values().next().copied()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.lock().reads.remove(&self.number);
    }
}

/// A reading task.
pub(crate) struct Reading {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) interest: Arc<[TableInterest]>,
    pub(crate) jobs: Arc<AsyncMutex<mpsc::UnboundedReceiver<Job>>>,
    pub(crate) answers: mpsc::Sender<Answer>,
    pub(crate) outstanding: Outstanding,
    pub(crate) emitted: Arc<AtomicU64>,
    pub(crate) history: HistoryId,
    pub(crate) shared: Arc<Shared>,
}

/// The instances a task has open.
#[derive(Default)]
struct Open {
    snapshot: Option<Box<dyn Snapshot>>,
    ranges: Option<Box<dyn RangeBuilder>>,
    /// The builder has said that it reads by key only.
    by_key: bool,
}

impl Reading {
    /// Runs until nobody asks any more.
    pub(crate) async fn run(self) -> Result<(), EngineError> {
        let name = format!("backfill from source {:?}", self.source.name());
        let mut retry = Retry::new(&name, &self.shared.options, &*self.shared.observer);
        let mut open = Open::default();
        loop {
            let job = self.jobs.lock().await.recv().await;
            let Some(mut job) = job else { return Ok(()) };
            loop {
                let step = match &mut job {
                    Job::Plan { index, attempt, root, sinks } => {
                        self.plan(&mut open, *index, *attempt, *root, sinks).await
                    }
                    Job::Read { .. } => self.read(&mut open, &mut job, &mut retry).await,
                };
                match step {
                    Ok(true) => break,
                    // Nobody wants it any more: the run is ending.
                    Ok(false) => return Ok(()),
                    Err(error) => {
                        open = Open { by_key: open.by_key, ..Open::default() };
                        retry.failed(error).await?;
                    }
                }
            }
            retry.succeeded();
        }
    }

    async fn plan(
        &self,
        open: &mut Open,
        index: IndexNumber,
        attempt: u64,
        root: TableNumber,
        sinks: &[String],
    ) -> Result<bool, StageError> {
        let snapshot = self.snapshot(&mut open.snapshot).await?;
        let division = snapshot.split(root, self.shared.options.backfill_parts.saturating_mul(2).max(1)).await?;
        let hash = self.shared.mappings.get(index as usize).map(|mapping| mapping.hash.clone()).unwrap_or_default();
        let part = |range| Part { range, cursor: None, rows: 0, done: false };
        let record = BackfillRecord {
            attempt,
            history: self.history.to_string(),
            hash,
            sinks: sinks.to_vec(),
            estimated_rows: division.estimated_rows,
            parts: division.ranges.into_iter().map(part).collect(),
        };
        Ok(self.answers.send(Answer::Planned { index, record }).await.is_ok())
    }

    /// Reads a range to its end; `job` always says where to go on.
    async fn read(&self, open: &mut Open, job: &mut Job, retry: &mut Retry<'_>) -> Result<bool, StageError> {
        let Job::Read { index, attempt, root, part, range, cursor } = job else { return Ok(true) };
        if !open.by_key && open.ranges.is_none() {
            match self.builder.ranges().await {
                Ok(ranges) => open.ranges = Some(ranges),
                Err(StageError::Unsupported(_)) => open.by_key = true,
                Err(error) => return Err(error),
            }
        }
        if open.by_key {
            self.snapshot(&mut open.snapshot).await?.begin(*root, range, cursor.as_deref()).await?;
        }
        // A page may have been read ahead, as early as the call before it began (contract, `build-range`).
        let mut before: Option<Arc<Held>> = None;
        loop {
            let now = self.outstanding.begin(&self.emitted, &self.shared);
            let held = before.replace(Arc::clone(&now)).unwrap_or(now);
            let (documents, rows, next) = match &mut open.ranges {
                Some(ranges) => self.by_range(&mut **ranges, *index, range, cursor.as_deref()).await?,
                None => self.by_key(self.snapshot(&mut open.snapshot).await?, *index).await?,
            };
            if next.is_some() && next == *cursor {
                // A guest that stands still would be read for ever.
                return Err(StageError::Crashed("the cursor of a range did not move".to_owned()));
            }
            retry.succeeded();
            let (index, attempt, part) = (*index, *attempt, *part);
            let chunk = Chunk { index, attempt, part, documents, rows, cursor: next.clone(), held };
            if self.answers.send(Answer::Chunk(chunk)).await.is_err() {
                return Ok(false);
            }
            match next {
                Some(next) => *cursor = Some(next),
                None => return Ok(true),
            }
        }
    }

    async fn by_range(
        &self,
        ranges: &mut dyn RangeBuilder,
        index: IndexNumber,
        range: &[u8],
        cursor: Option<&[u8]>,
    ) -> Result<Documents, StageError> {
        let options = &self.shared.options;
        let (max, max_bytes) = (options.backfill_documents, options.backfill_bytes);
        let page = ranges.build_range(index, range, cursor, max, max_bytes).await?;
        Ok((page.documents, page.rows, page.cursor))
    }

    async fn by_key(&self, snapshot: &mut dyn Snapshot, index: IndexNumber) -> Result<Documents, StageError> {
        let page = snapshot.next(self.shared.options.backfill_documents).await?;
        let rows = page.keys.len() as u64;
        let ids: Vec<_> = page.keys.iter().map(|key| DocumentId { index, key: key.clone() }).collect();
        let outcomes = if ids.is_empty() { Vec::new() } else { self.builder.build_many(ids.into()).await? };
        if outcomes.len() != page.keys.len() {
            let (asked, given) = (page.keys.len(), outcomes.len());
            return Err(StageError::Crashed(format!("the builder answered {given} outcomes for {asked} documents")));
        }
        Ok((page.keys.into_iter().zip(outcomes).collect(), rows, page.cursor))
    }

    async fn snapshot<'a>(&self, place: &'a mut Option<Box<dyn Snapshot>>) -> Result<&'a mut dyn Snapshot, StageError> {
        let snapshot = match place.take() {
            Some(snapshot) => snapshot,
            None => self.source.snapshot(&self.interest).await?,
        };
        Ok(&mut **place.insert(snapshot))
    }
}

/// Documents, rows read, where to go on.
type Documents = (Vec<(Key, Outcome)>, u64, Option<Vec<u8>>);
