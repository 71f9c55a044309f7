//! Whether the code of a tracked builder is another than at the last start although it says that its documents are the same.
//!
//! A builder says by the hash of each index whether its documents are built anew: the author raises the version in it. One that
//! was forgotten shows in no error, so the log says which documents stay as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::stage::Description;
use crate::plugin::state::{Mutation, Scope, StateError};

/// Where the last start is noted.
const KEY: &[u8] = b"builder-code";

/// What built documents at the last start.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Noted {
    /// The digest of the component.
    code: String,
    /// The hash of each index.
    indexes: BTreeMap<String, String>,
}

/// Notes the code that builds from now on. Returns the indexes whose documents stay as other code built them.
pub(super) fn note(state: &Scope, code: String, description: &Description) -> Result<Vec<String>, StateError> {
    let indexes = description.mappings.iter().map(|mapping| (mapping.index.clone(), mapping.hash.clone())).collect();
    let now = Noted { code, indexes };
    // A note that cannot be read is one of another version of the host.
    let before = state.get(KEY)?.and_then(|noted| serde_json::from_slice::<Noted>(&noted).ok());
    if before.as_ref() == Some(&now) {
        return Ok(Vec::new());
    }
    if let Ok(noted) = serde_json::to_vec(&now) {
        state.apply(&[Mutation::Put(KEY.to_vec(), noted)])?;
    }
    let Some(before) = before.filter(|before| before.code != now.code) else { return Ok(Vec::new()) };
    let stays = |(index, hash): &(String, String)| before.indexes.get(index) == Some(hash);
    Ok(now.indexes.into_iter().filter(stays).map(|(index, _)| index).collect())
}
