//! The composition root: configuration in, running engine out. The only place that names plugins and the engine together;
//! nobody reads configuration after it.

mod builder_code;
mod check;
mod error;
pub mod open_files;
mod plugins;
mod remote;
mod stored_indexes;
mod variables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use crate::plugin::finding::{Finding, Level, UNREACHABLE};
pub use check::check;
pub use error::AppError;
pub use remote::{Asked, IndexProgress, index_progress, reindex};
pub use stored_indexes::{ListedIndex, SinkIndexes, remove, stored_indexes};

use crate::config::{Assigned, Config, OnError, OnHistoryLoss, Sink};
use crate::engine::stage;
use crate::engine::{self, Connected, EngineError, Finished, Observer, Options, Reseed};
use crate::limits;
use crate::plugin::capability::Access;
use crate::plugin::links::LinkTable;
use crate::plugin::locate::Places;
use crate::plugin::manifest::Role;
use crate::plugin::state::{LateScope, StateFolder};
use crate::plugin::supply::{Lock, Locked};
use crate::plugin::wasm::{GuestBuilder, GuestSink, GuestSource, Plugin, Runtime, TrackedBuilder};
use crate::server::Server;
use crate::stdout::Stdout;
use plugins::{Plugins, requests};

/// Where a state folder stands beside a configuration file.
const BESIDE_CONFIG: &str = ".flusso-host";

/// Where things are on this machine.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// Searched for plugins before the usual ones.
    pub plugins: Vec<PathBuf>,
    /// Compiled plugins; none: the user's cache folder.
    pub cache: Option<PathBuf>,
    /// Progress; none: beside the configuration file, or without one in the user's data folder by source identity.
    pub state: Option<PathBuf>,
    /// Whether every plugin has to be in the lock file.
    pub locked: bool,
}

/// What a run is asked for, beside the configuration.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Follow to where the source is now, then end.
    pub once: bool,
    /// How long source or sink may be away.
    pub timeout: Option<Duration>,
    /// Seed again what is seeded.
    pub reseed: Reseed,
    /// Go straight to the live changes.
    pub skip_backfill: bool,
    /// How long a stop may take.
    pub drain: Duration,
}

impl RunOptions {
    /// Connect and look, and change nothing.
    fn looking(timeout: Option<Duration>) -> Self {
        Self { once: true, timeout, reseed: Reseed::Nothing, skip_backfill: true, drain: Duration::ZERO }
    }
}

/// What to run: every plugin in its role, compiled.
struct Deployment {
    plugins: Plugins,
    runtime: Runtime,
    assigned: Assigned,
    /// What the source keeps, once its folder is known.
    remembered: LateScope,
    /// The link table of the builder that was opened last.
    links: LinkTable,
}

