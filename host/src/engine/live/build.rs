//! From changes to documents: one `resolve` a batch, each document once (I4), one `build_many` divided among the builder's
//! instances, and the policy for documents that cannot be built.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::engine::durability::quarantine::{Quarantine, RejectedDocument};
use crate::engine::error::{EngineError, StageError};
use crate::engine::live::build_call::build_call;
use crate::engine::live::poison::PoisonSearch;
use crate::engine::observer::Observation;
use crate::engine::retry::Retry;
use crate::engine::run_context::RunContext;
use crate::engine::stage::{Affected, Builder, Mutation, Slice};
use crate::limits;
use crate::model::{Change, Document, DocumentId, Failure, IndexNumber, Key, Outcome, TableNumber, Version};

/// The documents of a batch.
#[derive(Default)]
pub(crate) struct BuiltDocuments {
    /// All documents that were to be built, also those that could not be.
    pub(crate) ids: Vec<DocumentId>,
    pub(crate) documents: Vec<Document>,
    /// Quarantine entries, to be stored once the documents before them are durable.
    pub(crate) quarantine_writes: Vec<Mutation>,
}

/// The worker's access to the builder.
pub(crate) struct BuildStage {
    builder: Arc<dyn Builder>,
    /// The builder as messages name it.
    stage: String,
    quarantine: Quarantine,
    context: Arc<RunContext>,
    /// The size of a body in bytes, as in the batches built last; decides how many documents one call builds (I11).
    body_bytes: usize,
    poison: PoisonSearch,
}

impl BuildStage {
    pub(crate) fn new(builder: Arc<dyn Builder>, quarantine: Quarantine, context: Arc<RunContext>) -> Self {
        let stage = format!("builder {:?}", builder.name());
        let (body_bytes, poison) = (limits::engine::INITIAL_BODY_BYTES, PoisonSearch::default());
        Self { builder, stage, quarantine, context, body_bytes, poison }
    }

