//! From changes to documents: one `resolve` a batch, every document once (I4), one `build_many` spread over the builder's
//! instances, and the policy for what cannot be built.

use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::error::{EngineError, StageError};
use crate::engine::durability::quarantine::{Quarantine, Refused};
use crate::engine::retry::Retry;
use crate::engine::run_context::Shared;
use crate::engine::stage::{Affected, Builder, Mutation, Slice};
use crate::model::{Change, Document, DocumentId, Failure, IndexNumber, Key, Outcome, TableNumber, Version};

/// Fewer documents than this are not worth another instance.
const SMALLEST_SHARE: usize = 64;

/// Bytes that a body is taken for until some were built.
const FIRST_BODY: usize = 8 << 10;

/// What was built.
#[derive(Default)]
pub(crate) struct Built {
    /// What was asked for, refused documents among it.
    pub(crate) ids: Vec<DocumentId>,
    pub(crate) documents: Vec<Document>,
    /// What to remember of refused documents once those before them are durable.
    pub(crate) aside: Vec<Mutation>,
}

/// The builder's side of the worker.
pub(crate) struct Build {
    builder: Arc<dyn Builder>,
    name: String,
    quarantine: Quarantine,
    shared: Arc<Shared>,
    /// Bytes of a body, as those built last were: how many documents one call may build follows from it (I11).
    body: usize,
}

impl Build {
    pub(crate) fn new(builder: Arc<dyn Builder>, quarantine: Quarantine, shared: Arc<Shared>) -> Self {
        let name = format!("builder {:?}", builder.name());
        Self { builder, name, quarantine, shared, body: FIRST_BODY }
    }