/// Runs until it is done, asked to stop, or cannot go on.
///
/// # Errors
///
/// Why it could not start or go on. Nothing is lost: what was not confirmed comes again at the next start.
pub async fn run(
    config: Config,
    folders: &Folders,
    run: RunOptions,
    observer: Arc<dyn Observer>,
    asked: watch::Receiver<bool>,
) -> Result<Finished, AppError> {
    let options = options(&config, run);
    let mut deployment = Deployment::prepare(&config, folders).await?;
    let mut again = Again::default();
    // Held over all rounds, so that no other host comes in between.
    let mut held: Option<(PathBuf, StateFolder)> = None;
    let (control, registry) = engine::control();
    let mut served: Option<(PathBuf, Server)> = None;
    loop {
        let mut shutdown = engine::Shutdown::from(asked.clone());
        let connected = tokio::select! {
            connected = deployment.connect(&config, Arc::clone(&observer), options.clone()) => connected,
            // Nothing is in flight yet.
            () = shutdown.asked() => return Ok(Finished::Drained),
        };
        // Also before an error, which they may explain.
        deployment.say_notes();
        let connected = connected?;
        let folder = state_folder(&config, folders, connected.identity())?;
        let state = match held.take() {
            Some((same, state)) if same == folder => state,
            _ => StateFolder::open(&folder)?,
        };
        if !options.once && served.as_ref().is_none_or(|(same, _)| *same != folder) {
            // The one before frees its addresses first.
            drop(served.take());
            served = Some((folder.clone(), remote::serve(&config, &folder, &control).await?));
        }
        deployment.remember_in(&state)?;
        deployment.note_code(&state, connected.description())?;
        let sinks = deployment.sinks(&state).await;
        deployment.say_notes();
        let sinks = sinks?;
        let limit = deployment.assigned.builder.as_ref().unwrap_or(&deployment.assigned.source).limits.links.0;
        let links = state.links(&deployment.links, limit)?;
        let round = Instant::now();
        let ended = connected.run(sinks, Arc::new(state.engine(&links)), shutdown, &registry).await;
        held = Some((folder, state));
        match ended {
            Ok(finished) => return Ok(finished),
            Err(error) => {
                let Some(wait) = again.after(&error, round.elapsed(), &options) else { return Err(error.into()) };
                tracing::warn!("the run begins again: {error}");
                let mut shutdown = engine::Shutdown::from(asked.clone());
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = shutdown.asked() => return Ok(Finished::Drained),
                }
            }
        }
    }
}

/// When a run that ended begins again by itself.
#[derive(Default)]
struct Again {
    in_a_row: u32,
}

impl Again {
    /// The wait before the next run; `None`: the program ends. Tables that are altered one after the other are no fault: each
    /// run is waited for a little longer, and none is the last. A history that is lost again and again is one.
    fn after(&mut self, error: &EngineError, lasted: Duration, options: &Options) -> Option<Duration> {
        self.in_a_row = if lasted >= limits::program::HEALTHY_RUN { 1 } else { self.in_a_row.saturating_add(1) };
        let doublings = self.in_a_row.saturating_sub(1).min(16);
        let wait = (limits::engine::RETRY_FIRST * (1 << doublings)).min(limits::engine::RETRY_LONGEST);
        match error {
            EngineError::RestartRequired { .. } => Some(wait),
            EngineError::HistoryLost { .. } if options.on_history_loss == engine::OnHistoryLoss::Reseed => {
                (self.in_a_row <= limits::program::RESTARTS).then_some(wait)
            }
            _ => None,
        }
    }
}

/// Removes what the source keeps for this host, and the host's state. Says what was removed, a line each.
///
/// # Errors
///
/// Why not.
pub async fn discard(
    config: Config,
    folders: &Folders,
    timeout: Option<Duration>,
    observer: Arc<dyn Observer>,
) -> Result<Vec<String>, AppError> {
    let run = RunOptions::looking(timeout);
    let options = options(&config, run);
    let mut deployment = Deployment::prepare(&config, folders).await?;
    let connected = deployment.connect(&config, observer, options).await?;
    let folder = state_folder(&config, folders, connected.identity())?;
    // Held while the slot is removed, so that no other host starts in between.
    let held = if folder.exists() { Some(StateFolder::open(&folder)?) } else { None };
    let mut removed = connected.discard().await?;
    drop(held);
    if StateFolder::remove(&folder).map_err(|source| AppError::Remove { folder: folder.clone(), source })? {
        removed.push(format!("the state in {}", folder.display()));
    }
    Ok(removed)
}

