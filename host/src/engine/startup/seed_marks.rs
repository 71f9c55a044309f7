//! The mark by which a sink says that an index is seeded: the history, and a term that grows at every start. The host
//! remembers the term that it wrote last, so a mark with an older term shows that the sink was restored from a backup: what
//! was written since is not in it, although no history was lost anywhere else.
//!
//! A backup that was taken during the run before looks like what the host left behind; only one of an earlier run is
//! noticed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::error::EngineError;
use crate::engine::stage::{Mutation, State, StateError};
use crate::model::{HistoryId, Mapping};

/// Stands between history and term; the term is what follows the last one.
const SEPARATOR: char = '#';

/// What a sink's mark on an index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeedMark {
    pub(crate) history: HistoryId,
    /// The mark was written in an earlier run than the last one that followed the index.
    pub(crate) outdated: bool,
}

/// The terms of one sink's indexes.
pub(crate) struct SeedMarks {
    state_key: String,
    /// By index number: name and hash of the index.
    names: Vec<String>,
    /// By index number: the last term that every mark carries for certain.
    recorded: Vec<u64>,
    /// By index number: the term that marks are written with.
    current: Vec<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record(BTreeMap<String, u64>);

impl SeedMarks {
    /// The terms that the host remembers of a sink; 0 of an index that it knows nothing of.
    pub(crate) async fn load(sink: &str, state: &dyn State, mappings: &[Mapping]) -> Result<Self, StateError> {
        let state_key = format!("terms/{sink}");
        let record = state.get(&state_key).await?;
        let record: Record = record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let names: Vec<String> = mappings.iter().map(|it| format!("{}@{}", it.index, it.hash)).collect();
        let recorded: Vec<u64> = names.iter().map(|name| record.0.get(name).copied().unwrap_or_default()).collect();
        Ok(Self { state_key, names, current: recorded.clone(), recorded })
    }

    /// Reads a sink's mark. One whose term is ahead was written by a start that died before it could record the term.
    pub(crate) fn read(&self, index: usize, mark: &HistoryId) -> SeedMark {
        let parts = mark.rsplit_once(SEPARATOR).and_then(|(history, term)| Some((history, term.parse::<u64>().ok()?)));
        let (history, term) = parts.unwrap_or((mark, 0));
        let recorded = self.recorded.get(index).copied().unwrap_or_default();
        SeedMark { history: Arc::from(history), outdated: term < recorded }
    }

    /// The mark that a sink is given.
    pub(crate) fn text(&self, index: usize, history: &HistoryId) -> HistoryId {
        let term = self.current.get(index).copied().unwrap_or_default();
        Arc::from(format!("{history}{SEPARATOR}{term}"))
    }

    /// From here on marks carry the next term. Not for a stream, which has no marks of its own that could be restored.
    pub(crate) fn begin_term(&mut self) {
        self.current = self.recorded.iter().map(|term| term + 1).collect();
    }

    /// Every mark carries the current term now: what the host has to remember of it.
    pub(crate) fn record_term(&mut self) -> Result<Mutation, EngineError> {
        self.recorded.clone_from(&self.current);
        let record = Record(self.names.iter().cloned().zip(self.recorded.iter().copied()).collect());
        let value = serde_json::to_vec(&record).map_err(|error| EngineError::State(Arc::new(error)))?;
        Ok(Mutation::Put(self.state_key.clone(), value))
    }
}
