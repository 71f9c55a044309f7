//! `opensearch`: a sink that keeps indexes of an OpenSearch or Elasticsearch cluster.
//!
//! ```text
//! write ─▶ bulk: open chunk ─▶ queue ─▶ requests in flight ─▶ response ─▶ item results ─▶ flush: report of rejections
//!                                ▲            (concurrency_limit)              │
//!                                └──────── to be tried again: 429, 503 ◀───────┘
//! ensure, begin_rebuild, promote ─▶ indexes: generations behind aliases, seed marks in the meta index
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `settings`, `url` | the settings, and the cluster's address |
//! | `transport`, `http`, `client` | HTTP/1.1 over the host's connections |
//! | `cluster_error` | what each error of the cluster means, in one table: wait, find the index again, correct the credentials, reject |
//! | `names`, `field_names` | the names of indexes and fields, as the cluster takes them |
//! | `mapping`, `analysis`, `words`, `language` | the body that creates an index |
//! | `cluster` | one function for each request beside bulk requests |
//! | `indexes` | which generation of an index serves searches, which is being filled, which are marked seeded; what others changed of them |
//! | `bulk`, `clear` | writing and removing documents |
//! | `diagnosis` | what `flusso-host check` reports of the cluster and its indexes |
//! | `inventory` | what the cluster holds for a deployment, for `flusso-host indexes` |
//! | `search` | what `flusso-host search` asks |
//!
//! What must survive is in the cluster: aliases say which generation serves, the meta index which is seeded. An instance keeps
//! nothing that it could not read again.

mod analysis;
mod bulk;
mod clear;
mod client;
mod cluster;
mod cluster_error;
mod diagnosis;
mod document_id;
mod field_names;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod indexes;
mod inventory;
mod language;
mod mapping;
mod names;
mod search;
mod settings;
mod transport;
mod url;
mod words;

use std::time::Duration;

use flusso_plugin::{Document, Ensured, HistoryId, Mapping, Report, Result, Sink, Target, Version, log};

use bulk::Bulk;
use client::Client;
use indexes::{Generation, Indexes};
use settings::Settings;

/// How long all requests of one call may take, where the host gives no deadline: a call has 30 seconds.
const CALL_LIMIT: Duration = Duration::from_secs(25);
/// Index names in one refresh request, so that its first line stays short.
const MAX_REFRESHED_NAMES: usize = 10;

/// The sink, opened.
pub struct OpenSearch {
    settings: Settings,
    client: Client,
    indexes: Indexes,
    bulk: Bulk,
}

impl OpenSearch {
    /// Begins a call: its requests have [`CALL_LIMIT`] from now on.
    fn begin_call(&mut self) -> &mut Client {
        self.client.within(CALL_LIMIT);
        &mut self.client
    }

    /// The generations with documents that searches may not find yet, among those that `wanted` picks.
    fn not_visible(&self, wanted: impl Fn(&Generation) -> bool) -> Vec<(Target, String)> {
        let dirty = self.bulk.dirty().iter().filter_map(|target| self.indexes.get(*target).ok());
        dirty.filter(|one| wanted(one)).map(|one| (one.target, one.name.clone())).collect()
    }

    /// Makes written documents visible to searches. They are durable already and become visible by themselves later, so a failure
    /// here fails nothing.
    fn refresh(&mut self) {
        for some in self.not_visible(|one| one.serves).chunks(MAX_REFRESHED_NAMES) {
            let (targets, names): (Vec<Target>, Vec<&str>) =
                some.iter().map(|(target, name)| (*target, name.as_str())).unzip();
            match cluster::refresh(&mut self.client, &names) {
                Ok(()) => self.bulk.set_visible(&targets),
                Err(error) => {
                    let error = format!("{error:?}");
                    log::debug("refreshing failed; it is done again, or by the cluster", &[("error", &error)]);
                }
            }
        }
    }
}