    fn retry(&self) -> Retry<'_> {
        Retry::new(&self.name, &self.shared.options, &*self.shared.observer)
    }

    /// How many documents may be built at once: what they come to is in memory together (I11).
    pub(crate) fn most(&self) -> usize {
        let most = self.shared.options.backfill_documents.max(1) as usize;
        (self.shared.options.max_in_flight / self.body.max(1)).clamp(1, most)
    }

    /// Which documents a batch touches, each once, in first-seen order.
    pub(crate) async fn resolve(&self, changes: Vec<Change>) -> Result<Affected, EngineError> {
        let changes = Slice::from(changes);
        let mut retry = self.retry();
        loop {
            match self.builder.resolve(changes.clone()).await.and_then(|affected| self.check(affected)) {
                Ok(affected) => return Ok(affected),
                Err(error) => retry.failed(error).await?,
            }
        }
    }

    /// More documents that the batch touches.
    pub(crate) async fn resolve_more(&self, cursor: Vec<u8>) -> Result<Affected, EngineError> {
        let mut retry = self.retry();
        loop {
            let answer = self.builder.resolve_more(cursor.clone(), self.shared.options.backfill_documents).await;
            match answer.and_then(|affected| self.check(affected)) {
                Ok(affected) => return Ok(affected),
                Err(error) => retry.failed(error).await?,
            }
        }
    }

    /// Which documents change because tables changed their shape.
    pub(crate) async fn reshaped(&self, tables: &[TableNumber]) -> Result<Affected, EngineError> {
        let mut retry = self.retry();
        loop {
            match self.builder.reshaped(tables).await.and_then(|affected| self.check(affected)) {
                Ok(affected) => return Ok(affected),
                Err(error) => retry.failed(error).await?,
            }
        }
    }

    /// Builds documents; what is refused by policy `skip` is put aside and left out.
    pub(crate) async fn build(&mut self, ids: Vec<DocumentId>) -> Result<Built, EngineError> {
        if ids.is_empty() {
            return Ok(Built::default());
        }
        // I12: taken before the first read, so a version says "nothing older than this was read". Guarded by
        // `tests::i12::a_document_carries_the_version_that_was_polled_before_its_build`.
        let version = self.shared.version();
        let ids = Arc::new(ids);
        let count = ids.len();
        let even = count.div_ceil(self.builder.instances().max(1)).max(SMALLEST_SHARE);
        let mut share = even.min(self.shared.options.call_bytes / self.body.max(1)).max(1);
        let mut retry = self.retry();
        let outcomes = loop {
            match self.build_shares(&ids, share).await {
                Ok(outcomes) => break outcomes,
                Err(error) => {
                    // Bodies that are much larger than those before them may have been too many for one call.
                    if matches!(error, StageError::Crashed(_)) {
                        share = (share / 4).max(1);
                    }
                    retry.failed(error).await?;
                }
            }
        };
        let body = outcomes.iter().map(size).sum::<usize>() / count;
        self.body = body.max(self.body / 4 * 3);
        let ids = Arc::try_unwrap(ids).unwrap_or_else(|shared| shared.as_ref().clone());
        let mut documents = Vec::with_capacity(count);
        let mut refused = Vec::new();
        for (id, outcome) in ids.iter().zip(outcomes) {
            match document(id.index, &id.key, outcome, version) {
                Ok(document) => documents.push(document),
                Err(failure) => refused.push(self.refused(&id.key, id.index, failure, version)),
            }
        }
        let aside = self.quarantine.decide(refused, documents.iter(), &self.shared)?;
        Ok(Built { ids, documents, aside })
    }

    /// The documents of a backfill's read. A row that is no document needs no delete: nothing of it was ever written. Only
    /// what goes to every sink (`everywhere`) can clear the builder's quarantine.
    pub(crate) fn seed(
        &mut self,
        index: IndexNumber,
        rows: Vec<(Key, Outcome)>,
        version: Version,
        everywhere: bool,
    ) -> Result<Built, EngineError> {
        let mut documents = Vec::with_capacity(rows.len());
        let mut refused = Vec::new();
        for (key, outcome) in rows {
            if outcome == Outcome::Absent {
                continue;
            }
            match document(index, &key, outcome, version) {
                Ok(document) => documents.push(document),
                Err(failure) => refused.push(self.refused(&key, index, failure, version)),
            }
        }
        let accepted = documents.iter().filter(|_| everywhere);
        let aside = self.quarantine.decide(refused, accepted, &self.shared)?;
        Ok(Built { ids: Vec::new(), documents, aside })
    }

    fn refused(&self, key: &Key, index: IndexNumber, failure: Failure, version: Version) -> Refused {
        Refused { index, id: key.document_id(), version, failure }
    }

    async fn build_shares(&self, ids: &Arc<Vec<DocumentId>>, share: usize) -> Result<Vec<Outcome>, StageError> {
        let count = ids.len();
        let mut calls = Vec::with_capacity(count.div_ceil(share));
        for start in (0..count).step_by(share) {
            let part = start..(start + share).min(count);
            let slice = Slice::new(Arc::clone(ids), part);
            calls.push(async move {
                let (asked, outcomes) = (slice.len(), self.builder.build_many(slice).await?);
                if outcomes.len() == asked {
                    return Ok(outcomes);
                }
                let given = outcomes.len();
                Err(StageError::Crashed(format!("the builder answered {given} outcomes for {asked} documents")))
            });
        }
        if calls.len() == 1
            && let Some(only) = calls.pop()
        {
            return only.await;
        }
        let mut outcomes = Vec::with_capacity(count);
        for part in join_all(calls).await {
            outcomes.extend(part?);
        }
        Ok(outcomes)
    }

    /// What a guest answers is not trusted: indexes and tables that do not exist are its failure, and a document it names
    /// twice is built once.
    fn check(&self, mut affected: Affected) -> Result<Affected, StageError> {
        let known = |index: &IndexNumber| (*index as usize) < self.shared.mappings.len();
        let all = affected.ids.iter().map(|id| &id.index).chain(&affected.rebuild).chain(&affected.clear);
        if let Some(unknown) = all.into_iter().find(|index| !known(index)) {
            return Err(StageError::Crashed(format!("the builder named index {unknown}, which it does not have")));
        }
        // I4. Guarded by `tests::i4::a_document_touched_many_times_in_a_batch_is_built_once`.
        let mut seen = HashSet::with_capacity(affected.ids.len());
        let first: Vec<bool> = affected.ids.iter().map(|id| seen.insert(id)).collect();
        if first.contains(&false) {
            let mut first = first.into_iter();
            affected.ids.retain(|_| first.next().unwrap_or(true));
        }
        Ok(affected)
    }
}

fn size(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Built(body) => body.len(),
        Outcome::Absent | Outcome::Failed(_) => 0,
    }
}

fn document(index: IndexNumber, key: &Key, outcome: Outcome, version: Version) -> Result<Document, Failure> {
    let body = match outcome {
        Outcome::Built(body) => Some(body),
        Outcome::Absent => None,
        Outcome::Failed(failure) => return Err(failure),
    };
    Ok(Document { index, id: key.document_id(), version, body })
}

/// Drives some futures side by side on this task.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}
