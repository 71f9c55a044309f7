//! What the engine remembers over restarts, as it stands in the state: where the source is, how far each backfill is,
//! since when an index is seeded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::error::EngineError;
use crate::engine::stage::{Mutation, State};
use crate::model::{HistoryId, Position, Version};

const SOURCE: &str = "source";
const BACKFILL: &str = "backfill/";
const ASKED: &str = "asked/";
const SEEDED: &str = "seeded/";
const FOLLOWED: &str = "followed";
const REMEMBERED: &str = "remembered";

/// Where the source is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SourceRecord {
    pub(crate) history: String,
    /// The source's own bytes.
    position: Vec<u8>,
    pub(crate) version: Version,
    /// When the last transaction before it was committed, in microseconds since 1970, if known.
    pub(crate) committed_at: Option<u64>,
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
}

/// How far the backfill of one index is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BackfillRecord {
    /// Which attempt it is; a sink that began another one starts again.
    pub(crate) attempt: u64,
    pub(crate) history: String,
    /// The mapping's hash: another mapping starts again.
    pub(crate) hash: String,
    /// The sinks it is for: others start again.
    pub(crate) sinks: Vec<String>,
    pub(crate) estimated_rows: Option<u64>,
    pub(crate) parts: Vec<Part>,
}

/// One range of a backfill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) range: Vec<u8>,
    /// After what is durable.
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

/// Somebody asked for an index to be built anew, and it is not done.
pub(crate) fn asked_for(index: &str) -> Mutation {
    Mutation::Put(format!("{ASKED}{index}"), Vec::new())
}

/// Whether somebody asked for an index to be built anew, and it is not done.
pub(crate) async fn is_asked_for(state: &dyn State, index: &str) -> Result<bool, EngineError> {
    Ok(state.get(&format!("{ASKED}{index}")).await.map_err(EngineError::State)?.is_some())
}

/// It is done.
pub(crate) fn no_longer_asked_for(index: &str) -> Mutation {
    Mutation::Delete(format!("{ASKED}{index}"))
}

/// What a run follows: each index as it is built now (its hash), in each sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Followed(BTreeSet<String>);

impl Followed {
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
        Ok(load(state, FOLLOWED).await?.unwrap_or_default())
    }

    pub(crate) fn store(&self) -> Result<Mutation, EngineError> {
        store(FOLLOWED.to_owned(), self)
    }
}

/// Of each index as it is built (its hash), the relations whose links every build since its seeding began has remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered(BTreeMap<String, BTreeSet<String>>);

impl Remembered {
    /// Notes what is remembered from now on.
    pub(crate) fn insert(&mut self, index: &str, hash: &str, relations: &[String]) {
        self.0.insert(Self::name(index, hash), relations.iter().cloned().collect());
    }

    /// Those of some relations that builds did not remember.
    pub(crate) fn lacks(&self, index: &str, hash: &str, relations: &[String]) -> Vec<String> {
        let known = self.0.get(&Self::name(index, hash));
        relations.iter().filter(|name| !known.is_some_and(|known| known.contains(*name))).cloned().collect()
    }

    fn name(index: &str, hash: &str) -> String {
        format!("{index}@{hash}")
    }

    pub(crate) async fn load(state: &dyn State) -> Result<Self, EngineError> {
        Ok(load(state, REMEMBERED).await?.unwrap_or_default())
    }

    pub(crate) fn store(&self) -> Result<Mutation, EngineError> {
        store(REMEMBERED.to_owned(), self)
    }
}

/// Since when an index is seeded in a sink, as seconds since 1970. For messages only: whether it is, is the sink's word.
pub(crate) async fn seeded_since(state: &dyn State) -> Result<Option<u64>, EngineError> {
    let entries = state.scan(SEEDED).await.map_err(EngineError::State)?;
    Ok(entries.iter().filter_map(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok()).min())
}

/// What to remember when an index was seeded in a sink.
pub(crate) fn seeded_now(sink: &str, index: &str, seconds: u64) -> Mutation {
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
