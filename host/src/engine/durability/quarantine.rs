//! What happens to a document that a sink rejects or the builder cannot build: the run stops, or an entry is stored in the
//! quarantine and the run goes on (I6). The operator chooses, for each index.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::engine::durability::stored_key::StoredKey;
use crate::engine::error::EngineError;
use crate::engine::observer::Observation;
use crate::engine::options::OnError;
use crate::engine::run_context::RunContext;
use crate::engine::stage::{Mutation, State, StateError};
use crate::model::{Document, Failure, IndexNumber, Key, Version};

/// The prefix of the quarantine's keys in the state.
pub const QUARANTINE: &str = "quarantine/";

/// A document in quarantine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quarantined {
    /// The stage that rejected it: a sink's name, or the builder's.
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
    /// When it was refused last, in microseconds since 1970; 0 in what an older host left.
    #[serde(default)]
    pub at: u64,
    /// The key that the id is made of; none in what an older host left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StoredKey>,
}

/// Which documents in quarantine are meant; what is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// Those of this index.
    pub index: Option<String>,
    /// Those of this id.
    pub id: Option<String>,
}

/// The documents in quarantine, by stage, index and id.
///
/// # Errors
///
/// When the state cannot be read, or holds an entry that is none.
pub async fn quarantined(state: &dyn State, wanted: &QuarantineFilter) -> Result<Vec<Quarantined>, StateError> {
    let entries = entries(state, wanted).await?;
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// Removes documents from the quarantine; they stay as sinks have them. Says how many.
///
/// # Errors
///
/// When the state cannot be read or written.
pub async fn discard_quarantined(state: &dyn State, wanted: &QuarantineFilter) -> Result<usize, StateError> {
    let mutations: Vec<Mutation> =
        entries(state, wanted).await?.into_iter().map(|(key, _)| Mutation::Delete(key)).collect();
    let count = mutations.len();
    if count > 0 {
        state.apply(mutations).await?;
    }
    Ok(count)
}

async fn entries(state: &dyn State, wanted: &QuarantineFilter) -> Result<Vec<(String, Quarantined)>, StateError> {
    let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let mut found = Vec::new();
    for (key, value) in state.scan(QUARANTINE).await? {
        let entry: Quarantined =
            serde_json::from_slice(&value).map_err(|error| std::sync::Arc::new(error) as StateError)?;
        if is(&wanted.index, &entry.index) && is(&wanted.id, &entry.id) {
            found.push((key, entry));
        }
    }
    Ok(found)
}

/// A document that a stage rejected.
pub(crate) struct RejectedDocument {
    pub(crate) index: IndexNumber,
    pub(crate) id: String,
    pub(crate) key: Key,
    pub(crate) version: Version,
    pub(crate) failure: Failure,
}

fn key(by: &str, index: &str, id: &str) -> String {
    format!("{QUARANTINE}{by}/{index}/{id}")
}

/// The quarantine entries of one stage.
pub(crate) struct Quarantine {
    by: String,
    keys: HashSet<String>,
}

impl Quarantine {
    /// The entries of this stage from earlier runs.
    pub(crate) async fn load(by: &str, state: &dyn State) -> Result<Self, StateError> {
        let entries = state.scan(&format!("{QUARANTINE}{by}/")).await?;
        Ok(Self { by: by.to_owned(), keys: entries.into_iter().map(|(key, _)| key).collect() })
    }

    /// Applies the policies to rejected documents, and removes the entries of accepted ones. A stop is decided before any entry
    /// is made, so that documents that come again after a restart are not counted twice (I6). Returns the changes to the
    /// quarantine; they must be durable before the position of these documents is confirmed (I1).
    pub(crate) fn apply_policy<'a>(
        &mut self,
        rejected: Vec<RejectedDocument>,
        accepted: impl Iterator<Item = &'a Document>,
        context: &RunContext,
    ) -> Result<Vec<Mutation>, EngineError> {
        // I6. Guarded by `tests::i6::a_stop_is_decided_before_anything_is_put_aside`.
        if let Some(first) = rejected.iter().find(|document| context.on_error(document.index) == OnError::Stop) {
            return Err(EngineError::Rejected {
                index: context.name(first.index).to_owned(),
                id: first.id.clone(),
                what: self.by.clone(),
                class: first.failure.class.clone(),
                reason: first.failure.reason.clone(),
            });
        }
        self.has_room(&rejected, context)?;
        let mut mutations = Vec::with_capacity(rejected.len());
        if !self.keys.is_empty() {
            for document in accepted {
                let key = key(&self.by, context.name(document.index), &document.id);
                if self.keys.remove(&key) {
                    mutations.push(Mutation::Delete(key));
                }
            }
        }
        for RejectedDocument { index, id, key: of_row, version, failure } in rejected {
            let index = context.name(index).to_owned();
            let key = key(&self.by, &index, &id);
            let Failure { class, reason } = failure;
            let of_row = Some(StoredKey::from(&of_row));
            let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
            let at = u64::try_from(at).unwrap_or(u64::MAX);
            let entry = Quarantined { by: self.by.clone(), index, id, version, class, reason, at, key: of_row };
            let value = serde_json::to_vec(&entry).map_err(|error| EngineError::State(std::sync::Arc::new(error)))?;
            context.observe(Observation::Quarantined {
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

    /// Whether these fit. So many documents are not wrong each by itself, and a run that puts all of them aside fills the state and the
    /// log and no index.
    fn has_room(&self, rejected: &[RejectedDocument], context: &RunContext) -> Result<(), EngineError> {
        let most = context.options.quarantine_documents;
        // One that is in it already takes no more room.
        let is_new = |document: &&RejectedDocument| {
            !self.keys.contains(&key(&self.by, context.name(document.index), &document.id))
        };
        let is_near = self.keys.len() + rejected.len() > most;
        if !is_near || self.keys.len() + rejected.iter().filter(is_new).count() <= most {
            return Ok(());
        }
        let Some(last) = rejected.iter().rfind(is_new) else { return Ok(()) };
        let Failure { class, reason } = &last.failure;
        Err(EngineError::Rejected {
            index: context.name(last.index).to_owned(),
            id: last.id.clone(),
            what: self.by.clone(),
            class: class.clone(),
            reason: format!(
                "{reason} (and the quarantine holds {} documents already; {most} is the most)",
                self.keys.len()
            ),
        })
    }
}
