//! Delivery: one task a sink, which takes entries from the lane in order, writes them, flushes, and says how far it is.
//! While it flushes, the worker builds on. After any error the writer is thrown away and everything since the last good
//! flush is written again, in order, to a fresh one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::mpsc;

use super::error::{EngineError, StageError};
use super::lane::{Entry, Work};
use super::observer::Observation;
use super::policy::{Quarantine, Refused};
use super::retry::Retry;
use super::routes::Routes;
use super::shared::Shared;
use super::stage::{Documents, Sink, Writer};
use crate::model::{Document, HistoryId, Rejection};

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
    pub(crate) done: mpsc::UnboundedSender<(usize, u64)>,
    pub(crate) shared: Arc<Shared>,
}

impl Delivery {
    /// Runs until the lane ends.
    pub(crate) async fn run(mut self) -> Result<(), EngineError> {
        let shared = Arc::clone(&self.shared);
        let name = format!("sink {:?}", self.sink.name());
        let mut retry = Retry::new(&name, &shared.options, &*shared.observer);
        while let Some(first) = self.entries.recv().await {
            let group = self.gather(first);
            let started = Instant::now();
            let (refused, documents) = loop {
                match self.attempt(&group).await {
                    Ok(answer) => break answer,
                    Err(error) => {
                        self.writer = None;
                        retry.failed(error).await?;
                    }
                }
            };
            retry.succeeded();
            self.settle(&group, refused).await?;
            let took = started.elapsed();
            shared.observer.observe(Observation::Flushed { sink: self.sink.name(), documents, took });
            let Some(last) = group.last() else { continue };
            group.iter().for_each(|entry| entry.flushed());
            if self.done.send((self.number, last.seq)).is_err() || matches!(last.work, Work::End) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What is waiting behind an entry and goes with it in one flush: up to a size, and up to the next mark.
    fn gather(&mut self, first: Arc<Entry>) -> Vec<Arc<Entry>> {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while bytes < self.shared.options.flush_bytes
            && group.last().is_some_and(|entry| matches!(entry.work, Work::Live { .. } | Work::Seed { .. }))
        {
            let Ok(next) = self.entries.try_recv() else { break };
            bytes += next.bytes;
            group.push(next);
        }
        group
    }

    /// Writes a group and flushes it. Everything in it is idempotent.
    async fn attempt(&mut self, group: &[Arc<Entry>]) -> Result<(Vec<Rejection>, usize), StageError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let mut writer = self.sink.open().await?;
                self.routes.ensure(&mut *writer, &self.shared.mappings).await?;
                writer
            }
        };
        let mut documents = 0;
        let mut dirty = false;
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
                        writer.write(Documents::new(Arc::clone(live), self.routes.live())).await?;
                        documents += live.len();
                        dirty = true;
                    }
                }
                Work::Seed { scope, documents: seed } if scope.contains(self.number) && !seed.is_empty() => {
                    writer.write(Documents::new(Arc::clone(seed), self.routes.seed())).await?;
                    documents += seed.len();
                    dirty = true;
                }
                Work::BeginSeed { index, scope, begin } if scope.contains(self.number) => {
                    self.routes.begin(&mut *writer, *index, &self.shared.mappings, *begin).await?;
                    dirty = true;
                }
                Work::Seed { .. } | Work::BeginSeed { .. } | Work::Seeded { .. } | Work::End => {}
            }
        }
        let caught_up = self.entries.is_empty() && !self.shared.backlog.load(Ordering::Acquire);
        let rejected =
            if dirty { writer.flush(caught_up, self.shared.options.flush_deadline).await? } else { Vec::new() };
        // A mark stands last in its group: what it speaks of is durable now (I7).
        for entry in group {
            if let Work::Seeded { index, scope } = &entry.work
                && scope.contains(self.number)
            {
                self.routes.seeded(&mut *writer, *index, &self.history).await?;
            }
        }
        self.writer = Some(writer);
        Ok((rejected, documents))
    }

    /// Applies the policies to what was refused and clears the quarantine of what was not; durable before the group is
    /// said to be done.
    async fn settle(&mut self, group: &[Arc<Entry>], rejected: Vec<Rejection>) -> Result<(), EngineError> {
        let documents = || {
            group.iter().rev().flat_map(|entry| match &entry.work {
                Work::Live { documents, .. } | Work::Seed { documents, .. } => &documents[..],
                _ => &[],
            })
        };
        let mut refused = Vec::with_capacity(rejected.len());
        let mut ids: HashSet<(u32, String)> = HashSet::new();
        for Rejection { target, id, failure } in rejected {
            let Some(index) = self.routes.index(target) else {
                let cause =
                    StageError::Fatal(format!("it rejected a document of target {target}, which it never gave out"));
                return Err(EngineError::stage(format!("sink {:?}", self.sink.name()), cause));
            };
            // Of one id, written twice, the last is what counts; and one id in two generations is one refusal.
            let version = documents()
                .find(|document| document.index == index && document.id == id)
                .map_or(0, |document| document.version);
            if ids.insert((index, id.clone())) {
                refused.push(Refused { index, id, version, failure });
            }
        }
        let accepted = |document: &&Document| ids.is_empty() || !ids.contains(&(document.index, document.id.clone()));
        self.quarantine.accepted(documents().filter(accepted), &self.shared).await?;
        self.quarantine.refuse(refused, &self.shared).await
    }
}
