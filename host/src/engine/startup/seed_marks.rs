//! The mark by which a sink says that an index is seeded: the history, and a term that grows at every start. The host
//! remembers the term that it wrote last, so a mark with an older one shows that the sink was restored from a backup: what
//! was written since is not in it, although no history was lost anywhere else.
//!
//! A backup that was taken during the run before looks like what the host left behind; only one of an earlier run is
//! noticed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::stage::{Mutation, State, StateError, Writer};
use crate::model::{HistoryId, Mapping};

/// Between history and term; the term is what follows the last one.
const BETWEEN: char = '#';

/// What a sink's mark on an index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) history: HistoryId,
    /// It was written in an earlier run than the last that followed the index.
    pub(crate) outdated: bool,
}

/// The terms of one sink's indexes, by index.
pub(crate) struct Terms {
    key: String,
    names: Vec<String>,
    /// The last one that every mark carries for certain.
    known: Vec<u64>,
    /// The one that marks are written with.
    current: Vec<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record(BTreeMap<String, u64>);

impl Terms {
    /// What the host remembers of a sink.
    pub(crate) async fn load(sink: &str, state: &dyn State, mappings: &[Mapping]) -> Result<Self, StateError> {
        let key = format!("terms/{sink}");
        let record = state.get(&key).await?;
        let record: Record = record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let names: Vec<String> = mappings.iter().map(|it| format!("{}@{}", it.index, it.hash)).collect();
        let known: Vec<u64> = names.iter().map(|name| record.0.get(name).copied().unwrap_or_default()).collect();
        Ok(Self { key, names, current: known.clone(), known })
    }

    /// What a sink's mark says. One that is a term ahead was written by a start that did not get to remember it.
    pub(crate) fn read(&self, index: usize, mark: &HistoryId) -> Mark {
        let parts = mark.rsplit_once(BETWEEN).and_then(|(history, term)| Some((history, term.parse::<u64>().ok()?)));
        let (history, term) = parts.unwrap_or((mark, 0));
        let known = self.known.get(index).copied().unwrap_or_default();
        Mark { history: Arc::from(history), outdated: term < known }
    }

    /// What a sink is given as mark.
    pub(crate) fn write(&self, index: usize, history: &HistoryId) -> HistoryId {
        let term = self.current.get(index).copied().unwrap_or_default();
        Arc::from(format!("{history}{BETWEEN}{term}"))
    }

    /// From here on marks carry the next term. A stream has no marks of its own that could be restored.
    pub(crate) fn begin(&mut self, writer: &dyn Writer) {
        if !writer.is_stream() {
            self.current = self.known.iter().map(|term| term + 1).collect();
        }
    }

    /// Every mark that counts carries the current term: what to remember of it.
    pub(crate) fn renewed(&mut self) -> Option<Mutation> {
        self.known.clone_from(&self.current);
        let record = Record(self.names.iter().cloned().zip(self.known.iter().copied()).collect());
        Some(Mutation::Put(self.key.clone(), serde_json::to_vec(&record).ok()?))
    }
}
