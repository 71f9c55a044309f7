//! The worker: one task that takes live batches and backfill reads, live first, and puts what comes of them into the lane.
//! Nothing else writes to the lane, so its order is this task's order (I5).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;

use super::ack::{Expected, SeedMark};
use super::backfill::{Answer, Chunk, Job, Outstanding};
use super::batch::Batcher;
use super::build::{Build, Built};
use super::confirm::{Backfills, Underway};
use super::error::EngineError;
use super::lane::{Begin, Lane, Scope, Work};
use super::observer::Observation;
use super::progress::BackfillRecord;
use super::shared::Shared;
use super::shutdown::Shutdown;
use super::stage::{Affected, Mutation};
use super::touched::Touched;
use crate::model::{Checkpoint, DocumentId, IndexNumber, TableNumber};

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
        let (seeding, touched) = (HashMap::new(), Touched::default());
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
            touched,
        }
    }

    /// Runs until the capture has ended and everything is in the lane.
    pub(crate) async fn run(mut self, to_seed: Vec<ToSeed>) -> Result<(), EngineError> {
        for ToSeed { index, scope, resume } in to_seed {
            self.begin(index, scope, true, resume).await;
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
        if !batch.reshaped.is_empty() {
            let affected = self.build.reshaped(&batch.reshaped).await?;
            documents += self.affected(affected, None).await?;
        }
        let affected = if changes > 0 { self.build.resolve(batch.changes).await? } else { Affected::default() };
        documents += self.affected(affected, checkpoint).await?;
        if changes > 0 {
            self.shared.observer.observe(Observation::Built { changes, documents, took: started.elapsed() });
        }
        Ok(())
    }

    /// Builds what is touched. One change may touch very many documents: they go as several entries, and the checkpoint
    /// with the last of them (I2). Returns how many documents it was.
    async fn affected(
        &mut self,
        mut affected: Affected,
        checkpoint: Option<(u64, Checkpoint)>,
    ) -> Result<usize, EngineError> {
        let most = self.shared.options.backfill_documents.max(1) as usize;
        let mut documents = 0;
        let (mut rebuild, mut clear) = (Vec::new(), Vec::new());
        loop {
            rebuild.append(&mut affected.rebuild);
            clear.append(&mut affected.clear);
            let mut ids = affected.ids;
            while ids.len() > most {
                let rest = ids.split_off(most);
                documents += most;
                self.build(&mut clear, std::mem::replace(&mut ids, rest), None).await?;
            }
            documents += ids.len();
            let Some(cursor) = affected.more else {
                self.rebuild(rebuild).await;
                self.build(&mut clear, ids, checkpoint).await?;
                return Ok(documents);
            };
            self.build(&mut clear, ids, None).await?;
            affected = self.build.resolve_more(cursor).await?;
        }
    }

    async fn build(
        &mut self,
        clear: &mut Vec<IndexNumber>,
        ids: Vec<DocumentId>,
        checkpoint: Option<(u64, Checkpoint)>,
    ) -> Result<(), EngineError> {
        let Built { ids, documents, aside } = self.build.build(ids).await?;
        let clear = std::mem::take(clear);
        if documents.is_empty() && aside.is_empty() && clear.is_empty() && checkpoint.is_none() {
            return Ok(());
        }
        self.note_backlog();
        let cleared = if self.seeding.is_empty() { Vec::new() } else { clear.clone() };
        let work = Work::Live { clear, version: self.shared.version(), documents: documents.into() };
        let seq = self.lane.emit(work, Expected { checkpoint, aside, ..Expected::default() }).await;
        if !self.seeding.is_empty() {
            self.touch(seq, cleared, ids);
        }
        Ok(())
    }

    /// Notes what live batches have built, or tried to, so that no older read of a backfill lands after it (I5).
    fn touch(&mut self, seq: u64, cleared: Vec<IndexNumber>, ids: Vec<DocumentId>) {
        for index in cleared {
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
    async fn rebuild(&mut self, mut indexes: Vec<IndexNumber>) {
        indexes.sort_unstable();
        indexes.dedup();
        for index in indexes {
            self.begin(index, Scope::all(self.sinks.len()), false, None).await;
        }
    }

    async fn begin(&mut self, index: IndexNumber, scope: Scope, first: bool, resume: Option<BackfillRecord>) {
        let Some(root) = self.roots.get(&index).copied() else { return };
        let attempt = resume.as_ref().map_or_else(unique, |record| record.attempt);
        self.seeding.insert(index, Seeding { attempt, scope, parts_left: usize::MAX });
        self.backfills().insert(index, Underway { attempt, record: None, started: Instant::now() });
        let begin = Begin { attempt, first, resume: resume.is_some(), version: self.shared.version() };
        self.lane.emit(Work::BeginSeed { index, scope, begin }, Expected::default()).await;
        match resume {
            Some(record) => self.planned(index, record).await,
            None => {
                let named = self.sinks.iter().enumerate().filter(|(number, _)| scope.contains(*number));
                let sinks = named.map(|(_, name)| name.clone()).collect();
                let _ = self.jobs.send(Job::Plan { index, attempt, root, sinks });
            }
        }
    }

    fn backfills(&self) -> MutexGuard<'_, HashMap<IndexNumber, Underway>> {
        self.backfills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn backfill(&mut self, answer: Answer) -> Result<(), EngineError> {
        match answer {
            Answer::Planned { index, record } => self.planned(index, record).await,
            Answer::Chunk(chunk) => {
                self.chunk(chunk).await?;
                self.touched.prune(self.outstanding.oldest());
            }
        }
        Ok(())
    }

    async fn planned(&mut self, index: IndexNumber, record: BackfillRecord) {
        let attempt = record.attempt;
        let Some(seeding) = self.seeding.get_mut(&index).filter(|seeding| seeding.attempt == attempt) else { return };
        seeding.parts_left = record.parts.iter().filter(|part| !part.done).count();
        self.shared.observer.observe(Observation::SeedStarted {
            index: self.shared.name(index),
            estimated_rows: record.estimated_rows,
            resumed_at: record.rows(),
        });
        let jobs: Vec<_> = self.reads(index, &record).collect();
        // Before anything is read, so that no mark comes before what it marks.
        if let Some(underway) = self.backfills().get_mut(&index).filter(|underway| underway.attempt == attempt) {
            underway.record = Some(record);
        }
        for job in jobs {
            let _ = self.jobs.send(job);
        }
        self.finish_if_read(index).await;
    }

    /// What is left to read.
    fn reads(&self, index: IndexNumber, record: &BackfillRecord) -> impl Iterator<Item = Job> {
        let (root, attempt) = (self.roots.get(&index).copied(), record.attempt);
        let open = record.parts.iter().enumerate().filter(|(_, part)| !part.done);
        open.filter_map(move |(part, state)| {
            let (range, cursor) = (state.range.clone(), state.cursor.clone());
            Some(Job::Read { index, attempt, root: root?, part, range, cursor })
        })
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
        let Built { documents, aside, .. } = self.build.seed(index, documents, held.version)?;
        // A sink marks an index seeded without asking the host: what is missing there must be known before (I7).
        self.shared.remember(aside.iter().filter(|it| matches!(it, Mutation::Put(..))).cloned().collect()).await?;
        self.note_backlog();
        let seed = Some(SeedMark { index, attempt, part, cursor, rows });
        let work = Work::Seed { scope, documents: documents.into() };
        self.lane.emit(work, Expected { seed, aside, ..Expected::default() }).await;
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

/// A number that no other attempt has, in any run. From the standard library's own random keys.
fn unique() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
