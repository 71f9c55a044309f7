//! The sinks of the run that can be searched.

use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::StageError;
use crate::plugin::found::Found;
use crate::plugin::wasm::{self, Plugin};

/// The sinks of the run, each with its name; exchanged with every round.
#[derive(Clone, Default)]
pub struct Searches(Arc<Mutex<(String, Vec<(String, Plugin)>)>>);

/// Why there is no answer to a search.
#[derive(Debug, thiserror::Error)]
pub(super) enum SearchError {
    /// None of the sinks can be searched.
    #[error("none of the sinks can be searched; one that can is tantivy")]
    None,
    /// The sink says no.
    #[error("{0}")]
    Refused(StageError),
}

impl Searches {
    /// Sets the prefix of index names and the sinks.
    pub fn set(&self, prefix: &str, sinks: Vec<(String, Plugin)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (prefix.to_owned(), sinks);
    }

    /// Searches the sink of this name, or else the first that can be searched.
    pub(super) async fn query(
        &self,
        sink: Option<&str>,
        index: &str,
        query: &str,
        limit: u32,
        offset: u32,
    ) -> Result<Found, SearchError> {
        let (prefix, sinks) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (_, plugin) in sinks.iter().filter(|(name, _)| sink.is_none_or(|sink| sink == name)) {
            let found = wasm::search(plugin, &format!("{prefix}{index}"), query, limit, offset).await;
            if let Some(found) = found.map_err(SearchError::Refused)? {
                return Ok(found);
            }
        }
        Err(SearchError::None)
    }
}
