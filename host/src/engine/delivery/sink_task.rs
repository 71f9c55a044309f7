//! One task a sink: it takes entries from the lane in order, writes them, flushes, and reports how far it is. While it
//! flushes, the worker builds the next batch. After any error the writer is dropped, and everything since the last good flush
//! is written again, in order, to a fresh one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::engine::delivery::index_targets::IndexTargets;
use crate::engine::delivery::lane::{Entry, Work};
use crate::engine::durability::quarantine::{Quarantine, RejectedDocument};
use crate::engine::durability::visible_watermark::SinkProgress;
use crate::engine::error::{EngineError, StageError};
use crate::engine::observer::Observation;
use crate::engine::retry::Retry;
use crate::engine::run_context::RunContext;
use crate::engine::stage::{Documents, Flushed, Sink, Writer};
use crate::engine::startup::open_sinks::OpenSink;
use crate::limits;
use crate::model::{Document, HistoryId, IndexNumber, Key, Rejection, Version};

/// The task of one sink.
pub(crate) struct SinkTask {
    /// The sink's number.
    pub(super) number: usize,
    sink: Arc<dyn Sink>,
    /// The open instance; none after an error.
    writer: Option<Box<dyn Writer>>,
    pub(super) targets: IndexTargets,
    quarantine: Quarantine,
    history: HistoryId,
    entries: mpsc::UnboundedReceiver<Arc<Entry>>,
    /// Entries that were taken from the lane and are not part of a flush yet.
    pending: VecDeque<Arc<Entry>>,
    /// Bytes at which a group is flushed although more is waiting.
    flush_threshold: usize,
    progress: mpsc::UnboundedSender<SinkProgress>,
    refresh_requests: watch::Receiver<u64>,
    /// A refresh was requested, and no flush has made everything visible since.
    refresh_requested: bool,
    /// After a while without a flush one is made although nothing was written.
    last_flush: Instant,
    /// Whether searches find everything that was flushed; none until a flush has said so.
    visible: Option<bool>,
    /// The last entry that was flushed.
    flushed: u64,
    /// How many documents in a row ended an instance, none between them written.
    pub(super) poison_in_a_row: usize,
    pub(super) context: Arc<RunContext>,
}

impl SinkTask {
    pub(crate) async fn new(
        number: usize,
        open: OpenSink,
        history: HistoryId,
        entries: mpsc::UnboundedReceiver<Arc<Entry>>,
        progress: mpsc::UnboundedSender<SinkProgress>,
        context: Arc<RunContext>,
    ) -> Result<Self, EngineError> {
        let (sink, writer, targets) = open.into_parts();
        let quarantine = Quarantine::load(sink.name(), &*context.state).await.map_err(EngineError::State)?;
        Ok(Self {
            number,
            sink,
            writer,
            targets,
            quarantine,
            history,
            entries,
            pending: VecDeque::new(),
            flush_threshold: context.options.flush_bytes,
            progress,
            refresh_requests: context.refresh_requests.subscribe(),
            refresh_requested: false,
            last_flush: Instant::now(),
            visible: None,
            flushed: 0,
            poison_in_a_row: 0,
            context,
        })
    }

    /// Runs until the lane ends.
    pub(crate) async fn run(mut self) -> Result<(), EngineError> {
        let context = Arc::clone(&self.context);
        let mut retry = context.retry(format!("sink {:?}", self.sink.name()));
        loop {
            let first = match self.pending.pop_front() {
                Some(entry) => entry,
                None => tokio::select! {
                    biased;
                    entry = self.entries.recv() => match entry {
                        Some(entry) => entry,
                        None => return Ok(()),
                    },
                    Ok(()) = self.refresh_requests.changed(), if self.visible != Some(true) => {
                        self.refresh_requested = true;
                        self.flush_nothing(&mut retry).await?;
                        continue;
                    }
                    () = tokio::time::sleep_until(self.last_flush + limits::engine::IDLE_FLUSH_INTERVAL) => {
                        self.flush_nothing(&mut retry).await?;
                        continue;
                    }
                },
            };
            let group = self.flush_group(first, &mut retry).await?;
            let Some(last) = group.last() else { continue };
            while let Err(error) = self.apply_mark(last).await {
                retry.failed(error).await?;
            }
            retry.succeeded();
            self.record_seed_attempt(last).await?;
            group.iter().for_each(|entry| entry.flushed());
            self.flushed = last.seq;
            self.report_progress();
            if matches!(last.work, Work::End) {
                return Ok(());
            }
        }
    }

