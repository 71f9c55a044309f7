//! Confirmation: what the durable watermark says is stored by the host first, and only then told to the source. So the source
//! is never told more than the host knows, and a source that is further than the host was tampered with.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::engine::backfill::running::{FinishedBackfill, RunningBackfills};
use crate::engine::delivery::index_targets::forget_seed_attempt;
use crate::engine::durability::durable_watermark::{BecameDurable, DurableWatermark};
use crate::engine::durability::records::{
    BackfillRecord, FollowedIndexes, SourceRecord, clear_reindex_request, set_seeded_since,
};
use crate::engine::durability::visible_watermark::{SinkProgress, VisibleWatermark};
use crate::engine::error::EngineError;
use crate::engine::live::capture::{CaptureMode, Confirmed};
use crate::engine::observer::Observation;
use crate::engine::run_context::RunContext;
use crate::engine::stage::Mutation;
use crate::model::{HistoryId, IndexNumber};

/// The channels of the confirmer's task.
pub(crate) struct ConfirmerChannels {
    pub(crate) sink_progress: mpsc::UnboundedReceiver<SinkProgress>,
    pub(crate) confirmed: watch::Sender<Confirmed>,
    pub(crate) mode: Arc<watch::Sender<CaptureMode>>,
}

/// The confirmer's task.
pub(crate) struct Confirmer {
    durable: Arc<DurableWatermark>,
    visible: VisibleWatermark,
    channels: ConfirmerChannels,
    backfills: RunningBackfills,
    history: HistoryId,
    /// What this run follows; stored with the first position that it confirms.
    followed: Option<FollowedIndexes>,
    /// Link removals of durable batches, until a position that covers their changes is stored.
    link_removals: Vec<u64>,
    context: Arc<RunContext>,
}

impl Confirmer {
    pub(crate) fn new(
        durable: Arc<DurableWatermark>,
        visible: VisibleWatermark,
        channels: ConfirmerChannels,
        backfills: RunningBackfills,
        history: HistoryId,
        followed: FollowedIndexes,
        context: Arc<RunContext>,
    ) -> Self {
        let (followed, link_removals) = (Some(followed), Vec::new());
        Self { durable, visible, channels, backfills, history, followed, link_removals, context }
    }

