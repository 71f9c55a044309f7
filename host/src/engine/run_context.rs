//! What all tasks of one run share: its options, its observer, its state and its indexes, and the counters by which the tasks
//! see each other's progress. Everything that is constant in a run travels here and nowhere else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

use crate::engine::durability::visible_watermark::Watermarks;
use crate::engine::error::{EngineError, StageError};
use crate::engine::observer::{Observation, Observer};
use crate::engine::options::{OnError, Options};
use crate::engine::retry::Retry;
use crate::engine::stage::{Description, Mutation, Sink, State};
use crate::model::{IndexNumber, Mapping, TableNumber, Version};

/// What all tasks of one run share.
pub(crate) struct RunContext {
    pub(crate) options: Options,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) state: Arc<dyn State>,
    /// By index number, as the sinks see them: with the deployment's prefix.
    pub(crate) mappings: Vec<Mapping>,
    /// By index number, the indexes' own names: without the prefix.
    pub(crate) index_names: Vec<String>,
    /// The root table of each index.
    roots: HashMap<IndexNumber, TableNumber>,
    /// By sink number.
    pub(crate) sink_names: Vec<String>,
    /// The highest version that was polled. A build that starts now reads nothing older, so its documents carry it.
    version: AtomicU64,
    /// The current opening of the source.
    epoch: AtomicU64,
    /// Whether more work is known to be waiting behind the entry that was emitted last.
    pub(crate) backlog: AtomicBool,
    /// How far the run is; `/wait` and `status` read it.
    pub(crate) watermarks: watch::Sender<Watermarks>,
    /// Counts requests to make durable writes visible to searches now.
    pub(crate) refresh_requests: Arc<watch::Sender<u64>>,
}

impl RunContext {
    pub(crate) fn new(
        options: Options,
        observer: Arc<dyn Observer>,
        state: Arc<dyn State>,
        description: &Description,
        sinks: &[Arc<dyn Sink>],
    ) -> Self {
        let index_names = description.mappings.iter().map(|mapping| mapping.index.clone()).collect();
        let mappings = description.mappings.iter().map(|mapping| options.at_sinks(mapping)).collect();
        let roots = description.scopes.iter().map(|scope| (scope.index, scope.root)).collect();
        let sink_names = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        Self {
            options,
            observer,
            state,
            mappings,
            index_names,
            roots,
            sink_names,
            version: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            backlog: AtomicBool::new(false),
            watermarks: watch::channel(Watermarks::default()).0,
            refresh_requests: Arc::new(watch::channel(0).0),
        }
    }

    /// The numbers of all indexes.
    pub(crate) fn index_numbers(&self) -> impl Iterator<Item = IndexNumber> + use<> {
        (0..self.mappings.len()).filter_map(|at| IndexNumber::try_from(at).ok())
    }

    /// Every index: its number, its own name, and its mapping as the sinks see it.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = (IndexNumber, &str, &Mapping)> {
        let named = self.index_names.iter().map(String::as_str).zip(&self.mappings);
        self.index_numbers().zip(named).map(|(number, (name, mapping))| (number, name, mapping))
    }

    /// The mapping of an index, as the sinks see it.
    ///
    /// # Errors
    ///
    /// A number that no index has, which is a fault of the engine: what a builder answers is checked before.
    pub(crate) fn mapping(&self, index: IndexNumber) -> Result<&Mapping, EngineError> {
        self.mappings.get(index as usize).ok_or_else(|| unknown(index))
    }

    /// The root table of an index.
    ///
    /// # Errors
    ///
    /// As for [`RunContext::mapping`].
    pub(crate) fn root(&self, index: IndexNumber) -> Result<TableNumber, EngineError> {
        self.roots.get(&index).copied().ok_or_else(|| unknown(index))
    }

    /// The name of an index, for messages and keys of the state; its number was checked where it came from the builder.
    pub(crate) fn name(&self, index: IndexNumber) -> &str {
        self.index_names.get(index as usize).map_or("?", String::as_str)
    }

    /// What a rejected document of an index does to the run.
    pub(crate) fn on_error(&self, index: IndexNumber) -> OnError {
        self.options.on_error_of(self.name(index))
    }

    /// The version that documents built from now on carry.
    pub(crate) fn version(&self) -> Version {
        self.version.load(Ordering::Acquire)
    }

    /// Everything up to this version was polled.
    pub(crate) fn advance_version(&self, version: Version) {
        self.version.fetch_max(version, Ordering::AcqRel);
    }

    /// The current opening of the source.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Begins a new opening of the source: what is queued from the one before is void.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The failures of one stage, named in messages as given.
    pub(crate) fn retry(&self, stage: impl Into<String>) -> Retry<'_> {
        Retry::new(stage, &self.options, &*self.observer)
    }

    pub(crate) fn observe(&self, observation: Observation<'_>) {
        self.observer.observe(observation);
    }

    /// Applies mutations to the host's state; durable when this returns. No mutations cost nothing.
    pub(crate) async fn store(&self, mutations: Vec<Mutation>) -> Result<(), EngineError> {
        if mutations.is_empty() {
            return Ok(());
        }
        self.state.apply(mutations).await.map_err(EngineError::State)
    }
}

fn unknown(index: IndexNumber) -> EngineError {
    EngineError::stage("engine", StageError::Fatal(format!("the engine names index {index}, which does not exist")))
}
