//! The worker's part in backfills: it begins them, puts their pages and their end into the lane, and takes rebuild requests.

use crate::engine::backfill::index_backfill::IndexBackfill;
use crate::engine::backfill::range_reader::{BackfillJob, BackfillPage, BackfillResult};
use crate::engine::control::commands::{Command, ReindexError};
use crate::engine::delivery::lane::{SeedStart, SinkSet, Work};
use crate::engine::durability::durable_watermark::{BackfillStep, OnDurable};
use crate::engine::durability::records::{BackfillRecord, request_reindex};
use crate::engine::error::EngineError;
use crate::engine::live::build::BuiltDocuments;
use crate::engine::live::worker::Worker;
use crate::engine::observer::Observation;
use crate::engine::stage::Mutation;
use crate::engine::startup::seed_requests::SeedRequest;
use crate::model::IndexNumber;

impl Worker {
    /// Begins to seed an index. `at_run_start`: nothing was emitted in this run before.
    pub(in crate::engine) async fn begin_backfill(
        &mut self,
        request: SeedRequest,
        at_run_start: bool,
    ) -> Result<(), EngineError> {
        let SeedRequest { index, sinks, resume, reindex } = request;
        let root = self.context.root(index)?;
        let attempt = resume.as_ref().map_or_else(|| fastrand::u64(..), |record| record.attempt);
        self.backfills.insert(index, IndexBackfill { attempt, sinks, root, parts_left: None });
        self.running_backfills.begin(index, attempt);
        let (resumed, version) = (resume.is_some(), self.context.version());
        let start = SeedStart { attempt, at_run_start, resume: resumed, reindex, version };
        self.lane.emit(Work::BeginSeed { index, sinks, start }, OnDurable::default()).await;
        match resume {
            Some(record) => self.planned(index, record).await,
            None => {
                let hash = self.context.mapping(index)?.hash.clone();
                let named = self.context.sink_names.iter().enumerate().filter(|(number, _)| sinks.contains(*number));
                let sinks = named.map(|(_, name)| name.clone()).collect();
                // The readers are gone only when the run is ending.
                let _ = self.channels.jobs.send(BackfillJob::Plan { index, attempt, root, hash, sinks });
            }
        }
        Ok(())
    }

    /// Carries out a command of the operator.
    pub(in crate::engine) async fn command(&mut self, command: Command) -> Result<(), EngineError> {
        let (index, answer) = match command {
            Command::Reindex(index, answer) => (index, answer),
            Command::Build(ids, answer) => {
                self.build_again(ids).await?;
                let _ = answer.send(());
                return Ok(());
            }
        };
        let name = self.context.name(index).to_owned();
        let begun = match self.running_backfills.contains(index) {
            true => Err(ReindexError::AlreadyRunning(name)),
            // Stored before it begins, so that a crash at any later moment continues it. Guarded by
            // `tests::reindex::a_crash_at_any_call_goes_on_with_it_and_the_live_one_stays_whole`.
            false => self.context.store(vec![request_reindex(&name)]).await.map_err(ReindexError::State),
        };
        if begun.is_ok() {
            let sinks = SinkSet::all(self.context.sink_names.len());
            self.begin_backfill(SeedRequest { index, sinks, resume: None, reindex: true }, false).await?;
        }
        // The client may have disconnected.
        let _ = answer.send(begun);
        Ok(())
    }

    /// Takes what a range reader has read.
    pub(in crate::engine) async fn backfill_result(&mut self, result: BackfillResult) -> Result<(), EngineError> {
        match result {
            BackfillResult::Planned { index, record } => self.planned(index, record).await,
            BackfillResult::Page(page) => {
                self.page(page).await?;
                self.live_writes.prune(self.outstanding_reads.oldest());
            }
        }
        Ok(())
    }

    /// The ranges of an index are known: those that are not done are read.
    async fn planned(&mut self, index: IndexNumber, record: BackfillRecord) {
        let attempt = record.attempt;
        let Some(backfill) = self.backfills.get_mut(&index).filter(|backfill| backfill.attempt == attempt) else {
            return;
        };
        let open = record.parts.iter().enumerate().filter(|(_, part)| !part.done);
        let root = backfill.root;
        let jobs: Vec<_> = open
            .map(|(part, state)| {
                let (range, cursor) = (state.range.clone(), state.cursor.clone());
                BackfillJob::Read { index, attempt, root, part, range, cursor }
            })
            .collect();
        backfill.parts_left = Some(jobs.len());
        self.context.observe(Observation::SeedStarted {
            index: self.context.name(index),
            estimated_rows: record.estimated_rows,
            resumed_at: record.rows(),
        });
        self.running_backfills.plan(index, record);
        for job in jobs {
            let _ = self.channels.jobs.send(job);
        }
        self.finish_if_read(index).await;
    }

    async fn page(&mut self, page: BackfillPage) -> Result<(), EngineError> {
        let BackfillPage { index, attempt, part, mut documents, rows, cursor, read } = page;
        let Some(backfill) = self.backfills.get_mut(&index).filter(|backfill| backfill.attempt == attempt) else {
            // Of an attempt that was given up for another.
            return Ok(());
        };
        let sinks = backfill.sinks;
        let to_all_sinks = sinks == SinkSet::all(self.context.sink_names.len());
        if cursor.is_none() {
            backfill.parts_left = backfill.parts_left.map(|left| left.saturating_sub(1));
        }
        documents.retain(|(key, _)| self.live_writes.is_current(index, key, read.began));
        let BuiltDocuments { documents, quarantine_writes, .. } =
            self.build_stage().seed(index, documents, read.version, to_all_sinks)?;
        // A sink marks an index seeded without asking the host: what is missing there must be stored before (I7).
        let entries = quarantine_writes.iter().filter(|write| matches!(write, Mutation::Put(..)));
        self.context.store(entries.cloned().collect()).await?;
        self.update_backlog();
        let backfill_step = Some(BackfillStep { index, attempt, part, cursor, rows });
        let work = Work::Seed { sinks, documents: documents.into() };
        self.lane.emit(work, OnDurable { backfill_step, quarantine_writes, ..OnDurable::default() }).await;
        drop(read);
        self.finish_if_read(index).await;
        Ok(())
    }

    /// Once every range is read, the end of the backfill goes into the lane.
    async fn finish_if_read(&mut self, index: IndexNumber) {
        if self.backfills.get(&index).is_none_or(|backfill| backfill.parts_left != Some(0)) {
            return;
        }
        if let Some(IndexBackfill { attempt, sinks, .. }) = self.backfills.remove(&index) {
            self.update_backlog();
            let seeded = Some((index, attempt));
            self.lane.emit(Work::Seeded { index, sinks }, OnDurable { seeded, ..OnDurable::default() }).await;
        }
    }
}