    /// Runs until the lane's end is durable.
    pub(crate) async fn run(mut self) -> Result<(), EngineError> {
        let mut waiting = BecameDurable::default();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = sleep_until(due), if !waiting.is_empty() => {}
                progress = self.channels.sink_progress.recv() => {
                    let Some(progress) = progress else { return Ok(()) };
                    let became = self.durable.advance(progress.sink, progress.seq);
                    self.advance_watermarks(progress, &became);
                    waiting.extend(became);
                    // A seeded index ends a wait somewhere; positions are gathered for a moment, to be stored together.
                    if !waiting.end && waiting.seeded.is_empty() {
                        continue;
                    }
                }
            }
            let became = std::mem::take(&mut waiting);
            let end = became.end;
            self.confirm(became).await?;
            if end {
                return Ok(());
            }
            due = Instant::now() + self.context.options.confirm_interval;
        }
    }

    /// Wakes those who wait for a change to be visible.
    fn advance_watermarks(&mut self, progress: SinkProgress, became: &BecameDurable) {
        let durable = became.checkpoint.as_ref().map(|(_, checkpoint)| checkpoint.position.clone());
        let visible = self.visible.advance(progress, durable.clone());
        self.context.watermarks.send_if_modified(|watermarks| {
            let moved = durable.is_some() || visible.is_some();
            watermarks.durable = durable.or(watermarks.durable.take());
            watermarks.visible = visible.or(watermarks.visible.take());
            moved
        });
    }

    async fn confirm(&mut self, became: BecameDurable) -> Result<(), EngineError> {
        let epoch = self.context.epoch();
        // A checkpoint of an older opening is never confirmed (contract, rule 4). Guarded by `tests::convergence`.
        let checkpoint = became.checkpoint.filter(|(of, _)| *of == epoch).map(|(_, checkpoint)| checkpoint);
        // I1: in one atomic batch, so the quarantine entry of a document that could not be built is stored no later than its
        // position. Guarded by `tests::i1::a_document_that_cannot_be_built_is_put_aside_before_its_position_is_confirmed`.
        let mut mutations = became.quarantine_writes;
        self.link_removals.extend(became.link_removals);
        if let Some(checkpoint) = &checkpoint {
            // A link goes in the batch that stores the confirmation: before that, the changes may come again and need it.
            // Guarded by `tests::links::a_link_is_removed_together_with_the_confirmation`.
            mutations.extend(self.link_removals.drain(..).map(Mutation::RemoveLinks));
            let (version, at) = (checkpoint.version, checkpoint.committed_at);
            mutations.push(SourceRecord::new(&self.history, &checkpoint.position, version, at).store()?);
            if let Some(followed) = self.followed.take() {
                mutations.push(followed.store()?);
            }
        }
        let moved = self.backfills.advance(became.backfill_steps);
        let finished: Vec<_> =
            became.seeded.iter().filter_map(|(index, attempt)| self.backfills.finish(*index, *attempt)).collect();
        let is_finished = |index: IndexNumber| finished.iter().any(|backfill| backfill.index == index);
        for (index, record) in moved.iter().filter(|(index, _)| !is_finished(*index)) {
            mutations.push(record.store(self.context.name(*index))?);
        }
        for backfill in &finished {
            self.forget_backfill(backfill, &mut mutations)?;
        }
        // I1: first the host, then the source. Guarded by
        // `tests::i1::the_source_hears_of_a_position_only_after_the_host_remembers_it`.
        self.context.store(mutations).await?;

        for (index, record) in moved.iter().filter(|(index, _)| !is_finished(*index)) {
            self.context.observe(Observation::SeedProgress { index: self.context.name(*index), rows: record.rows() });
        }
        if !finished.is_empty() {
            self.finish_seeding(finished);
        }
        if let Some(checkpoint) = checkpoint {
            self.context
                .observe(Observation::Confirmed { committed_at: checkpoint.committed_at, version: checkpoint.version });
            self.channels.confirmed.send_modify(|confirmed| {
                confirmed.position = Some(checkpoint.position);
                confirmed.epoch = epoch;
            });
        }
        if became.end {
            self.channels.confirmed.send_modify(|confirmed| confirmed.finished = true);
        }
        Ok(())
    }

    /// Removes what the state holds of a backfill, now that its index is seeded.
    fn forget_backfill(&self, backfill: &FinishedBackfill, mutations: &mut Vec<Mutation>) -> Result<(), EngineError> {
        let name = self.context.name(backfill.index);
        let mapping = self.context.mapping(backfill.index)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        mutations.push(BackfillRecord::forget(name));
        mutations.push(clear_reindex_request(name));
        for sink in &backfill.sinks {
            mutations.push(set_seeded_since(sink, name, now));
            mutations.push(forget_seed_attempt(sink, &mapping.index));
        }
        Ok(())
    }

    /// Tells the observer and the waiting requests that indexes are seeded. The last of them lets a `--once` run ask for the head.
    fn finish_seeding(&self, finished: Vec<FinishedBackfill>) {
        self.context.watermarks.send_modify(|watermarks| {
            for backfill in &finished {
                watermarks.seeding.remove(&backfill.index);
                watermarks.unseeded.remove(&backfill.index);
            }
        });
        for FinishedBackfill { index, rows, took, .. } in finished {
            self.context.observe(Observation::Seeded { index: self.context.name(index), rows, took });
        }
        if self.backfills.is_empty() && self.context.options.once {
            self.channels.mode.send_if_modified(|mode| {
                let follow = *mode == CaptureMode::Follow;
                if follow {
                    *mode = CaptureMode::FollowToHead;
                }
                follow
            });
        }
    }
}
