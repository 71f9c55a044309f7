//! The fingerprint of each followed table at the last moment when its documents were known to be right, kept by the host
//! over restarts. A difference at the next start means that documents have to be built again.

use crate::catalog::fingerprint::Fingerprint;
use crate::error::Result;
use crate::protocol::sql;
use flusso_plugin::TableInterest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A table, remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredShape {
    /// How it stood.
    pub fingerprint: Fingerprint,
    /// Why documents that read it are not right since. Stands until their building anew is durable.
    pub stale: Option<String>,
}

/// Tables by name.
pub type StoredShapes = BTreeMap<String, StoredShape>;

/// Where it is kept.
pub trait ShapeStore {
    /// All of it.
    fn load(&mut self) -> Result<StoredShapes>;
    /// Changes it: all of it or nothing, durable on return. `None` forgets a table.
    fn store(&mut self, changes: Vec<(String, Option<StoredShape>)>) -> Result<()>;
}

/// A table's name here.
pub fn label(interest: &TableInterest) -> String {
    sql::label(&interest.table.schema, &interest.table.name)
}

/// For a host without storage: changes made between two runs are not noticed.
pub struct NoShapeStore;

impl ShapeStore for NoShapeStore {
    fn load(&mut self) -> Result<StoredShapes> {
        Ok(StoredShapes::new())
    }

    fn store(&mut self, _: Vec<(String, Option<StoredShape>)>) -> Result<()> {
        Ok(())
    }
}

/// The host's `state`, under keys that begin so.
pub struct Host;

use crate::error::Error;

const PREFIX: &str = "table/";

impl ShapeStore for Host {
    fn load(&mut self) -> Result<StoredShapes> {
        let (mut tables, mut after) = (StoredShapes::new(), None);
        loop {
            let page = match flusso_plugin::state::scan(PREFIX.as_bytes(), after.as_deref(), 1000) {
                Ok(page) => page,
                Err(flusso_plugin::Error::Denied(_)) => return Ok(tables),
                Err(error) => return Err(refused(error)),
            };
            let Some((last, _)) = page.last() else { return Ok(tables) };
            after = Some(last.clone());
            for (key, value) in page {
                let name = String::from_utf8_lossy(key.get(PREFIX.len()..).unwrap_or_default()).into_owned();
                // What another version wrote in another form counts as nothing known.
                if let Ok(remembered) = serde_json::from_slice(&value) {
                    tables.insert(name, remembered);
                }
            }
        }
    }

    fn store(&mut self, changes: Vec<(String, Option<StoredShape>)>) -> Result<()> {
        use flusso_plugin::state::Mutation;
        let mutations: Result<Vec<Mutation>> = changes
            .into_iter()
            .map(|(name, remembered)| {
                let key = format!("{PREFIX}{name}").into_bytes();
                Ok(match remembered {
                    Some(remembered) => Mutation::Put((
                        key,
                        serde_json::to_vec(&remembered).map_err(|error| Error::Fatal(error.to_string()))?,
                    )),
                    None => Mutation::Delete(key),
                })
            })
            .collect();
        match flusso_plugin::state::apply(&mutations?) {
            Ok(()) | Err(flusso_plugin::Error::Denied(_)) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }
}

fn refused(error: flusso_plugin::Error) -> Error {
    match error {
        flusso_plugin::Error::Other(other) => Error::Fatal(other.message),
        error => Error::Fatal(format!("what is remembered of the tables: {error:?}")),
    }
}
