//! The worker: one task that takes live batches and backfill pages, live first, and puts their documents into the lane. No
//! other task writes to the lane, so its order is this task's order (I5).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::engine::backfill::index_backfill::IndexBackfill;
use crate::engine::backfill::outstanding_reads::OutstandingReads;
use crate::engine::backfill::range_reader::{BackfillJob, BackfillResult};
use crate::engine::backfill::running::RunningBackfills;
use crate::engine::control::commands::Command;
use crate::engine::delivery::lane::{Lane, SinkSet, Work};
use crate::engine::durability::durable_watermark::OnDurable;
use crate::engine::error::EngineError;
use crate::engine::live::batch::Batcher;
use crate::engine::live::build::{BuildStage, BuiltDocuments};
use crate::engine::live::live_writes::LiveWrites;
use crate::engine::observer::Observation;
use crate::engine::run_context::RunContext;
use crate::engine::shutdown::Shutdown;
use crate::engine::stage::Affected;
use crate::engine::startup::seed_requests::SeedRequest;
use crate::limits;
use crate::model::{Checkpoint, DocumentId, IndexNumber};

/// The channels of the worker's task.
pub(crate) struct WorkerChannels {
    /// To the range readers.
    pub(crate) jobs: mpsc::UnboundedSender<BackfillJob>,
    /// From the range readers.
    pub(crate) results: mpsc::Receiver<BackfillResult>,
    /// From the operator.
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Asked when the run should end without waiting for backfills.
    pub(crate) shutdown: Shutdown,
}

/// The worker's task.
pub(crate) struct Worker {
    batcher: Batcher,
    build: BuildStage,
    pub(in crate::engine) lane: Lane,
    pub(in crate::engine) channels: WorkerChannels,
    pub(in crate::engine) outstanding_reads: OutstandingReads,
    pub(in crate::engine) running_backfills: RunningBackfills,
    pub(in crate::engine) context: Arc<RunContext>,
    /// The backfills whose ranges are not all read.
    pub(in crate::engine) backfills: HashMap<IndexNumber, IndexBackfill>,
    /// The documents that live batches have written since the oldest outstanding read began.
    pub(in crate::engine) live_writes: LiveWrites,
}

impl Worker {
    pub(crate) fn new(
        batcher: Batcher,
        build: BuildStage,
        lane: Lane,
        channels: WorkerChannels,
        outstanding_reads: OutstandingReads,
        running_backfills: RunningBackfills,
        context: Arc<RunContext>,
    ) -> Self {
        let (backfills, live_writes) = (HashMap::new(), LiveWrites::default());
        Self { batcher, build, lane, channels, outstanding_reads, running_backfills, context, backfills, live_writes }
    }

    /// Runs until the capture has ended and everything is in the lane.
    pub(crate) async fn run(mut self, seed_requests: Vec<SeedRequest>) -> Result<(), EngineError> {
        for request in seed_requests {
            self.begin_backfill(request, true).await?;
        }
        let mut live_in_a_row = 0;
        loop {
            let ended = self.batcher.is_ended();
            if ended && (self.backfills.is_empty() || self.channels.shutdown.is_asked()) {
                self.lane.emit(Work::End, OnDurable { end: true, ..OnDurable::default() }).await;
                return Ok(());
            }
            let backfill_turn =
                live_in_a_row >= limits::engine::MAX_LIVE_BATCHES_IN_A_ROW && !self.channels.results.is_empty();
            tokio::select! {
                biased;
                Some(command) = self.channels.commands.recv(), if !ended => self.command(command).await?,
                () = self.batcher.ready(), if !ended && !backfill_turn => {
                    if !self.batcher.is_ended() {
                        self.live_batch().await?;
                        live_in_a_row += 1;
                    }
                }
                result = self.channels.results.recv() => {
                    live_in_a_row = 0;
                    if let Some(result) = result {
                        self.backfill_result(result).await?;
                    }
                }
                () = self.channels.shutdown.asked(), if ended => {}
            }
        }
    }

    /// One live batch: resolve, build, emit.
    async fn live_batch(&mut self) -> Result<(), EngineError> {
        let batch = self.batcher.fill(&self.context.options, &self.context).await;
        let started = Instant::now();
        let changes = batch.changes.len();
        let checkpoint = batch.checkpoint.map(|checkpoint| (batch.epoch, checkpoint));
        let mut documents = 0;
        if !batch.changed_tables.is_empty() {
            let affected = self.build.resolve_table_changes(&batch.changed_tables).await?;
            documents += self.build_affected(affected, None).await?;
        }
        let affected = if changes > 0 { self.build.resolve(batch.changes).await? } else { Affected::default() };
        documents += self.build_affected(affected, checkpoint).await?;
        if changes > 0 {
            self.context.observe(Observation::Built { changes, documents, took: started.elapsed() });
        }
        Ok(())
    }

