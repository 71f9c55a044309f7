//! Delivery: one task a sink, which takes entries from the lane in order, writes them, flushes, and says how far it is.
//! While it flushes, the worker builds on. After any error the writer is thrown away and everything since the last good
//! flush is written again, in order, to a fresh one.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use crate::engine::error::{EngineError, StageError};
use crate::engine::delivery::lane::{Entry, Work};
use crate::engine::observer::Observation;
use crate::engine::durability::quarantine::{Quarantine, Refused};
use crate::engine::durability::visible_watermark::Done;
use crate::engine::retry::Retry;
use crate::engine::delivery::index_targets::Routes;
use crate::engine::run_context::Shared;
use crate::engine::stage::{Documents, Sink, Writer};
use crate::model::{Document, HistoryId, IndexNumber, Rejection};

/// One sink's task.
pub(crate) struct Delivery {
    /// The sink's number.
    pub(crate) number: usize,
    pub(crate) sink: Arc<dyn Sink>,
    /// The open instance; none after an error.
    pub(crate) writer: Option<Box<dyn Writer>>,
    pub(crate) routes: Routes,
    pub(crate) quarantine: Quarantine,
    pub(crate) history: HistoryId,
    pub(crate) entries: mpsc::UnboundedReceiver<Arc<Entry>>,
    /// Entries that were taken and belong to the next groups.
    pub(crate) next: VecDeque<Arc<Entry>>,
    /// Bytes that make a group large enough.
    pub(crate) enough: usize,
    pub(crate) done: mpsc::UnboundedSender<Done>,
    /// Somebody wishes to find what is durable.
    pub(crate) wish: watch::Receiver<u64>,
    /// Somebody did, and was not served yet.
    pub(crate) wished: bool,
    /// Whether searches find everything that was flushed; unknown until a flush says so.
    pub(crate) visible: Option<bool>,
    /// The last place of the lane that was flushed.
    pub(crate) flushed: u64,
    pub(crate) shared: Arc<Shared>,
}

impl Delivery {
    /// Runs until the lane ends.
    pub(crate) async fn run(mut self) -> Result<(), EngineError> {
        let shared = Arc::clone(&self.shared);
        let name = format!("sink {:?}", self.sink.name());
        let mut retry = Retry::new(&name, &shared.options, &*shared.observer);
        loop {
            let first = match self.next.pop_front() {
                Some(entry) => entry,
                None => tokio::select! {
                    biased;
                    entry = self.entries.recv() => match entry {
                        Some(entry) => entry,
                        None => return Ok(()),
                    },
                    Ok(()) = self.wish.changed(), if self.visible != Some(true) => {
                        self.wished = true;
                        self.show(&mut retry).await?;
                        continue;
                    }
                },
            };
            let mut group = self.gather(first);
            let started = Instant::now();
            // The links that these documents were built from are on disk before any of them is written: many builds' at once.
            // Guarded by `tests::links::links_are_stored_before_a_document_made_of_them_is_written`.
            shared.state.apply(Vec::new()).await.map_err(EngineError::State)?;
            let (refused, documents) = loop {
                match self.attempt(&group).await {
                    Ok(answer) => break answer,
                    // I6: away is not refused. Guarded by
                    // `tests::i6::a_sink_that_is_away_is_tried_again_and_nothing_is_confirmed_meanwhile`.
                    Err(error) => retry.failed(error).await?,
                }
                self.divide(&mut group);
            };
            retry.succeeded();
            self.enough = self.enough.saturating_mul(2).min(shared.options.flush_bytes);
            // I6, I7: what was refused is decided upon before anything is said to be done or seeded. Guarded by
            // `tests::i6::a_run_that_stops_at_a_refused_document_has_not_marked_its_index_seeded`.
            self.settle(&group, refused).await?;
            let took = started.elapsed();
            shared.observer.observe(Observation::Flushed { sink: self.sink.name(), documents, took });
            let Some(last) = group.last() else { continue };
            while let Err(error) = self.mark(last).await? {
                retry.failed(error).await?;
            }
            retry.succeeded();
            group.iter().for_each(|entry| entry.flushed());
            self.flushed = last.seq;
            if self.is_done().is_err() || matches!(last.work, Work::End) {
                return Ok(());
            }
        }
    }