/// Writes the digest of every plugin of a deployment into its lock file; returns the file and what is in it.
///
/// # Errors
///
/// When a plugin cannot be found, or the file not be written.
pub fn lock(config: &Config, folders: &Folders) -> Result<(PathBuf, Vec<Locked>), AppError> {
    let mut plugins = Plugins::locking(Places::new(&folders.plugins), Lock::anew(config.path.as_deref()));
    let assigned = config.assign_roles(|plugin| plugins.look(plugin))?;
    let sinks = assigned.sinks.iter().filter_map(|sink| match sink {
        Sink::Plugin(plugin) => Some(plugin),
        Sink::Stdout { .. } => None,
    });
    for plugin in std::iter::once(&assigned.source).chain(&assigned.builder).chain(sinks) {
        plugins.check(plugin)?;
    }
    let (lock, locked) = plugins.locked();
    Ok((lock.path().to_path_buf(), lock.write(locked)?))
}

impl Deployment {
    async fn prepare(config: &Config, folders: &Folders) -> Result<Self, AppError> {
        let lock = Lock::read(config.path.as_deref(), folders.locked)?;
        let mut plugins = Plugins::new(Places::new(&folders.plugins), lock);
        let assigned = config.assign_roles(|plugin| plugins.look(plugin))?;
        plugins.require(&assigned.source, Role::Source, "source")?;
        plugins.require_builder(assigned.builder.as_ref().unwrap_or(&assigned.source))?;
        for sink in &assigned.sinks {
            if let Sink::Plugin(plugin) = sink {
                plugins.require(plugin, Role::Sink, "sink")?;
            }
        }
        let cache = folders.cache.clone().or_else(crate::plugin::wasm::default_cache);
        let runtime = Runtime::new(cache.as_deref())?;
        let (remembered, links) = (LateScope::default(), LinkTable::default());
        Ok(Self { plugins, runtime, assigned, remembered, links })
    }

    /// Opens source and builder.
    async fn connect(
        &mut self,
        config: &Config,
        observer: Arc<dyn Observer>,
        options: Options,
    ) -> Result<Connected, AppError> {
        let source = self.assigned.source.clone();
        let prepared = self.plugins.prepare(&self.runtime, &source).await?;
        // Another opening may be of another database, with another folder.
        self.remembered = LateScope::default();
        self.links = LinkTable::default();
        let (remembered, links) = (self.remembered.clone(), self.links.clone());
        let (source, builder) = match self.assigned.builder.clone() {
            Some(builder) => {
                let source = self.plugins.plugin(prepared, &source, remembered)?;
                let prepared = self.plugins.prepare(&self.runtime, &builder).await?;
                (source, self.plugins.builder(prepared, &builder, LateScope::default(), links)?)
            }
            None => {
                let both = self.plugins.builder(prepared, &source, remembered, links)?;
                (both.clone(), both)
            }
        };
        let builder = opened_builder(builder, source.clone(), config, config.builder_instances);
        Ok(engine::connect(Arc::new(GuestSource::new(source)), builder, observer, options).await?)
    }

    /// From now on the source keeps what it has to remember in this folder.
    fn remember_in(&mut self, state: &StateFolder) -> Result<(), AppError> {
        let source = self.assigned.source.clone();
        let name = self.plugins.check(&source)?.manifest().name.clone();
        self.remembered.set(state.plugin(&name, &source.instance, source.limits.state.0));
        Ok(())
    }

    /// Says what was found about the settings of plugins, once a run.
    fn say_notes(&mut self) {
        for note in self.plugins.notes() {
            tracing::warn!("{}", note.text);
        }
    }

    /// Says which documents stay as an earlier build of a tracked builder made them.
    fn note_code(&mut self, state: &StateFolder, description: &stage::Description) -> Result<(), AppError> {
        let Some(builder) = self.assigned.builder.clone() else { return Ok(()) };
        let checked = self.plugins.check(&builder)?;
        if !checked.manifest().has(Role::TrackedBuilder) {
            return Ok(());
        }
        let (plugin, code) = (checked.manifest().name.clone(), checked.digest().to_string());
        let stay = builder_code::note(&state.host(), code, description)?;
        if !stay.is_empty() {
            tracing::info!(
                plugin,
                indexes = stay.join(", "),
                "the builder is another file than at the last start and says that its documents are the same: those that are there stay as \
                 they were built; if its logic changed, raise its `version`, or run `flusso-host reindex`"
            );
        }
        Ok(())
    }