/// What the settings leave open to others on the network, each with its code.
fn warnings(settings: &Settings, client: &Client) -> Vec<(&'static str, &'static str)> {
    let unchecked = "tls_verify = false: the cluster's certificate is not checked, so another machine could take its place and read everything";
    let open = "credentials go to another machine over http://, readable on the way; use https://";
    let all = [
        (!settings.tls_verify, "certificate-unchecked", unchecked),
        (client.shows_credentials(), "credentials-in-the-open", open),
    ];
    all.into_iter().filter(|(is_so, ..)| *is_so).map(|(_, code, message)| (code, message)).collect()
}

impl Sink for OpenSearch {
    fn open(settings: flusso_plugin::Settings) -> Result<Self> {
        let settings: Settings = settings.parse()?;
        settings.check_languages()?;
        let mut client = Client::new(&settings)?;
        for (_, message) in warnings(&settings, &client) {
            log::warn(message, &[]);
        }
        client.within(CALL_LIMIT);
        let version = cluster::version(&mut client)?;
        log::debug("connected", &[("distribution", &version.distribution), ("version", &version.number)]);
        if let Some(pipeline) = &settings.pipeline {
            cluster::check_pipeline(&mut client, pipeline)?;
        }
        let write_aliases = version.can_require_alias();
        let (indexes, bulk) = (Indexes::new(&settings, write_aliases), Bulk::new(&settings, write_aliases));
        Ok(Self { settings, client, indexes, bulk })
    }

    fn ensure_index(&mut self, mapping: Mapping) -> Result<Ensured> {
        let mapping = mapping::with_analysis(mapping, &self.settings);
        self.begin_call();
        self.indexes.ensure(&mut self.client, &mapping, &self.settings)
    }

    fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>> {
        self.begin_call();
        self.indexes.seeded(&mut self.client, target, &self.settings)
    }

    fn mark_seeded(&mut self, target: Target, history: HistoryId) -> Result<()> {
        self.begin_call();
        self.indexes.mark_seeded(&mut self.client, target, &history, &self.settings)?;
        self.indexes.say_left_out(&mut self.client, target);
        Ok(())
    }

    fn mark_unseeded(&mut self, target: Target) -> Result<()> {
        self.begin_call();
        self.indexes.mark_unseeded(&mut self.client, target)
    }

    fn write(&mut self, documents: Vec<Document>) -> Result<()> {
        for document in &documents {
            self.bulk.add(self.indexes.get(document.target)?, document);
        }
        self.begin_call();
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
            let written: Vec<Target> =
                self.not_visible(|one| one.seeded).into_iter().map(|(target, _)| target).collect();
            self.refresh();
            self.indexes.say_left_out_again(&mut self.client, &written);
            self.indexes.sweep(&mut self.client);
        }
        let refusing: Vec<Target> = rejected.iter().map(|one| one.target).collect();
        self.indexes.verify(&mut self.client, &refusing)?;
        self.indexes.look_around(&mut self.client)?;
        let visible = self.not_visible(|one| one.seeded).is_empty();
        Ok(Report { rejected, visible, extra: None })
    }

    fn begin_rebuild(&mut self, mapping: Mapping, resume: bool) -> Result<Target> {
        let mapping = mapping::with_analysis(mapping, &self.settings);
        self.begin_call();
        self.indexes.begin(&mut self.client, &mapping, resume, &self.settings)
    }

    fn promote(&mut self, target: Target) -> Result<()> {
        self.begin_call();
        self.indexes.promote(&mut self.client, target, &self.settings)
    }

    fn abandon(&mut self, target: Target) -> Result<()> {
        self.begin_call();
        self.indexes.abandon(&mut self.client, target)
    }
}

flusso_plugin::plugin! { manifest: include_str!("../manifest.json"), sink: OpenSearch, sink_diagnosis: OpenSearch, inventory: OpenSearch, search: OpenSearch }
