//! Where the documents of a run go, and how they are read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::index::Indexes;
use super::{Builder, Options, Sink};
use crate::search::{Proxy, Search, Trouble};

/// What goes wrong with a cluster while it is written to, of a thousand; and while the rest of it drains, which would take
/// long otherwise.
const TROUBLE: Trouble = Trouble { busy: 100, away: 10, lost: 10, late: 1 };
const REST: Trouble = Trouble { busy: 2, away: 0, lost: 0, late: 0 };

/// The place.
pub(super) struct Place {
    builder: Builder,
    lines: Arc<Indexes>,
    cluster: Option<Cluster>,
}

struct Cluster {
    search: Search,
    proxy: Proxy,
    prefix: String,
}

impl Place {
    pub(super) fn open(options: &Options, lines: &Arc<Indexes>) -> Self {
        let cluster = (options.sink == Sink::OpenSearch).then(|| {
            let search = Search::shared();
            let proxy = Proxy::before(search.address(), options.seed);
            Cluster { search, proxy, prefix: format!("world_{}_{}_", options.seed, std::process::id()) }
        });
        Self { builder: options.builder, lines: Arc::clone(lines), cluster }
    }

    /// The first lines of `flusso.toml`.
    pub(super) fn prefix(&self) -> String {
        self.cluster.as_ref().map(|one| format!("prefix = \"{}\"\n", one.prefix)).unwrap_or_default()
    }

    /// Its table in `flusso.toml`.
    pub(super) fn sink(&self) -> String {
        let table = |one: &Cluster| {
            format!(
                "[sinks.search]\nplugin = \"opensearch\"\nurl = \"{}\"\nnumber_of_replicas = 0\nkeep_replaced_secs = 0\nmeta_index = \"{}flusso_meta\"\n",
                one.proxy.url(),
                one.prefix
            )
        };
        self.cluster.as_ref().map(table).unwrap_or_default()
    }

    /// Whether the cluster is in much trouble from here on.
    pub(super) fn trouble(&self, is: bool) {
        if let Some(one) = &self.cluster {
            one.proxy.make(if is { TROUBLE } else { REST });
        }
    }

    /// What went wrong so far, by kind.
    pub(super) fn troubles(&self) -> BTreeMap<&'static str, u64> {
        self.cluster.as_ref().map(|one| one.proxy.counts()).unwrap_or_default()
    }

    /// A number that grows while anything is written.
    pub(super) fn progress(&self) -> u64 {
        self.cluster.as_ref().map_or_else(|| self.lines.lock().lines, |one| one.proxy.requests())
    }

    /// A line that is none.
    pub(super) fn nonsense(&self) -> Option<String> {
        self.lines.lock().nonsense.first().cloned()
    }

    /// Waits until a document is there; false if it does not come.
    pub(super) fn wait_for(&self, index: &str, id: &str, patience: Duration) -> bool {
        let Some(one) = &self.cluster else { return self.lines.wait_for(index, id, patience) };
        let end = Instant::now() + patience;
        loop {
            if one.search.document(&format!("{}{index}", one.prefix), id).is_some() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All documents as they are now.
    pub(super) fn read(&self) -> Arc<Indexes> {
        let Some(one) = &self.cluster else { return Arc::clone(&self.lines) };
        let read = Indexes::default();
        for index in self.builder.indexes() {
            let found = one.search.documents(&format!("{}{}", one.prefix, index.name));
            for (id, body) in found.unwrap_or_default() {
                read.put(index.name, id, body);
            }
        }
        Arc::new(read)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.search.clean(&self.prefix);
    }
}