    /// No two sinks write into one folder: each would cut and append behind the other's back.
    fn check_folders(&mut self) -> Result<(), AppError> {
        let mut taken: Vec<(PathBuf, String)> = Vec::new();
        for sink in &self.assigned.sinks {
            let Sink::Plugin(plugin) = sink else { continue };
            for (path, access) in self.plugins.setup(plugin, LateScope::default())?.grants.folders() {
                if access != Access::Write {
                    continue;
                }
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
                let path = path.canonicalize().unwrap_or(path);
                if let Some((_, first)) = taken.iter().find(|(other, _)| *other == path) {
                    let (first, second) = (first.clone(), plugin.instance.clone());
                    return Err(AppError::SharedFolder { first, second, path });
                }
                taken.push((path, plugin.instance.clone()));
            }
        }
        Ok(())
    }

    async fn sinks(&mut self, state: &StateFolder) -> Result<Vec<Arc<dyn stage::Sink>>, AppError> {
        self.check_folders()?;
        let mut sinks: Vec<Arc<dyn stage::Sink>> = Vec::new();
        for sink in self.assigned.sinks.clone() {
            sinks.push(match sink {
                Sink::Stdout { name, pretty } => Arc::new(Stdout::new(name, Arc::new(state.host()), pretty)),
                Sink::Plugin(plugin) => {
                    let prepared = self.plugins.prepare(&self.runtime, &plugin).await?;
                    let scope = state.plugin(&prepared.manifest().name, &plugin.instance, plugin.limits.state.0);
                    Arc::new(GuestSink::new(self.plugins.plugin(prepared, &plugin, scope.into())?))
                }
            });
        }
        Ok(sinks)
    }
}

/// The stage that builds, by what the plugin can do.
fn opened_builder(builder: Plugin, source: Plugin, config: &Config, instances: usize) -> Arc<dyn stage::Builder> {
    match builder.manifest().has(Role::Builder) {
        true => Arc::new(GuestBuilder::new(builder, Some(source), requests(config), instances)),
        false => Arc::new(TrackedBuilder::new(builder, source, instances)),
    }
}

fn options(config: &Config, run: RunOptions) -> Options {
    let policy = |on_error| match on_error {
        OnError::Stop => engine::OnError::Stop,
        OnError::Skip => engine::OnError::Skip,
    };
    Options {
        prefix: config.prefix.clone(),
        max_changes: config.batch.max_changes as usize,
        max_delay: config.batch.max_delay.0,
        backfill_documents: config.batch.backfill_documents,
        on_error: policy(config.on_error),
        on_error_by_index: config.indexes.iter().map(|index| (index.name.clone(), policy(index.on_error))).collect(),
        timeout: run.timeout,
        drain: run.drain,
        skip_backfill: run.skip_backfill,
        reseed: run.reseed,
        on_history_loss: match config.on_history_loss {
            OnHistoryLoss::Stop => engine::OnHistoryLoss::Stop,
            OnHistoryLoss::Reseed => engine::OnHistoryLoss::Reseed,
        },
        once: run.once,
        ..Options::default()
    }
}

/// Where progress is remembered. Beside a configuration file it is the file's own, whatever database the file names, so
/// that another database behind the same address is noticed.
fn state_folder(config: &Config, folders: &Folders, identity: &str) -> Result<PathBuf, AppError> {
    if let Some(folder) = &folders.state {
        return Ok(folder.clone());
    }
    if let Some(file) = &config.path {
        return Ok(file.parent().unwrap_or(Path::new("")).join(BESIDE_CONFIG));
    }
    let data = dirs::data_dir().ok_or(AppError::NoStateFolder)?;
    Ok(data.join("flusso-host").join("state").join(identity))
}
