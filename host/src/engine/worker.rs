//! The worker: one task that takes live batches and backfill reads, live first, and puts what comes of them into the lane.
//! Nothing else writes to the lane, so its order is this task's order (I5).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::mpsc;

use super::ack::{Expected, SeedMark};
use super::backfill::{Answer, Chunk, Job, Outstanding};
use super::batch::Batcher;
use super::build::Build;
use super::confirm::{Backfills, Underway};
use super::error::EngineError;
use super::lane::{Begin, Lane, Scope, Work};
use super::observer::Observation;
use super::progress::BackfillRecord;
use super::shared::Shared;
use super::shutdown::Shutdown;
use super::touched::Touched;
use crate::model::{Checkpoint, Document, DocumentId, IndexNumber, TableNumber};

/// After so many live batches in a row a waiting backfill read gets its turn, so that it ends one day.
const LIVE_RUN: u32 = 8;

/// An index to be seeded when the run starts.
pub(crate) struct ToSeed {
    pub(crate) index: IndexNumber,
    pub(crate) scope: Scope,
    /// What an earlier run left unfinished.
    pub(crate) resume: Option<BackfillRecord>,
}

/// A backfill as the worker sees it.
struct Seeding {
    attempt: u64,
    scope: Scope,
    /// Ranges that are not read to their end.
    parts_left: usize,
}

/// The worker's task.
pub(crate) struct Worker {
    pub(crate) batcher: Batcher,
    pub(crate) build: Build,
    pub(crate) lane: Lane,
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    pub(crate) answers: mpsc::Receiver<Answer>,
    pub(crate) outstanding: Outstanding,
    pub(crate) backfills: Backfills,
    pub(crate) sinks: Vec<String>,
    /// The root table of each index.
    pub(crate) roots: HashMap<IndexNumber, TableNumber>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shutdown: Shutdown,
    seeding: HashMap<IndexNumber, Seeding>,
    attempts: HashMap<IndexNumber, u64>,
    touched: Touched,
}

