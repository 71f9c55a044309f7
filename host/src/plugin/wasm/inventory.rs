//! Asking a sink what it holds, and removing something of it, where it can.

use super::bindings::exports::flusso::connector::inventory as wit;
use super::convert;
use super::plugin::Plugin;
use super::roles::call;
use crate::engine::StageError;
use crate::limits;
use crate::plugin::plain::plain;
use crate::plugin::stored_index::{IndexState, StoredIndex};

/// Everything that a sink holds for the deployment with this prefix; `None` where it cannot say.
///
/// # Errors
///
/// When it could not look.
pub async fn stored_indexes(plugin: &Plugin, prefix: &str) -> Result<Option<Vec<StoredIndex>>, StageError> {
    if !plugin.prepared().exports("inventory") {
        return Ok(None);
    }
    let guest = plugin.spawn(None).await?;
    let (settings, prefix) = (plugin.settings(), prefix.to_owned());
    let listing = guest.ask(
        "inventory.list",
        move |live| Box::pin(async move { call!(live, inventory.call_list(&settings, &prefix, None::<&str>)) }),
        |stored| {
            Ok(convert::counted(stored, limits::guest::INVENTORY_ENTRIES, "stored indexes")?
                .into_iter()
                .map(stored_index)
                .collect())
        },
    );
    listing.await.map(Some)
}

/// Removes one that [`stored_indexes`] named. `force`: also what is needed.
///
/// # Errors
///
/// When it could not, or would not.
pub async fn remove(plugin: &Plugin, prefix: &str, name: &str, force: bool) -> Result<(), StageError> {
    let guest = plugin.spawn(None).await?;
    let (settings, prefix, name) = (plugin.settings(), prefix.to_owned(), name.to_owned());
    let removing = guest.ask(
        "inventory.remove",
        move |live| {
            Box::pin(async move { call!(live, inventory.call_remove(&settings, &prefix, &name, force, None::<&str>)) })
        },
        Ok,
    );
    removing.await
}

/// What a guest says is shown to a person: cut, and without control characters.
fn stored_index(found: wit::StoredIndex) -> StoredIndex {
    StoredIndex {
        name: plain(&found.name, limits::guest::TEXT_BYTES),
        index: plain(&found.index, limits::guest::TEXT_BYTES),
        hash: plain(&found.hash, limits::guest::TEXT_BYTES),
        state: match found.state {
            wit::IndexState::Serving => IndexState::Serving,
            wit::IndexState::Frozen => IndexState::Frozen,
            wit::IndexState::Building => IndexState::Building,
            wit::IndexState::Replaced => IndexState::Replaced,
            wit::IndexState::Leftover => IndexState::Leftover,
        },
        documents: found.documents,
        bytes: found.bytes,
        seeded: found.seeded.map(|mark| plain(&mark, limits::guest::TEXT_BYTES)),
    }
}
