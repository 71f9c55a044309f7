//! `opensearch`: a sink that keeps indexes of an OpenSearch or Elasticsearch cluster.
//!
//! | module | holds |
//! |---|---|
//! | `settings`, `url` | what the operator sets |
//! | `transport`, `http`, `client` | HTTP/1.1 over the host's connections |
//! | `refusal` | what a refusal means, in one table |
//! | `names`, `mapping`, `analysis` | what an index is called and made of |
//! | `cluster`, `indexes` | one function a request; which generation serves, and what is seeded |
//! | `bulk`, `clear` | writing and removing documents |
//! | `inventory` | what is held in the cluster, for an operator |
//!
//! What must survive is in the cluster: aliases say what serves, the meta index what is seeded. An instance remembers
//! nothing that it could not find out again.

mod analysis;
mod bulk;
mod clear;
mod client;
mod cluster;
mod http;
mod indexes;
mod inventory;
mod mapping;
mod names;
mod refusal;
mod settings;
mod transport;
mod url;

use std::time::Duration;

use flusso_plugin::{Document, Ensured, HistoryId, Mapping, Report, Result, Sink, Target, Version, log};

use bulk::Bulk;
use client::Client;
use indexes::{Generation, Indexes};
use settings::Settings;

/// How long everything that one call asks for may take, where the host does not say: a call has 30 seconds.
const CALL: Duration = Duration::from_secs(25);
/// Names in one request to refresh, so that its first line stays short.
const REFRESHED: usize = 10;

/// The sink, opened.
pub struct OpenSearch {
    settings: Settings,
    client: Client,
    indexes: Indexes,
    bulk: Bulk,
}

impl OpenSearch {
    /// The client, with a call's time from now on.
    fn asked(&mut self) -> &mut Client {
        self.client.within(CALL);
        &mut self.client
    }

    /// What was written and cannot be found yet, of generations that are as wanted. One that is being filled beside another
    /// is asked by nobody.
    fn unseen(&self, wanted: impl Fn(&Generation) -> bool) -> Vec<(Target, String)> {
        let dirty = self.bulk.dirty().iter().filter_map(|target| self.indexes.get(*target).ok());
        dirty.filter(|one| wanted(one)).map(|one| (one.target, one.name.clone())).collect()
    }

    /// Makes what was written visible. It is durable already, and visible by itself later, so this fails nothing.
    fn refresh(&mut self) {
        for some in self.unseen(|one| one.serves).chunks(REFRESHED) {
            let (targets, names): (Vec<Target>, Vec<&str>) =
                some.iter().map(|(target, name)| (*target, name.as_str())).unzip();
            match cluster::refresh(&mut self.client, &names) {
                Ok(()) => self.bulk.visible(&targets),
                Err(error) => {
                    let error = format!("{error:?}");
                    log::debug("refreshing failed; it is done again, or by the cluster", &[("error", &error)]);
                }
            }
        }
    }
}

impl Sink for OpenSearch {
    fn open(settings: flusso_plugin::Settings) -> Result<Self> {
        let settings: Settings = settings.parse()?;
        let mut client = Client::new(&settings)?;
        if !settings.tls_verify {
            log::warn("tls_verify = false: anybody could stand in for the cluster and read everything", &[]);
        }
        if client.shows_credentials() {
            log::warn(
                "credentials go to another machine over http://, readable to all in between; write https://",
                &[],
            );
        }
        client.within(CALL);
        let version = cluster::version(&mut client)?;
        log::debug("connected", &[("distribution", &version.distribution), ("version", &version.number)]);
        if let Some(pipeline) = &settings.pipeline {
            cluster::check_pipeline(&mut client, pipeline)?;
        }
        let gates = version.can_require_alias();
        let (indexes, bulk) = (Indexes::new(&settings, gates), Bulk::new(&settings, gates));
        Ok(Self { settings, client, indexes, bulk })
    }

    fn ensure_index(&mut self, mapping: Mapping) -> Result<Ensured> {
        self.asked();
        self.indexes.ensure(&mut self.client, &mapping, &self.settings)
    }

    fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>> {
        self.asked();
        self.indexes.seeded(&mut self.client, target, &self.settings)
    }

    fn mark_seeded(&mut self, target: Target, history: HistoryId) -> Result<()> {
        self.asked();
        self.indexes.mark_seeded(&mut self.client, target, &history, &self.settings)
    }

    fn mark_unseeded(&mut self, target: Target) -> Result<()> {
        self.asked();
        self.indexes.mark_unseeded(&mut self.client, target)
    }

    fn write(&mut self, documents: Vec<Document>) -> Result<()> {
        for document in &documents {
            self.bulk.add(self.indexes.get(document.target)?, document);
        }
        self.asked();
        self.bulk.dispatch(&mut self.client)
    }

    fn clear(&mut self, target: Target, version: Version) -> Result<()> {
        self.indexes.get(target)?;
        self.bulk.clear(target, version);
        Ok(())
    }

    fn flush(&mut self, caught_up: bool, deadline_ms: u64) -> Result<Report> {
        self.client.within(Duration::from_millis(deadline_ms));
        let rejected = self.bulk.flush(&mut self.client, &self.indexes, caught_up)?;
        if caught_up {
            self.refresh();
            self.indexes.sweep(&mut self.client);
        }
        let visible = self.unseen(|one| one.seeded).is_empty();
        Ok(Report { rejected, visible, extra: None })
    }

    fn begin_rebuild(&mut self, mapping: Mapping, resume: bool) -> Result<Target> {
        self.asked();
        self.indexes.begin(&mut self.client, &mapping, resume, &self.settings)
    }

    fn promote(&mut self, target: Target) -> Result<()> {
        self.asked();
        self.indexes.promote(&mut self.client, target, &self.settings)
    }

    fn abandon(&mut self, target: Target) -> Result<()> {
        self.asked();
        self.indexes.abandon(&mut self.client, target)
    }
}

flusso_plugin::plugin! { manifest: include_str!("../manifest.json"), sink: OpenSearch, inventory: OpenSearch }
