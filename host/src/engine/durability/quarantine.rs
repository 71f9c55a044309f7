//! What happens to a document that was refused, by a sink or by the builder: the run stops, or the document is put aside
//! durably and the run goes on (I6). The choice is the operator's, by index.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::engine::error::EngineError;
use crate::engine::observer::Observation;
use crate::engine::options::OnError;
use crate::engine::run_context::Shared;
use crate::engine::stage::{Mutation, State, StateError};
use crate::model::{Document, Failure, IndexNumber, Version};

/// Where the quarantine stands in the state.
pub const QUARANTINE: &str = "quarantine/";

/// What is remembered of a document that was put aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quarantined {
    /// Who refused it: a sink's name, or the builder's.
    pub by: String,
    /// The index.
    pub index: String,
    /// The document's id.
    pub id: String,
    /// The version it was built at.
    pub version: Version,
    /// A word to count by.
    pub class: String,
    /// Why.
    pub reason: String,
}

/// A refused document.
pub(crate) struct Refused {
    pub(crate) index: IndexNumber,
    pub(crate) id: String,
    pub(crate) version: Version,
    pub(crate) failure: Failure,
}

fn key(by: &str, index: &str, id: &str) -> String {
    format!("{QUARANTINE}{by}/{index}/{id}")
}

/// The documents that one stage refused and that are put aside.
pub(crate) struct Quarantine {
    by: String,
    keys: HashSet<String>,
}

impl Quarantine {
    /// What this stage refused in earlier runs.
    pub(crate) async fn load(by: &str, state: &dyn State) -> Result<Self, StateError> {
        let entries = state.scan(&format!("{QUARANTINE}{by}/")).await?;
        Ok(Self { by: by.to_owned(), keys: entries.into_iter().map(|(key, _)| key).collect() })
    }

    /// Applies the policies to what was refused, and clears entries for what got through. A stop is decided before
    /// anything is put aside, so that what comes again after a restart is not counted twice (I6). Returns what to remember;
    /// it must be durable before the position of these documents is confirmed (I1).
    pub(crate) fn decide<'a>(
        &mut self,
        refused: Vec<Refused>,
        accepted: impl Iterator<Item = &'a Document>,
        shared: &Shared,
    ) -> Result<Vec<Mutation>, EngineError> {
        // I6. Guarded by `tests::i6::a_stop_is_decided_before_anything_is_put_aside`.
        if let Some(first) = refused.iter().find(|refused| shared.policy(refused.index) == OnError::Stop) {
            return Err(EngineError::Rejected {
                index: shared.name(first.index).to_owned(),
                id: first.id.clone(),
                what: self.by.clone(),
                class: first.failure.class.clone(),
                reason: first.failure.reason.clone(),
            });
        }
        let mut mutations = Vec::with_capacity(refused.len());
        if !self.keys.is_empty() {
            for document in accepted {
                let key = key(&self.by, shared.name(document.index), &document.id);
                if self.keys.remove(&key) {
                    mutations.push(Mutation::Delete(key));
                }
            }
        }
        for Refused { index, id, version, failure } in refused {
            let index = shared.name(index).to_owned();
            let key = key(&self.by, &index, &id);
            let Failure { class, reason } = failure;
            let entry = Quarantined { by: self.by.clone(), index, id, version, class, reason };
            let value = serde_json::to_vec(&entry).map_err(|error| EngineError::State(std::sync::Arc::new(error)))?;
            shared.observer.observe(Observation::Quarantined {
                index: &entry.index,
                id: &entry.id,
                by: &self.by,
                class: &entry.class,
                reason: &entry.reason,
            });
            self.keys.insert(key.clone());
            mutations.push(Mutation::Put(key, value));
        }
        Ok(mutations)
    }
}
