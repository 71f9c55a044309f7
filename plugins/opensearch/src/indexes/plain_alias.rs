//! The plain name, for readers that do not care about mappings.

use flusso_plugin::{Result, log};
use serde_json::{Value, json};

use super::{Generation, Indexes};
use crate::client::Client;
use crate::cluster;

impl Indexes {
    /// Puts a generation behind the plain name: always, or only if nothing is there.
    pub(super) fn serve_plainly(&mut self, client: &mut Client, live: &Generation, always: bool) -> Result<()> {
        let actions = self.plain(client, live, always)?;
        if actions.is_empty() { Ok(()) } else { cluster::aliases(client, &actions) }
    }

    /// What puts a generation behind the plain name. A name that belongs to another index stays as it is: nothing that is
    /// promised depends on it.
    pub(super) fn plain(&self, client: &mut Client, live: &Generation, always: bool) -> Result<Vec<Value>> {
        let alias = &live.names.index;
        let behind = cluster::behind(client, alias)?;
        let (ours, others): (Vec<_>, Vec<_>) = behind.into_iter().partition(|name| live.names.is_generation(name));
        if let Some(other) = others.first() {
            let reason = format!(
                "the name {alias} belongs to index {other}, which is not of flusso: search {} instead",
                live.names.alias
            );
            log::warn(&reason, &[]);
            return Ok(Vec::new());
        }
        if ours.contains(&live.name) && ours.len() == 1 || !always && !ours.is_empty() {
            return Ok(Vec::new());
        }
        let remove = ours.iter().filter(|old| **old != live.name);
        let remove = remove.map(|old| json!({ "remove": { "index": old, "alias": alias } }));
        Ok(std::iter::once(json!({ "add": { "index": live.name, "alias": alias } })).chain(remove).collect())
    }
}