    /// Says how far it is. Fails when the run is ending.
    fn is_done(&self) -> Result<(), mpsc::error::SendError<Done>> {
        self.done.send(Done { sink: self.number, seq: self.flushed, visible: self.visible == Some(true) })
    }

    /// Nothing is waiting, and somebody wishes to find what is durable. Guarded by
    /// `tests::wait::what_was_left_for_later_is_shown_when_somebody_waits_for_it`.
    async fn show(&mut self, retry: &mut Retry<'_>) -> Result<(), EngineError> {
        while let Err(error) = self.attempt(&[]).await {
            retry.failed(error).await?;
        }
        retry.succeeded();
        // Nobody to tell: the run is ending.
        let _ = self.is_done();
        Ok(())
    }

    /// What is waiting behind an entry and goes with it in one flush: up to a size, up to the next mark, and not the
    /// beginning of a backfill, which may remove a generation that was written to before.
    fn gather(&mut self, first: Arc<Entry>) -> Vec<Arc<Entry>> {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while bytes < self.enough
            && group.last().is_some_and(|entry| matches!(entry.work, Work::Live { .. } | Work::Seed { .. }))
        {
            let Some(next) = self.next.pop_front().or_else(|| self.entries.try_recv().ok()) else { break };
            if matches!(next.work, Work::BeginSeed { .. }) {
                self.next.push_front(next);
                break;
            }
            bytes += next.bytes;
            group.push(next);
        }
        group
    }

    /// What failed goes again with half as much in one flush, down to one entry, and each success allows twice as much: a sink may be
    /// too slow for what one flush has time for. Guarded by
    /// `tests::i6::what_takes_a_sink_too_long_is_flushed_in_smaller_parts`.
    fn divide(&mut self, group: &mut Vec<Arc<Entry>>) {
        self.enough = group.iter().map(|entry| entry.bytes).sum::<usize>() / 2;
        for entry in group.split_off(group.len().div_ceil(2)).into_iter().rev() {
            self.next.push_front(entry);
        }
    }

    /// The open instance, or a fresh one. Whoever takes it puts it back unless it failed.
    async fn writer(&mut self) -> Result<Box<dyn Writer>, StageError> {
        if let Some(writer) = self.writer.take() {
            return Ok(writer);
        }
        let mut writer = self.sink.open().await?;
        self.routes.ensure(&mut *writer, &self.shared.mappings).await?;
        Ok(writer)
    }

    /// Writes a group and flushes it. Everything in it is idempotent.
    async fn attempt(&mut self, group: &[Arc<Entry>]) -> Result<(Vec<Refused>, usize), StageError> {
        let mut writer = self.writer().await?;
        let most = self.shared.options.call_bytes;
        let mut documents = 0;
        let mut dirty = false;
        // I5: in the lane's order, also the second time.
        for entry in group {
            match &entry.work {
                Work::Live { clear, version, documents: live } => {
                    for index in clear {
                        for target in self.routes.live_targets(*index) {
                            writer.clear(*target, *version).await?;
                            dirty = true;
                        }
                    }
                    if !live.is_empty() {
                        write(&mut *writer, Documents::new(Arc::clone(live), self.routes.live()), most).await?;
                        documents += live.len();
                        dirty = true;
                    }
                }
                Work::Seed { scope, documents: seed } if scope.contains(self.number) && !seed.is_empty() => {
                    write(&mut *writer, Documents::new(Arc::clone(seed), self.routes.seed()), most).await?;
                    documents += seed.len();
                    dirty = true;
                }
                Work::BeginSeed { index, scope, begin } if scope.contains(self.number) => {
                    self.routes.begin(&mut *writer, *index, &self.shared.mappings, *begin).await?;
                    // Before anything behind it can be called found. Guarded by
                    // `tests::reindex::documents_that_are_wrong_end_what_was_asked_for_and_begin_it_anew`.
                    if !self.routes.is_whole(*index) {
                        self.shared.reached.send_if_modified(|reached| reached.filling.insert(*index));
                    }
                    dirty = true;
                }
                Work::Seed { .. } | Work::BeginSeed { .. } | Work::Seeded { .. } | Work::End => {}
            }
        }
        // Nothing comes behind an end, though the queue may not have been empty when the documents before it went out. Guarded by
        // `tests::once::what_it_wrote_is_found_when_it_ends`.
        let ends = group.last().is_some_and(|entry| matches!(entry.work, Work::End));
        let waiting = !self.next.is_empty() || !self.entries.is_empty() || self.shared.backlog.load(Ordering::Acquire);
        let calm = ends || !waiting;
        // A wish that comes while this flush is under way is for the next.
        self.wished |= self.wish.has_changed().unwrap_or_default();
        self.wish.mark_unchanged();
        let hidden = if self.wished { self.visible != Some(true) } else { calm && self.visible == Some(false) };
        let mut rejected = Vec::new();
        if dirty || hidden {
            let flushed = writer.flush(calm || self.wished, self.shared.options.flush_deadline).await?;
            (rejected, self.visible, self.wished) = (flushed.rejected, Some(flushed.visible), false);
        }
        let refused = self.refused(group, rejected)?;
        self.writer = Some(writer);
        Ok((refused, documents))
    }