/// What a [`Worker`] is made of.
pub(crate) struct Parts {
    pub(crate) batcher: Batcher,
    pub(crate) build: Build,
    pub(crate) lane: Lane,
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    pub(crate) answers: mpsc::Receiver<Answer>,
    pub(crate) outstanding: Outstanding,
    pub(crate) backfills: Backfills,
    pub(crate) sinks: Vec<String>,
    pub(crate) roots: HashMap<IndexNumber, TableNumber>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shutdown: Shutdown,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { batcher, build, lane, jobs, answers, outstanding, backfills, sinks, roots, shared, shutdown } =
            parts;
        let (seeding, attempts, touched) = (HashMap::new(), HashMap::new(), Touched::default());
        Self {
            batcher,
            build,
            lane,
            jobs,
            answers,
            outstanding,
            backfills,
            sinks,
            roots,
            shared,
            shutdown,
            seeding,
            attempts,
            touched,
        }
    }

    /// Runs until the capture has ended and everything is in the lane.
    pub(crate) async fn run(mut self, to_seed: Vec<ToSeed>) -> Result<(), EngineError> {
        for index in self.roots.keys() {
            self.attempts.insert(*index, Begin::FIRST);
        }
        for ToSeed { index, scope, resume } in to_seed {
            self.begin(index, scope, Begin::FIRST, resume).await;
        }
        let mut live_run = 0;
        loop {
            if self.batcher.is_ended() && (self.seeding.is_empty() || self.shutdown.is_asked()) {
                self.lane.emit(Work::End, Expected { end: true, ..Expected::default() }).await;
                return Ok(());
            }
            let turn = live_run >= LIVE_RUN && !self.answers.is_empty();
            tokio::select! {
                biased;
                () = self.batcher.ready(), if !self.batcher.is_ended() && !turn => {
                    if !self.batcher.is_ended() {
                        self.live().await?;
                        live_run += 1;
                    }
                }
                answer = self.answers.recv() => {
                    live_run = 0;
                    if let Some(answer) = answer {
                        self.backfill(answer).await?;
                    }
                }
                () = self.shutdown.asked(), if self.batcher.is_ended() => {}
            }
        }
    }

    /// One live batch.
    async fn live(&mut self) -> Result<(), EngineError> {
        let batch = self.batcher.fill(&self.shared.options, &self.shared).await;
        let started = Instant::now();
        let changes = batch.changes.len();
        let checkpoint = batch.checkpoint.map(|checkpoint| (batch.epoch, checkpoint));
        let mut documents = 0;
        let mut rebuild = Vec::new();
        if !batch.reshaped.is_empty() {
            rebuild.extend(self.build.reshaped(&batch.reshaped).await?.rebuild);
        }
        if changes == 0 {
            self.rebuild(rebuild).await;
            self.emit(Vec::new(), Vec::new(), checkpoint).await;
            return Ok(());
        }
        let mut affected = self.build.resolve(batch.changes).await?;
        let mut clear = std::mem::take(&mut affected.clear);
        loop {
            rebuild.append(&mut affected.rebuild);
            clear.append(&mut affected.clear);
            let most = self.shared.options.backfill_documents.max(1) as usize;
            let mut ids = affected.ids;
            // One change may touch very many documents: they go as several entries, and the checkpoint with the last.
            while ids.len() > most {
                let rest = ids.split_off(most);
                documents += most;
                let built = self.build.build(std::mem::replace(&mut ids, rest)).await?;
                self.emit(std::mem::take(&mut clear), built, None).await;
            }
            documents += ids.len();
            let built = self.build.build(ids).await?;
            match affected.more {
                Some(cursor) => {
                    self.emit(std::mem::take(&mut clear), built, None).await;
                    affected = self.build.resolve_more(cursor).await?;
                }
                None => {
                    self.rebuild(rebuild).await;
                    self.emit(clear, built, checkpoint).await;
                    break;
                }
            }
        }
        self.shared.observer.observe(Observation::Built { changes, documents, took: started.elapsed() });
        Ok(())
    }

    async fn emit(
        &mut self,
        clear: Vec<IndexNumber>,
        built: Vec<(DocumentId, Document)>,
        checkpoint: Option<(u64, Checkpoint)>,
    ) {
        self.note_backlog();
        let (ids, documents): (Vec<_>, Vec<_>) = built.into_iter().unzip();
        let work = Work::Live { clear: clear.clone(), version: self.shared.version(), documents: documents.into() };
        let seq = self.lane.emit(work, Expected { checkpoint, ..Expected::default() }).await;
        if self.seeding.is_empty() {
            return;
        }
        for index in clear {
            self.touched.cleared(index, seq);
        }
        for id in ids {
            if self.seeding.contains_key(&id.index) {
                self.touched.emitted(id, seq);
            }
        }
        self.touched.prune(self.outstanding.oldest());
    }

    /// All documents of these indexes are built again, in every sink. Emitted before the checkpoint that asks for it, so
    /// that the sinks say "unseeded" before the source forgets why.
    async fn rebuild(&mut self, indexes: Vec<IndexNumber>) {
        for index in indexes {
            let attempt = self.attempts.get(&index).copied().unwrap_or(Begin::FIRST) + 1;
            self.attempts.insert(index, attempt);
            self.begin(index, Scope::all(self.sinks.len()), attempt, None).await;
        }
    }

    async fn begin(&mut self, index: IndexNumber, scope: Scope, attempt: u64, resume: Option<BackfillRecord>) {
        let Some(root) = self.roots.get(&index).copied() else { return };
        let begin = Begin { attempt, resume: resume.is_some(), version: self.shared.version() };
        self.seeding.insert(index, Seeding { attempt, scope, parts_left: usize::MAX });
        self.lane.emit(Work::BeginSeed { index, scope, begin }, Expected::default()).await;
        match resume {
            Some(record) => self.planned(index, attempt, record).await,
            None => {
                let named = self.sinks.iter().enumerate().filter(|(number, _)| scope.contains(*number));
                let sinks = named.map(|(_, name)| name.clone()).collect();
                let _ = self.jobs.send(Job::Plan { index, attempt, root, sinks });
            }
        }
    }

    async fn backfill(&mut self, answer: Answer) -> Result<(), EngineError> {
        match answer {
            Answer::Planned { index, attempt, record } => self.planned(index, attempt, record).await,
            Answer::Chunk(chunk) => {
                self.chunk(chunk).await?;
                self.touched.prune(self.outstanding.oldest());
            }
        }
        Ok(())
    }

    async fn planned(&mut self, index: IndexNumber, attempt: u64, record: BackfillRecord) {
        let Some(seeding) = self.seeding.get_mut(&index).filter(|seeding| seeding.attempt == attempt) else { return };
        seeding.parts_left = record.parts.iter().filter(|part| !part.done).count();
        self.shared.observer.observe(Observation::SeedStarted {
            index: self.shared.name(index),
            estimated_rows: record.estimated_rows,
            resumed_at: record.rows(),
        });
        if let Some(root) = self.roots.get(&index).copied() {
            for (part, state) in record.parts.iter().enumerate().filter(|(_, part)| !part.done) {
                let (range, cursor) = (state.range.clone(), state.cursor.clone());
                let _ = self.jobs.send(Job::Read { index, attempt, root, part, range, cursor });
            }
        }
        let underway = Underway { attempt, record, started: Instant::now() };
        self.backfills.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(index, underway);
        self.finish_if_read(index).await;
    }

    async fn chunk(&mut self, chunk: Chunk) -> Result<(), EngineError> {
        let Chunk { index, attempt, part, mut documents, rows, cursor, held } = chunk;
        let Some(seeding) = self.seeding.get_mut(&index).filter(|seeding| seeding.attempt == attempt) else {
            // Of an attempt that was given up for another.
            return Ok(());
        };
        let scope = seeding.scope;
        if cursor.is_none() {
            seeding.parts_left = seeding.parts_left.saturating_sub(1);
        }
        documents.retain(|(key, _)| self.touched.is_current(index, key, held.began));
        let documents = self.build.seed(index, documents, held.version).await?;
        self.note_backlog();
        let seed = Some(SeedMark { index, attempt, part, cursor, rows });
        let work = Work::Seed { scope, documents: documents.into() };
        self.lane.emit(work, Expected { seed, ..Expected::default() }).await;
        drop(held);
        self.finish_if_read(index).await;
        Ok(())
    }

    async fn finish_if_read(&mut self, index: IndexNumber) {
        if self.seeding.get(&index).is_none_or(|seeding| seeding.parts_left > 0) {
            return;
        }
        if let Some(Seeding { attempt, scope, .. }) = self.seeding.remove(&index) {
            self.note_backlog();
            let seeded = Some((index, attempt));
            self.lane.emit(Work::Seeded { index, scope }, Expected { seeded, ..Expected::default() }).await;
        }
    }

    /// Whether a sink may take its time to make writes visible.
    fn note_backlog(&self) {
        let backlog = self.batcher.has_waiting() || !self.answers.is_empty();
        self.shared.backlog.store(backlog, Ordering::Release);
    }
}
