//! The engine's records in the host's state: the position of the source, the progress of each backfill, which rebuilds were
//! asked for, and since when an index is seeded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::error::EngineError;
use crate::engine::stage::{Mutation, State};
use crate::model::{HistoryId, Position, Version};

const SOURCE: &str = "source";
const BACKFILL: &str = "backfill/";
const REINDEX_REQUEST: &str = "asked/";
const SEEDED: &str = "seeded/";
const FOLLOWED_INDEXES: &str = "followed";
const RECORDED_RELATIONS: &str = "remembered";

/// The position that was confirmed last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SourceRecord {
    history: String,
    /// The source's own bytes.
    position: Vec<u8>,
    version: Version,
    /// When the last transaction before it was committed, in microseconds since 1970, if known.
    committed_at: Option<u64>,
}

impl SourceRecord {
    pub(crate) fn new(history: &HistoryId, position: &Position, version: Version, committed_at: Option<u64>) -> Self {
        Self { history: history.to_string(), position: position.as_bytes().to_vec(), version, committed_at }
    }

    pub(crate) fn position(&self) -> Position {
        Position::new(self.position.as_slice())
    }

    pub(crate) fn history(&self) -> HistoryId {
        Arc::from(self.history.as_str())
    }

    pub(crate) async fn load(state: &dyn State) -> Result<Option<Self>, EngineError> {
        load(state, SOURCE).await
    }

    pub(crate) fn store(&self) -> Result<Mutation, EngineError> {
        store(SOURCE.to_owned(), self)
    }

    pub(crate) fn forget() -> Mutation {
        Mutation::Delete(SOURCE.to_owned())
    }
}

/// The progress of the backfill of one index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BackfillRecord {
    /// The attempt's number: a backfill is resumed only in sinks that began the same attempt.
    pub(crate) attempt: u64,
    pub(crate) history: String,
    /// The mapping's hash: with another mapping the backfill starts from the beginning.
    pub(crate) hash: String,
    /// The sinks that are seeded: with other sinks the backfill starts from the beginning.
    pub(crate) sinks: Vec<String>,
    pub(crate) estimated_rows: Option<u64>,
    pub(crate) parts: Vec<RangeProgress>,
}

/// One range of a backfill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RangeProgress {
    pub(crate) range: Vec<u8>,
    /// Where the first page begins that is not durable; none: at the start of the range, unless `done`.
    pub(crate) cursor: Option<Vec<u8>>,
    pub(crate) rows: u64,
    pub(crate) done: bool,
}

impl BackfillRecord {
    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    pub(crate) async fn load(state: &dyn State, index: &str) -> Result<Option<Self>, EngineError> {
        load(state, &format!("{BACKFILL}{index}")).await
    }

    pub(crate) fn store(&self, index: &str) -> Result<Mutation, EngineError> {
        store(format!("{BACKFILL}{index}"), self)
    }

    pub(crate) fn forget(index: &str) -> Mutation {
        Mutation::Delete(format!("{BACKFILL}{index}"))
    }
}

/// Records that a rebuild of an index was asked for.
pub(crate) fn request_reindex(index: &str) -> Mutation {
    Mutation::Put(format!("{REINDEX_REQUEST}{index}"), Vec::new())
}

/// Whether a rebuild of an index was asked for and is not finished.
pub(crate) async fn is_reindex_requested(state: &dyn State, index: &str) -> Result<bool, EngineError> {
    Ok(state.get(&format!("{REINDEX_REQUEST}{index}")).await.map_err(EngineError::State)?.is_some())
}

/// The rebuild of an index is finished.
pub(crate) fn clear_reindex_request(index: &str) -> Mutation {
    Mutation::Delete(format!("{REINDEX_REQUEST}{index}"))
}

/// What a run keeps up to date: each index as it is built now (its hash), in each sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FollowedIndexes(BTreeSet<String>);

impl FollowedIndexes {
    pub(crate) fn insert(&mut self, sink: &str, index: &str, hash: &str) {
        self.0.insert(Self::name(sink, index, hash));
    }

    pub(crate) fn contains(&self, sink: &str, index: &str, hash: &str) -> bool {
        self.0.contains(&Self::name(sink, index, hash))
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn name(sink: &str, index: &str, hash: &str) -> String {
        format!("{sink}/{index}@{hash}")
    }

    pub(crate) async fn load(state: &dyn State) -> Result<Self, EngineError> {
        Ok(load(state, FOLLOWED_INDEXES).await?.unwrap_or_default())
    }

    pub(crate) fn store(&self) -> Result<Mutation, EngineError> {
        store(FOLLOWED_INDEXES.to_owned(), self)
    }
}

/// Of each index as it is built (its hash): the relations whose links every build since its seeding began has recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedRelations(BTreeMap<String, BTreeSet<String>>);

impl RecordedRelations {
    /// The relations that are recorded from now on.
    pub(crate) fn insert(&mut self, index: &str, hash: &str, relations: &[String]) {
        self.0.insert(Self::name(index, hash), relations.iter().cloned().collect());
    }

    /// Those of some relations that builds did not record.
    pub(crate) fn missing(&self, index: &str, hash: &str, relations: &[String]) -> Vec<String> {
        let known = self.0.get(&Self::name(index, hash));
        relations.iter().filter(|name| !known.is_some_and(|known| known.contains(*name))).cloned().collect()
    }

    fn name(index: &str, hash: &str) -> String {
        format!("{index}@{hash}")
    }

    pub(crate) async fn load(state: &dyn State) -> Result<Self, EngineError> {
        Ok(load(state, RECORDED_RELATIONS).await?.unwrap_or_default())
    }

    pub(crate) fn store(&self) -> Result<Mutation, EngineError> {
        store(RECORDED_RELATIONS.to_owned(), self)
    }
}

/// Since when the oldest seeded index is seeded, as seconds since 1970. For messages only: whether an index is seeded is the
/// sink's word.
pub(crate) async fn seeded_since(state: &dyn State) -> Result<Option<u64>, EngineError> {
    let entries = state.scan(SEEDED).await.map_err(EngineError::State)?;
    Ok(entries.iter().filter_map(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok()).min())
}

/// Records since when an index is seeded in a sink.
pub(crate) fn set_seeded_since(sink: &str, index: &str, seconds: u64) -> Mutation {
    Mutation::Put(format!("{SEEDED}{sink}/{index}"), seconds.to_string().into_bytes())
}

async fn load<T: serde::de::DeserializeOwned>(state: &dyn State, key: &str) -> Result<Option<T>, EngineError> {
    let Some(value) = state.get(key).await.map_err(EngineError::State)? else { return Ok(None) };
    serde_json::from_slice(&value).map(Some).map_err(|error| EngineError::State(Arc::new(error)))
}

fn store<T: Serialize>(key: String, value: &T) -> Result<Mutation, EngineError> {
    let value = serde_json::to_vec(value).map_err(|error| EngineError::State(Arc::new(error)))?;
    Ok(Mutation::Put(key, value))
}