    /// Makes a group of entries durable, an entry and what is waiting behind it, and applies the policies to what the sink
    /// rejects. Returns the group.
    async fn flush_group(&mut self, first: Arc<Entry>, retry: &mut Retry<'_>) -> Result<Vec<Arc<Entry>>, EngineError> {
        let mut group = self.gather(first);
        let started = Instant::now();
        // The links that these documents were built from are on disk before any of them is written: those of many builds at
        // once. Guarded by `tests::links::links_are_stored_before_a_document_made_of_them_is_written`.
        self.context.state.apply(Vec::new()).await.map_err(EngineError::State)?;
        let mut suspect = false;
        let (rejected, documents) = loop {
            let flushed = match group.as_slice() {
                [entry] if suspect => self.write_around_poison(entry).await,
                _ => self.write_and_flush(&group).await,
            };
            match flushed {
                Ok(flushed) => break flushed,
                // I6: a sink that is away has not rejected anything. Guarded by
                // `tests::i6::a_sink_that_is_away_is_tried_again_and_nothing_is_confirmed_meanwhile`.
                Err(error) => {
                    suspect = error.may_be_of_one_document();
                    retry.failed(error).await?;
                }
            }
            self.halve(&mut group, suspect);
        };
        retry.succeeded();
        self.flush_threshold = self.flush_threshold.saturating_mul(2).min(self.context.options.flush_bytes);
        // I6, I7: the policy for rejected documents is applied before anything counts as flushed or seeded. Guarded by
        // `tests::i6::a_run_that_stops_at_a_refused_document_has_not_marked_its_index_seeded`.
        self.apply_rejections(&group, rejected).await?;
        self.context.observe(Observation::Flushed { sink: self.sink.name(), documents, took: started.elapsed() });
        Ok(group)
    }

    /// Tells the confirmer how far this sink is. The confirmer is gone only where the run has failed: then what is in the lane is
    /// written, and nothing of it confirmed.
    fn report_progress(&self) {
        let visible = self.visible == Some(true);
        let _ = self.progress.send(SinkProgress { sink: self.number, seq: self.flushed, visible });
    }

    /// No entry is waiting. Where a refresh was requested, durable documents become visible: guarded by
    /// `tests::wait::what_was_left_for_later_is_shown_when_somebody_waits_for_it`. An idle sink notices what others did to it:
    /// guarded by `tests::i7::an_idle_sink_notices_that_its_index_was_removed`.
    async fn flush_nothing(&mut self, retry: &mut Retry<'_>) -> Result<(), EngineError> {
        while let Err(error) = self.write_and_flush(&[]).await {
            retry.failed(error).await?;
        }
        retry.succeeded();
        self.report_progress();
        Ok(())
    }

    /// The entries that go into one flush: up to the threshold in bytes, up to and with the next seed mark, and not past the
    /// beginning of a backfill, which may remove a generation that was written to before.
    fn gather(&mut self, first: Arc<Entry>) -> Vec<Arc<Entry>> {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while bytes < self.flush_threshold
            && group.last().is_some_and(|entry| matches!(entry.work, Work::Live { .. } | Work::Seed { .. }))
        {
            let Some(next) = self.pending.pop_front().or_else(|| self.entries.try_recv().ok()) else { break };
            if matches!(next.work, Work::BeginSeed { .. }) {
                self.pending.push_front(next);
                break;
            }
            bytes += next.bytes;
            group.push(next);
        }
        group
    }

    /// After a failure the next flush holds half as much, down to one entry, and each success doubles it again: a sink may be
    /// too slow for what one flush has time for. Guarded by
    /// `tests::i6::what_takes_a_sink_too_long_is_flushed_in_smaller_parts`. Where a document is looked for, one entry at once.
    fn halve(&mut self, group: &mut Vec<Arc<Entry>>, to_one: bool) {
        self.flush_threshold = group.iter().map(|entry| entry.bytes).sum::<usize>() / 2;
        let kept = if to_one { group.len().min(1) } else { group.len().div_ceil(2) };
        for entry in group.split_off(kept).into_iter().rev() {
            self.pending.push_front(entry);
        }
    }