    /// Builds and emits the documents that a batch touches. One change may touch very many: they go as several entries, and
    /// the checkpoint with the last of them (I2). Returns how many documents there were.
    async fn build_affected(
        &mut self,
        mut affected: Affected,
        checkpoint: Option<(u64, Checkpoint)>,
    ) -> Result<usize, EngineError> {
        let mut documents = 0;
        let (mut rebuild, mut clear, mut link_removals) = (Vec::new(), Vec::new(), None);
        loop {
            link_removals = link_removals.or(affected.link_removals);
            rebuild.append(&mut affected.rebuild);
            clear.append(&mut affected.clear);
            let mut ids = affected.ids;
            while ids.len() > self.build.max_documents() {
                let rest = ids.split_off(self.build.max_documents());
                documents += ids.len();
                self.build_and_emit(&mut clear, std::mem::replace(&mut ids, rest), OnDurable::default()).await?;
            }
            documents += ids.len();
            let Some(cursor) = affected.more else {
                self.rebuild(rebuild).await?;
                // I2: with the last of its documents. Guarded by
                // `tests::i2::the_checkpoint_of_changes_that_touch_very_many_documents_goes_with_the_last_of_them`.
                let on_durable = OnDurable { checkpoint, link_removals, ..OnDurable::default() };
                self.build_and_emit(&mut clear, ids, on_durable).await?;
                return Ok(documents);
            };
            self.build_and_emit(&mut clear, ids, OnDurable::default()).await?;
            affected = self.build.resolve_more(cursor).await?;
        }
    }

    /// Builds documents once more, as if a change had touched them.
    pub(in crate::engine) async fn build_again(&mut self, mut ids: Vec<DocumentId>) -> Result<(), EngineError> {
        while !ids.is_empty() {
            let rest = ids.split_off(self.build.max_documents().min(ids.len()));
            self.build_and_emit(&mut Vec::new(), std::mem::replace(&mut ids, rest), OnDurable::default()).await?;
        }
        Ok(())
    }

    async fn build_and_emit(
        &mut self,
        clear: &mut Vec<IndexNumber>,
        ids: Vec<DocumentId>,
        on_durable: OnDurable,
    ) -> Result<(), EngineError> {
        let BuiltDocuments { ids, documents, quarantine_writes } = self.build.build(ids).await?;
        let clear = std::mem::take(clear);
        let no_effect = on_durable.checkpoint.is_none() && on_durable.link_removals.is_none();
        if no_effect && documents.is_empty() && quarantine_writes.is_empty() && clear.is_empty() {
            return Ok(());
        }
        self.update_backlog();
        let cleared = if self.backfills.is_empty() { Vec::new() } else { clear.clone() };
        let work = Work::Live { clear, version: self.context.version(), documents: documents.into() };
        let seq = self.lane.emit(work, OnDurable { quarantine_writes, ..on_durable }).await;
        if !self.backfills.is_empty() {
            self.record_live_writes(seq, cleared, ids);
        }
        Ok(())
    }

    /// Records what live batches have built, or tried to, so that no older read of a backfill lands after it (I5).
    fn record_live_writes(&mut self, seq: u64, cleared: Vec<IndexNumber>, ids: Vec<DocumentId>) {
        for index in cleared {
            self.live_writes.record_clear(index, seq);
        }
        for id in ids {
            if self.backfills.contains_key(&id.index) {
                self.live_writes.record_document(id, seq);
            }
        }
        self.live_writes.prune(self.outstanding_reads.oldest());
    }

    /// Seeds these indexes again in every sink. Emitted before the checkpoint of the change that asks for it, so that the
    /// sinks have lost their marks before the source forgets the change.
    async fn rebuild(&mut self, mut indexes: Vec<IndexNumber>) -> Result<(), EngineError> {
        indexes.sort_unstable();
        indexes.dedup();
        for index in indexes {
            let sinks = SinkSet::all(self.context.sink_names.len());
            self.begin_backfill(SeedRequest { index, sinks, resume: None, reindex: false }, false).await?;
        }
        Ok(())
    }

    /// The documents of a backfill page, built.
    pub(in crate::engine) fn build_stage(&mut self) -> &mut BuildStage {
        &mut self.build
    }

    /// Says whether work is waiting behind the next entry, so that sinks may take their time to make writes visible.
    pub(in crate::engine) fn update_backlog(&self) {
        let backlog = self.batcher.has_waiting() || !self.channels.results.is_empty();
        self.context.backlog.store(backlog, Ordering::Release);
    }
}
