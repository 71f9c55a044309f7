//! The worker: one task that takes live batches and backfill reads, live first, and puts what comes of them into the lane.
//! Nothing else writes to the lane, so its order is this task's order (I5).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::engine::durability::durable_watermark::Expected;
use crate::engine::backfill::range_reader::{Answer, Job, Outstanding};
use crate::engine::live::batch::Batcher;
use crate::engine::live::build::{Build, Built};
use crate::engine::durability::confirm::Backfills;
use crate::engine::control::commands::Command;
use crate::engine::error::EngineError;
use crate::engine::delivery::lane::{Lane, Scope, Work};
use crate::engine::observer::Observation;
use crate::engine::backfill::schedule::{Seeding, ToSeed};
use crate::engine::run_context::Shared;
use crate::engine::shutdown::Shutdown;
use crate::engine::stage::Affected;
use crate::engine::live::live_writes::Touched;
use crate::model::{Checkpoint, DocumentId, IndexNumber, TableNumber};

/// After so many live batches in a row a waiting backfill read gets its turn, so that it ends one day.
const LIVE_RUN: u32 = 8;

/// The worker's task.
pub(crate) struct Worker {
    pub(crate) batcher: Batcher,
    pub(crate) build: Build,
    pub(crate) lane: Lane,
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    pub(crate) answers: mpsc::Receiver<Answer>,
    /// What somebody asks for from outside.
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) outstanding: Outstanding,
    pub(crate) backfills: Backfills,
    pub(crate) sinks: Vec<String>,
    /// The root table of each index.
    pub(crate) roots: HashMap<IndexNumber, TableNumber>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shutdown: Shutdown,
    /// The backfills that are not read to their end.
    pub(crate) seeding: HashMap<IndexNumber, Seeding>,
    /// What live batches have emitted meanwhile.
    pub(crate) touched: Touched,
}

impl Worker {
    /// Runs until the capture has ended and everything is in the lane.
    pub(crate) async fn run(mut self, to_seed: Vec<ToSeed>) -> Result<(), EngineError> {
        for to_seed in to_seed {
            self.begin(to_seed, true).await;
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
                Some(command) = self.commands.recv(), if !self.batcher.is_ended() => self.command(command).await?,
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
        let mut documents = 0;
        let (mut rebuild, mut clear, mut ended) = (Vec::new(), Vec::new(), None);
        loop {
            ended = ended.or(affected.ended);
            rebuild.append(&mut affected.rebuild);
            clear.append(&mut affected.clear);
            let mut ids = affected.ids;
            while ids.len() > self.build.most() {
                let most = self.build.most();
                let rest = ids.split_off(most);
                documents += most;
                self.build(&mut clear, std::mem::replace(&mut ids, rest), Expected::default()).await?;
            }
            documents += ids.len();
            let Some(cursor) = affected.more else {
                self.rebuild(rebuild).await;
                // I2: with the last of its documents. Guarded by
                // `tests::i2::the_checkpoint_of_changes_that_touch_very_many_documents_goes_with_the_last_of_them`.
                self.build(&mut clear, ids, Expected { checkpoint, ended, ..Expected::default() }).await?;
                return Ok(documents);
            };
            self.build(&mut clear, ids, Expected::default()).await?;
            affected = self.build.resolve_more(cursor).await?;
        }
    }

    async fn build(
        &mut self,
        clear: &mut Vec<IndexNumber>,
        ids: Vec<DocumentId>,
        expected: Expected,
    ) -> Result<(), EngineError> {
        let Built { ids, documents, aside } = self.build.build(ids).await?;
        let clear = std::mem::take(clear);
        let nothing = expected.checkpoint.is_none() && expected.ended.is_none();
        if nothing && documents.is_empty() && aside.is_empty() && clear.is_empty() {
            return Ok(());
        }
        self.note_backlog();
        let cleared = if self.seeding.is_empty() { Vec::new() } else { clear.clone() };
        let work = Work::Live { clear, version: self.shared.version(), documents: documents.into() };
        let seq = self.lane.emit(work, Expected { aside, ..expected }).await;
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
            let scope = Scope::all(self.sinks.len());
            self.begin(ToSeed { index, scope, resume: None, asked: false }, false).await;
        }
    }

    /// Whether a sink may take its time to make writes visible.
    pub(crate) fn note_backlog(&self) {
        let backlog = self.batcher.has_waiting() || !self.answers.is_empty();
        self.shared.backlog.store(backlog, Ordering::Release);
    }
}
