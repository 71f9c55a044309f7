//! A prepared plugin as one table of the configuration uses it: makes guests, all opened alike.

use std::sync::Arc;

use super::context::Setup;
use super::fault::{Fault, GuestError, Origin};
use super::guest::Guest;
use super::roles::call;
use super::row_reader::RowReader;
use super::runtime::Prepared;
use crate::plugin::links::LinkTable;
use crate::plugin::manifest::Manifest;

/// A plugin and how it is used. Clones share it.
#[derive(Clone)]
pub struct Plugin {
    prepared: Prepared,
    setup: Arc<Setup>,
}

impl Plugin {
    /// Puts the two together.
    pub fn new(prepared: Prepared, setup: Setup) -> Self {
        Self { prepared, setup: Arc::new(setup) }
    }

    /// What the plugin says about itself.
    pub fn manifest(&self) -> &Manifest {
        self.prepared.manifest()
    }

    /// The plugin itself.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    pub(super) fn name(&self) -> &str {
        &self.setup.name
    }

    pub(super) fn origin(&self) -> Origin {
        let Manifest { name, version, .. } = self.manifest();
        Origin { plugin: name.clone(), version: version.clone(), instance: self.setup.name.clone() }
    }

    /// The settings as a guest gets them.
    pub(super) fn settings(&self) -> String {
        serde_json::Value::Object(self.setup.settings.clone()).to_string()
    }

    /// The link table that its instances share.
    pub(super) fn links(&self) -> &LinkTable {
        &self.setup.links
    }

    pub(super) async fn spawn(&self, reader: Option<Arc<dyn RowReader>>) -> Result<Guest, GuestError> {
        Guest::spawn(&self.prepared, self.setup.clone(), reader).await
    }

    /// Makes an instance that is used for nothing else, loads every function of its roles, and asks it for its manifest: it
    /// must say what the section says. For `plugin build` and `check`.
    pub async fn prove(&self) -> Result<(), GuestError> {
        let guest = self.spawn(None).await?;
        let said = manifest_text(&guest).await?;
        let wrong = |what: String| guest.fault("manifest", Fault::Violation(what.into()));
        let said: Manifest =
            serde_json::from_str(&said).map_err(|error| wrong(format!("a manifest that is none: {error}")))?;
        match said == *self.manifest() {
            true => Ok(()),
            false => Err(wrong("another manifest than its `flusso:manifest` section holds".to_owned())),
        }
    }

    /// The manifest as an instance says it, on an instance that is used for nothing else.
    pub async fn manifest_text(&self) -> Result<String, GuestError> {
        manifest_text(&self.spawn(None).await?).await
    }
}

async fn manifest_text(guest: &Guest) -> Result<String, GuestError> {
    let asking = guest.call("manifest", |live| Box::pin(async move { call!(live, plugin.call_manifest()) }));
    asking.await
}