    /// Takes the open instance, or opens a fresh one. The caller puts it back unless a call failed.
    pub(super) async fn take_writer(&mut self) -> Result<Box<dyn Writer>, StageError> {
        if let Some(writer) = self.writer.take() {
            return Ok(writer);
        }
        let mut writer = self.sink.open().await?;
        self.targets.ensure(&mut *writer, &self.context.mappings).await?;
        Ok(writer)
    }

    /// Writes a group and flushes it; both are idempotent. Returns what the sink rejected, and how many documents were written.
    pub(super) async fn write_and_flush(
        &mut self,
        group: &[Arc<Entry>],
    ) -> Result<(Vec<RejectedDocument>, usize), StageError> {
        let mut writer = self.take_writer().await?;
        let call_bytes = self.context.options.call_bytes;
        let mut documents = 0;
        let mut dirty = false;
        // I5: in the lane's order, also the second time.
        for entry in group {
            match &entry.work {
                Work::Live { clear, version, documents: live } => {
                    for index in clear {
                        for target in self.targets.live_targets_of(*index) {
                            writer.clear(*target, *version).await?;
                            dirty = true;
                        }
                    }
                    if !live.is_empty() {
                        let targets = self.targets.of_live_documents();
                        write(&mut *writer, Documents::new(Arc::clone(live), targets), call_bytes).await?;
                        documents += live.len();
                        dirty = true;
                    }
                }
                Work::Seed { sinks, documents: seed } if sinks.contains(self.number) && !seed.is_empty() => {
                    let targets = self.targets.of_seed_documents();
                    write(&mut *writer, Documents::new(Arc::clone(seed), targets), call_bytes).await?;
                    documents += seed.len();
                    dirty = true;
                }
                Work::BeginSeed { index, sinks, start } if sinks.contains(self.number) => {
                    self.targets.begin(&mut *writer, *index, &self.context.mappings, *start).await?;
                    // Before anything behind it can be called visible. Guarded by
                    // `tests::reindex::documents_that_are_wrong_end_what_was_asked_for_and_begin_it_anew`.
                    if !self.targets.is_complete(*index) {
                        self.context.watermarks.send_if_modified(|watermarks| watermarks.seeding.insert(*index));
                    }
                    dirty = true;
                }
                Work::Seed { .. } | Work::BeginSeed { .. } | Work::Seeded { .. } | Work::End => {}
            }
        }
        let rejected = self.flush(&mut *writer, group, dirty).await?;
        let rejected = self.rejected_documents(group, rejected)?;
        self.writer = Some(writer);
        Ok((rejected, documents))
    }

    /// Flushes what was written, if anything was, and decides whether the flush makes documents visible: when no work is
    /// waiting behind it, and when a refresh was requested. What earlier flushes left invisible is flushed for that too.
    async fn flush(
        &mut self,
        writer: &mut dyn Writer,
        group: &[Arc<Entry>],
        dirty: bool,
    ) -> Result<Vec<Rejection>, StageError> {
        // Nothing comes behind the end, though entries may have been waiting when the documents before it were written.
        // Guarded by `tests::once::what_it_wrote_is_found_when_it_ends`.
        let at_end = group.last().is_some_and(|entry| matches!(entry.work, Work::End));
        let backlog = self.context.backlog.load(Ordering::Acquire);
        let caught_up = at_end || (self.pending.is_empty() && self.entries.is_empty() && !backlog);
        // A request that comes while this flush is running is for the next one.
        self.refresh_requested |= self.refresh_requests.has_changed().unwrap_or_default();
        self.refresh_requests.mark_unchanged();
        let refresh_only = match self.refresh_requested {
            true => self.visible != Some(true),
            false => caught_up && self.visible == Some(false),
        };
        // Entries without documents (a stream that moves on) do not keep a sink from its flush.
        let idle = self.last_flush.elapsed() >= limits::engine::IDLE_FLUSH_INTERVAL;
        if !dirty && !refresh_only && !idle {
            return Ok(Vec::new());
        }
        let caught_up = caught_up || self.refresh_requested;
        let flushed = writer.flush(caught_up, self.context.options.flush_deadline).await?;
        (self.visible, self.refresh_requested) = (Some(flushed.visible), false);
        self.last_flush = Instant::now();
        Ok(flushed.rejected)
    }

