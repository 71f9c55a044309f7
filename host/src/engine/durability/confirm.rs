//! Confirmation: what the watermark says is durable is remembered by the host first, and only then handed to the source.
//! So the source is never told more than the host knows, and a source that is further than the host was tampered with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::engine::durability::durable_watermark::{Ack, Advance, SeedMark};
use crate::engine::live::capture::{Confirmed, Wish};
use crate::engine::error::EngineError;
use crate::engine::observer::Observation;
use crate::engine::durability::records::{BackfillRecord, Followed, SourceRecord, no_longer_asked_for, seeded_now};
use crate::engine::durability::visible_watermark::{Done, Watermark};
use crate::engine::delivery::index_targets::forget_begun;
use crate::engine::run_context::Shared;
use crate::engine::stage::Mutation;
use crate::model::{HistoryId, IndexNumber};

/// A backfill that is under way.
pub(crate) struct Underway {
    pub(crate) attempt: u64,
    /// None until it is planned.
    pub(crate) record: Option<BackfillRecord>,
    pub(crate) started: std::time::Instant,
}

/// The backfills that are under way, by index: from before their beginning is in the lane until their end is durable.
pub(crate) type Backfills = Arc<Mutex<HashMap<IndexNumber, Underway>>>;

/// The confirmer's task.
pub(crate) struct Confirmer {
    pub(crate) ack: Arc<Ack>,
    pub(crate) done: mpsc::UnboundedReceiver<Done>,
    pub(crate) watermark: Watermark,
    pub(crate) confirmed: watch::Sender<Confirmed>,
    pub(crate) wish: Arc<watch::Sender<Wish>>,
    pub(crate) backfills: Backfills,
    pub(crate) history: HistoryId,
    /// What this run follows; remembered with the first position that it confirms.
    pub(crate) followed: Option<Followed>,
    /// What durable batches ended among the remembered links, until a position that holds them is stored.
    pub(crate) ended: Vec<u64>,
    pub(crate) shared: Arc<Shared>,
}

