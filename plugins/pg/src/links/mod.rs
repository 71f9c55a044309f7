//! The link table as this plugin uses it (`wit/links.wit`): relations have names, rows and links are bytes ([`packed`]).

mod link_recorder;
pub mod packed;
mod parents;
mod relation_id;

pub(crate) use link_recorder::LinkRecorder;
pub(crate) use parents::{ParentLookup, put_ended};
pub(crate) use relation_id::LinkRelation;

use crate::error::{Error, Result};
use flusso_plugin::RowLinks;

/// What keeps links.
pub trait LinkTable {
    /// Relations that are followed, whatever the catalogue says.
    fn recorded_relations(&mut self) -> Vec<String>;
    /// Now.
    fn clock(&mut self) -> u64;
    /// Adds links; the places of those whose rows were asked for since the moment.
    fn add(&mut self, since: u64, links: &[RowLinks]) -> Result<Vec<u32>>;
    /// For each row its links.
    fn parents(&mut self, relation: &str, rows: &[Vec<u8>]) -> Result<Vec<Vec<Vec<u8>>>>;
}

/// The host's; none in tests, which have no host.
pub(crate) fn of_host() -> Option<Box<dyn LinkTable>> {
    flusso_plugin::has_host().then(|| Box::new(Host) as Box<dyn LinkTable>)
}

struct Host;

impl LinkTable for Host {
    fn recorded_relations(&mut self) -> Vec<String> {
        flusso_plugin::links::recorded_relations()
    }
    fn clock(&mut self) -> u64 {
        flusso_plugin::links::clock()
    }
    fn add(&mut self, since: u64, links: &[RowLinks]) -> Result<Vec<u32>> {
        flusso_plugin::links::add(since, links).map_err(host_error)
    }
    fn parents(&mut self, relation: &str, rows: &[Vec<u8>]) -> Result<Vec<Vec<Vec<u8>>>> {
        flusso_plugin::links::parents(relation, rows).map_err(host_error)
    }
}

/// What the host says, as an error of this plugin.
fn host_error(error: flusso_plugin::Error) -> Error {
    match error {
        flusso_plugin::Error::Transient(transient) => Error::Transient(transient.message),
        flusso_plugin::Error::Denied(what) => Error::Denied(what),
        flusso_plugin::Error::Fatal(message) => Error::Fatal(message),
        flusso_plugin::Error::Other(other) => Error::Fatal(other.message),
        other => Error::Fatal(format!("the link table: {other:?}")),
    }
}