    /// I7: a seed mark stands last in its group, so what it speaks of is durable now, and the policy was applied to what was
    /// rejected. Guarded by `tests::i7::an_index_is_not_marked_seeded_while_a_part_of_it_is_not_flushed`.
    async fn apply_mark(&mut self, last: &Entry) -> Result<(), StageError> {
        match &last.work {
            Work::Seeded { index, sinks } if sinks.contains(self.number) => {
                let mut writer = self.take_writer().await?;
                self.targets.finish(&mut *writer, *index, &self.history).await?;
                self.writer = Some(writer);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The beginning of a backfill is durable now: the host records it, so that a restart can continue it.
    async fn record_seed_attempt(&mut self, last: &Entry) -> Result<(), EngineError> {
        match &last.work {
            Work::BeginSeed { index, sinks, .. } if sinks.contains(self.number) => {
                let record = self.targets.record_attempt(*index, &self.context.mappings);
                self.context.store(record.into_iter().collect()).await
            }
            _ => Ok(()),
        }
    }

    /// The documents of a group that were written to this sink, the last first.
    fn documents<'a>(&self, group: &'a [Arc<Entry>]) -> impl Iterator<Item = &'a Document> + use<'a> {
        let number = self.number;
        group.iter().rev().flat_map(move |entry| match &entry.work {
            Work::Live { documents, .. } => &documents[..],
            Work::Seed { sinks, documents } if sinks.contains(number) => &documents[..],
            _ => &[],
        })
    }

    /// Flushes what an instance was given of an entry, and keeps the instance.
    pub(super) async fn flush_part(&mut self, mut writer: Box<dyn Writer>) -> Result<Flushed, StageError> {
        let flushed = writer.flush(false, self.context.options.flush_deadline).await?;
        (self.visible, self.last_flush) = (Some(flushed.visible), Instant::now());
        self.writer = Some(writer);
        Ok(flushed)
    }

    /// Rejections by index, while the targets are still those that were written to.
    pub(super) fn rejected_documents(
        &self,
        group: &[Arc<Entry>],
        rejections: Vec<Rejection>,
    ) -> Result<Vec<RejectedDocument>, StageError> {
        if rejections.is_empty() {
            return Ok(Vec::new());
        }
        // Of an id that was written twice the last document counts: it comes first here.
        let mut versions: HashMap<IndexNumber, HashMap<&str, Option<(Key, Version)>>> = HashMap::new();
        for document in self.documents(group) {
            versions
                .entry(document.index)
                .or_default()
                .entry(&document.id)
                .or_insert_with(|| Some((document.key.clone(), document.version)));
        }
        let mut rejected: Vec<RejectedDocument> = Vec::new();
        for Rejection { target, id, failure } in rejections {
            let Some(index) = self.targets.index_of(target) else {
                let message = format!("it rejected a document of target {target}, which it never gave out");
                return Err(StageError::Fatal(message));
            };
            match versions.get_mut(&index).and_then(|of| of.get_mut(id.as_str())) {
                // An id in two generations is one rejection.
                Some(version) => {
                    let version = version.take();
                    rejected.extend(version.map(|(key, version)| RejectedDocument {
                        index,
                        id,
                        key,
                        version,
                        failure,
                    }));
                }
                None => {
                    let index = self.context.name(index);
                    let message = format!("it rejected document {id:?} of index {index:?}, which it was not given");
                    return Err(StageError::Violation(message));
                }
            }
        }
        Ok(rejected)
    }

    /// Applies the policies to what was rejected and removes the quarantine entries of what was accepted; durable before the
    /// group counts as flushed.
    async fn apply_rejections(
        &mut self,
        group: &[Arc<Entry>],
        rejected: Vec<RejectedDocument>,
    ) -> Result<(), EngineError> {
        let ids: HashSet<(IndexNumber, String)> =
            rejected.iter().map(|document| (document.index, document.id.clone())).collect();
        let accepted = |document: &&Document| ids.is_empty() || !ids.contains(&(document.index, document.id.clone()));
        let accepted = self.documents(group).filter(accepted);
        let mutations = self.quarantine.apply_policy(rejected, accepted, &self.context)?;
        self.context.store(mutations).await
    }
}

/// Writes documents, in calls of about `call_bytes` (I11).
pub(super) async fn write(writer: &mut dyn Writer, documents: Documents, call_bytes: usize) -> Result<(), StageError> {
    for part in documents.parts(call_bytes) {
        writer.write(part).await?;
    }
    Ok(())
}