impl Confirmer {
    /// Runs until the lane's end is durable.
    pub(crate) async fn run(mut self) -> Result<(), EngineError> {
        let mut waiting = Advance::default();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = sleep_until(due), if !waiting.is_empty() => {}
                done = self.done.recv() => {
                    let Some(done) = done else { return Ok(()) };
                    let advance = self.ack.done(done.sink, done.seq);
                    self.reach(done, &advance);
                    waiting.extend(advance);
                    // A mark ends a wait somewhere; a position may gather for a moment.
                    if !waiting.end && waiting.seeded.is_empty() {
                        continue;
                    }
                }
            }
            let advance = std::mem::take(&mut waiting);
            let end = advance.end;
            self.confirm(advance).await?;
            if end {
                return Ok(());
            }
            due = Instant::now() + self.shared.options.confirm_interval;
        }
    }

    /// Tells whoever waits for a change.
    fn reach(&mut self, done: Done, advance: &Advance) {
        let durable = advance.checkpoint.as_ref().map(|(_, checkpoint)| checkpoint.position.clone());
        let visible = self.watermark.note(done, durable.clone());
        self.shared.reached.send_if_modified(|reached| {
            let news = durable.is_some() || visible.is_some();
            reached.durable = durable.or(reached.durable.take());
            reached.visible = visible.or(reached.visible.take());
            news
        });
    }

    async fn confirm(&mut self, advance: Advance) -> Result<(), EngineError> {
        let epoch = self.shared.epoch();
        // A checkpoint of an older opening is never confirmed (contract, rule 4). Guarded by `tests::convergence`.
        let checkpoint = advance.checkpoint.filter(|(of, _)| *of == epoch).map(|(_, checkpoint)| checkpoint);
        // I1: in one atomic batch, so what could not be built is put aside no later than its position is confirmed. Guarded by
        // `tests::i1::a_document_that_cannot_be_built_is_put_aside_before_its_position_is_confirmed`.
        let mut mutations = advance.aside;
        self.ended.extend(advance.ended);
        if let Some(checkpoint) = &checkpoint {
            // A link goes in the batch that stores the confirmation: before it, the changes may come again and want it.
            // Guarded by `tests::links::a_link_is_removed_together_with_the_confirmation`.
            mutations.extend(self.ended.drain(..).map(Mutation::Forget));
            let (version, at) = (checkpoint.version, checkpoint.committed_at);
            mutations.push(SourceRecord::new(&self.history, &checkpoint.position, version, at).store()?);
            if let Some(followed) = self.followed.take() {
                mutations.push(followed.store()?);
            }
        }
        let (progress, finished) = self.account(advance.seeds, &advance.seeded, &mut mutations)?;
        // I1: first the host, then the source. Guarded by
        // `tests::i1::the_source_hears_of_a_position_only_after_the_host_remembers_it`.
        self.shared.remember(mutations).await?;

        let observer = &self.shared.observer;
        for (index, rows) in progress {
            observer.observe(Observation::SeedProgress { index: self.shared.name(index), rows });
        }
        let seeded = !finished.is_empty();
        if seeded {
            self.shared.reached.send_modify(|reached| {
                for (index, _) in &finished {
                    reached.filling.remove(index);
                    reached.unseeded.remove(index);
                }
            });
        }
        for (index, underway) in finished {
            let (rows, took) = (underway.record.map_or(0, |record| record.rows()), underway.started.elapsed());
            observer.observe(Observation::Seeded { index: self.shared.name(index), rows, took });
        }
        if seeded && self.lock().is_empty() && self.shared.options.once {
            self.wish.send_if_modified(|wish| {
                let follow = *wish == Wish::Follow;
                if follow {
                    *wish = Wish::FollowToHead;
                }
                follow
            });
        }
        if let Some(checkpoint) = checkpoint {
            observer.observe(Observation::Confirmed { committed_at: checkpoint.committed_at });
            self.confirmed.send_modify(|confirmed| {
                confirmed.position = Some(checkpoint.position);
                confirmed.epoch = epoch;
            });
        }
        if advance.end {
            self.confirmed.send_modify(|confirmed| confirmed.finished = true);
        }
        Ok(())
    }

    /// Brings the records of the backfills up to date. Returns which moved how far, and which are complete.
    #[expect(clippy::type_complexity, reason = "two lists, named by the doc comment")]
    fn account(
        &self,
        seeds: Vec<SeedMark>,
        seeded: &[(IndexNumber, u64)],
        mutations: &mut Vec<Mutation>,
    ) -> Result<(Vec<(IndexNumber, u64)>, Vec<(IndexNumber, Underway)>), EngineError> {
        let mut backfills = self.lock();
        let mut moved: Vec<IndexNumber> = Vec::new();
        for mark in seeds {
            let Some(underway) = backfills.get_mut(&mark.index).filter(|it| it.attempt == mark.attempt) else {
                continue;
            };
            let parts = underway.record.as_mut().map(|record| &mut record.parts);
            let Some(part) = parts.and_then(|parts| parts.get_mut(mark.part)) else { continue };
            part.rows += mark.rows;
            part.done = mark.cursor.is_none();
            part.cursor = mark.cursor;
            if !moved.contains(&mark.index) {
                moved.push(mark.index);
            }
        }
        let mut finished = Vec::new();
        for (index, attempt) in seeded {
            if backfills.get(index).is_some_and(|underway| underway.attempt == *attempt)
                && let Some(underway) = backfills.remove(index)
            {
                let name = self.shared.name(*index);
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                mutations.push(BackfillRecord::forget(name));
                mutations.push(no_longer_asked_for(name));
                for sink in underway.record.iter().flat_map(|record| &record.sinks) {
                    mutations.push(seeded_now(sink, name, now));
                    let mapping = self.shared.mappings.get(*index as usize);
                    mutations.extend(mapping.map(|mapping| forget_begun(sink, &mapping.index)));
                }
                finished.push((*index, underway));
            }
        }
        let mut progress = Vec::with_capacity(moved.len());
        for index in moved {
            if let Some(record) = backfills.get(&index).and_then(|underway| underway.record.as_ref()) {
                mutations.push(record.store(self.shared.name(index))?);
                progress.push((index, record.rows()));
            }
        }
        Ok((progress, finished))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IndexNumber, Underway>> {
        self.backfills.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
