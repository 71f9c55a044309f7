//! The plain name, for readers that do not care about mappings.

use flusso_plugin::Result;
use serde_json::{Value, json};

use super::repairs::{Repair, plain};
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
    pub(super) fn plain(&mut self, client: &mut Client, live: &Generation, always: bool) -> Result<Vec<Value>> {
        let alias = &live.names.index;
        let found = cluster::owned(client, std::slice::from_ref(&live.names))?;
        match plain(&live.names, &live.name, always, &found) {
            None => Ok(Vec::new()),
            Some(Repair::Restore { elsewhere, .. }) => {
                let remove = elsewhere.iter().map(|old| json!({ "remove": { "index": old, "alias": alias } }));
                Ok(std::iter::once(json!({ "add": { "index": live.name, "alias": alias } })).chain(remove).collect())
            }
            Some(Repair::Leave { alias, change }) => {
                self.say_once(&alias, &change);
                Ok(Vec::new())
            }
            Some(_) => Ok(Vec::new()),
        }
    }
}
