//! What the tasks of one run have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

use crate::engine::error::EngineError;
use crate::engine::observer::Observer;
use crate::engine::options::{OnError, Options};
use crate::engine::durability::visible_watermark::Reached;
use crate::engine::stage::{Mutation, State};
use crate::model::{IndexNumber, Mapping, Version};

/// What the tasks of one run have in common.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) state: Arc<dyn State>,
    /// As the sinks see them: with the deployment's prefix.
    pub(crate) mappings: Vec<Mapping>,
    /// The indexes' own names, without it.
    pub(crate) names: Vec<String>,
    /// The highest version that was polled. A build that starts now reads nothing older, so its documents carry it.
    version: AtomicU64,
    /// The current opening of the source.
    epoch: AtomicU64,
    /// Whether more is known to be waiting behind what was emitted last.
    pub(crate) backlog: AtomicBool,
    /// How far the run is, for whoever waits for a change.
    pub(crate) reached: watch::Sender<Reached>,
    /// Grows when somebody wishes to find what is durable.
    pub(crate) wish: Arc<watch::Sender<u64>>,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        observer: Arc<dyn Observer>,
        state: Arc<dyn State>,
        mappings: Vec<Mapping>,
        version: Version,
    ) -> Self {
        let names = mappings.iter().map(|mapping| mapping.index.clone()).collect();
        let mappings = mappings.iter().map(|mapping| options.at_sinks(mapping)).collect();
        Self {
            options,
            observer,
            state,
            mappings,
            names,
            version: AtomicU64::new(version),
            epoch: AtomicU64::new(0),
            backlog: AtomicBool::new(false),
            reached: watch::channel(Reached::default()).0,
            wish: Arc::new(watch::channel(0).0),
        }
    }

    /// The name of an index, for messages; the engine has checked its number.
    pub(crate) fn name(&self, index: IndexNumber) -> &str {
        self.names.get(index as usize).map_or("?", String::as_str)
    }

    pub(crate) fn policy(&self, index: IndexNumber) -> OnError {
        self.options.policy(self.name(index))
    }

    /// The version that documents built from now on carry.
    pub(crate) fn version(&self) -> Version {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn polled(&self, version: Version) {
        self.version.fetch_max(version, Ordering::AcqRel);
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A new opening of the source: what is queued from the one before is void.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(crate) async fn remember(&self, mutations: Vec<Mutation>) -> Result<(), EngineError> {
        if mutations.is_empty() {
            return Ok(());
        }
        self.state.apply(mutations).await.map_err(EngineError::State)
    }
}