    /// I7: a mark stands last in its group, so what it speaks of is durable now, and what was refused is settled. Guarded by
    /// `tests::i7::an_index_is_not_marked_seeded_while_a_part_of_it_is_not_flushed`.
    async fn mark(&mut self, last: &Entry) -> Result<Result<(), StageError>, EngineError> {
        match &last.work {
            Work::BeginSeed { index, scope, .. } if scope.contains(self.number) => {
                let begun = self.routes.begun(*index, &self.shared.mappings);
                self.shared.remember(begun.into_iter().collect()).await?;
                Ok(Ok(()))
            }
            Work::Seeded { index, scope } if scope.contains(self.number) => Ok(self.seeded(*index).await),
            _ => Ok(Ok(())),
        }
    }

    async fn seeded(&mut self, index: IndexNumber) -> Result<(), StageError> {
        let mut writer = self.writer().await?;
        self.routes.seeded(&mut *writer, index, &self.history).await?;
        self.writer = Some(writer);
        Ok(())
    }

    /// The documents of a group that this sink was given, the last first.
    fn given<'a>(&self, group: &'a [Arc<Entry>]) -> impl Iterator<Item = &'a Document> + use<'a> {
        let number = self.number;
        group.iter().rev().flat_map(move |entry| match &entry.work {
            Work::Live { documents, .. } => &documents[..],
            Work::Seed { scope, documents } if scope.contains(number) => &documents[..],
            _ => &[],
        })
    }

    /// Rejections by index, while the targets are still those that were written to.
    fn refused(&self, group: &[Arc<Entry>], rejected: Vec<Rejection>) -> Result<Vec<Refused>, StageError> {
        let mut refused: Vec<Refused> = Vec::with_capacity(rejected.len());
        let mut ids = HashSet::with_capacity(rejected.len());
        for Rejection { target, id, failure } in rejected {
            let Some(index) = self.routes.index(target) else {
                let message = format!("it rejected a document of target {target}, which it never gave out");
                return Err(StageError::Fatal(message));
            };
            // Of one id, written twice, the last is what counts; and one id in two generations is one refusal.
            let last = self.given(group).find(|document| document.index == index && document.id == id);
            let version = last.map_or(0, |document| document.version);
            if ids.insert((index, id.clone())) {
                refused.push(Refused { index, id, version, failure });
            }
        }
        Ok(refused)
    }

    /// Applies the policies to what was refused and clears the quarantine of what was not; durable before the group is
    /// said to be done.
    async fn settle(&mut self, group: &[Arc<Entry>], refused: Vec<Refused>) -> Result<(), EngineError> {
        let ids: HashSet<_> = refused.iter().map(|refused| (refused.index, refused.id.clone())).collect();
        let accepted = |document: &&Document| ids.is_empty() || !ids.contains(&(document.index, document.id.clone()));
        let accepted = self.given(group).filter(accepted);
        let aside = self.quarantine.decide(refused, accepted, &self.shared)?;
        self.shared.remember(aside).await
    }
}

/// Hands documents over, in calls of about so many bytes (I11).
async fn write(writer: &mut dyn Writer, documents: Documents, most: usize) -> Result<(), StageError> {
    for part in documents.parts(most) {
        writer.write(part).await?;
    }
    Ok(())
}