    fn retry(&self) -> Retry<'_> {
        self.context.retry(&*self.stage)
    }

    /// How many documents may be built at once: their bodies are in memory together (I11).
    pub(crate) fn max_documents(&self) -> usize {
        let limit = self.context.options.backfill_documents.max(1) as usize;
        (self.context.options.max_in_flight / self.body_bytes.max(1)).clamp(1, limit)
    }

    /// The documents that a batch touches, each once, in first-seen order.
    pub(crate) async fn resolve(&self, changes: Vec<Change>) -> Result<Affected, EngineError> {
        let changes = Slice::from(changes);
        self.retry().run(|| async { self.validate(self.builder.resolve(changes.clone()).await?) }).await
    }

    /// More documents that a batch touches.
    pub(crate) async fn resolve_more(&self, cursor: Vec<u8>) -> Result<Affected, EngineError> {
        let max = self.context.options.backfill_documents;
        let more = || async {
            let affected = self.validate(self.builder.resolve_more(cursor.clone(), max).await?)?;
            if affected.more.as_ref() == Some(&cursor) {
                // The answers of a cursor that does not move would never end.
                return Err(StageError::Violation("the cursor of a resolve did not move".to_owned()));
            }
            Ok(affected)
        };
        self.retry().run(more).await
    }

    /// The documents that change because the columns of tables changed.
    pub(crate) async fn resolve_table_changes(&self, tables: &[TableNumber]) -> Result<Affected, EngineError> {
        self.retry().run(|| async { self.validate(self.builder.resolve_table_changes(tables).await?) }).await
    }

    /// Builds documents. Those that cannot be built get quarantine entries under policy `skip`, and are left out.
    pub(crate) async fn build(&mut self, ids: Vec<DocumentId>) -> Result<BuiltDocuments, EngineError> {
        if ids.is_empty() {
            return Ok(BuiltDocuments::default());
        }
        // I12: taken before the first read, so a version says "nothing older than this was read". Guarded by
        // `tests::i12::a_document_carries_the_version_that_was_polled_before_its_build`.
        let version = self.context.version();
        let ids = Arc::new(ids);
        let count = ids.len();
        let an_instance = count.div_ceil(self.builder.instances().max(1)).max(limits::engine::MIN_DOCUMENTS_PER_CALL);
        let mut documents_per_call = an_instance.min(self.context.options.call_bytes / self.body_bytes.max(1)).max(1);
        let context = Arc::clone(&self.context);
        let mut retry = context.retry(&*self.stage);
        let mut search = false;
        let outcomes = loop {
            let built = match search {
                true => self.poison.build(&*self.builder, &ids, &context).await,
                false => self.build_in_calls(&ids, documents_per_call).await,
            };
            match built {
                Ok(outcomes) => break outcomes,
                Err(error) => {
                    // What fails a second time may be of one document.
                    search = error.may_be_of_one_document();
                    // Bodies that are much larger than those before them may have been too many for one call.
                    if matches!(error, StageError::Crashed(_)) {
                        documents_per_call = (documents_per_call / 4).max(1);
                    }
                    retry.failed(error).await?;
                }
            }
        };
        if !search {
            self.poison.built_something();
        }
        let body_bytes = outcomes.iter().map(size).sum::<usize>() / count;
        self.body_bytes = body_bytes.max(self.body_bytes / 4 * 3);
        let ids = Arc::try_unwrap(ids).unwrap_or_else(|ids| ids.as_ref().clone());
        let mut documents = Vec::with_capacity(count);
        let mut rejected = Vec::new();
        for (id, outcome) in ids.iter().zip(outcomes) {
            match document(id.index, &id.key, outcome, version) {
                Ok(document) => documents.push(document),
                Err(failure) => rejected.push(rejection(id.index, &id.key, failure, version)),
            }
        }
        self.report(&documents);
        let quarantine_writes = self.quarantine.apply_policy(rejected, documents.iter(), &self.context)?;
        Ok(BuiltDocuments { ids, documents, quarantine_writes })
    }

    /// The documents of a backfill page. A row that is no document needs no delete: nothing of it was ever written. Only a page
    /// that goes to every sink (`to_all_sinks`) can remove quarantine entries of the builder.
    pub(crate) fn seed(
        &mut self,
        index: IndexNumber,
        rows: Vec<(Key, Outcome)>,
        version: Version,
        to_all_sinks: bool,
    ) -> Result<BuiltDocuments, EngineError> {
        let mut documents = Vec::with_capacity(rows.len());
        let mut rejected = Vec::new();
        for (key, outcome) in rows {
            if outcome == Outcome::Absent {
                continue;
            }
            match document(index, &key, outcome, version) {
                Ok(document) => documents.push(document),
                Err(failure) => rejected.push(rejection(index, &key, failure, version)),
            }
        }
        self.report(&documents);
        let accepted = documents.iter().filter(|_| to_all_sinks);
        let quarantine_writes = self.quarantine.apply_policy(rejected, accepted, &self.context)?;
        Ok(BuiltDocuments { ids: Vec::new(), documents, quarantine_writes })
    }

    /// Tells the observer how many documents were built, index by index.
    fn report(&self, documents: &[Document]) {
        for of_index in documents.chunk_by(|one, next| one.index == next.index) {
            let bodies = of_index.iter().filter_map(|document| document.body.as_ref());
            let (count, bytes) = bodies.fold((0, 0), |(count, bytes), body| (count + 1, bytes + body.len()));
            if let Some(first) = of_index.first().filter(|_| count > 0) {
                let index = self.context.name(first.index);
                self.context.observe(Observation::DocumentsBuilt { index, documents: count, bytes });
            }
        }
    }

    /// One outcome an id, in order, from as many calls as are needed, which run at the same time.
    async fn build_in_calls(
        &self,
        ids: &Arc<Vec<DocumentId>>,
        documents_per_call: usize,
    ) -> Result<Vec<Outcome>, StageError> {
        let count = ids.len();
        let parts = (0..count).step_by(documents_per_call).map(|start| start..(start + documents_per_call).min(count));
        let calls = parts.map(|part| build_call(&*self.builder, Slice::new(Arc::clone(ids), part)));
        let mut outcomes = Vec::with_capacity(count);
        for part in join_all(calls).await {
            outcomes.extend(part?);
        }
        Ok(outcomes)
    }

    /// What a builder answers is not trusted: an index that does not exist is its failure, and a document that it names twice
    /// is built once.
    fn validate(&self, mut affected: Affected) -> Result<Affected, StageError> {
        let known = |index: &IndexNumber| (*index as usize) < self.context.mappings.len();
        let all = affected.ids.iter().map(|id| &id.index).chain(&affected.rebuild).chain(&affected.clear);
        if let Some(unknown) = all.into_iter().find(|index| !known(index)) {
            return Err(StageError::Violation(format!("the builder named index {unknown}, which it does not have")));
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

fn rejection(index: IndexNumber, key: &Key, failure: Failure, version: Version) -> RejectedDocument {
    RejectedDocument { index, id: key.document_id(), key: key.clone(), version, failure }
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
    Ok(Document { index, id: key.document_id(), key: key.clone(), version, body })
}
