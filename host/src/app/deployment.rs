//! What is run: every plugin in its role, compiled, and how it is opened.

use std::path::PathBuf;
use std::sync::Arc;

use super::plugins::{Plugins, requests};
use super::{AppError, Folders, builder_code};
use crate::config::{Assigned, Config, PluginUse, Sink};
use crate::engine::{self, Connected, Observer, Options, stage};
use crate::plugin::capability::Access;
use crate::plugin::links::LinkTable;
use crate::plugin::locate::LocateError;
use crate::plugin::manifest::Role;
use crate::plugin::state::{LateScope, StateFolder};
use crate::plugin::supply::{Lock, Locked};
use crate::plugin::wasm::{GuestBuilder, GuestSink, GuestSource, Plugin, Runtime, TrackedBuilder};
use crate::stdout::Stdout;

/// What to run: every plugin in its role, compiled.
#[derive(Clone)]
pub(super) struct Deployment {
    pub(super) plugins: Plugins,
    pub(super) runtime: Arc<Runtime>,
    pub(super) assigned: Assigned,
    /// What the source keeps, once its folder is known.
    pub(super) remembered: LateScope,
    /// The link table of the builder that was opened last.
    pub(super) links: LinkTable,
}

/// What the engine writes to, and the plugins among it with their names.
pub(super) type Sinks = (Vec<Arc<dyn stage::Sink>>, Vec<(String, Plugin)>);

/// What comes of reading a plugin again.
pub(super) enum Reload {
    /// A deployment with what the file is now.
    Ready(Box<Deployment>, Exchange),
    /// The file is what runs.
    Unchanged(Locked),
}

/// What a plugin was, and what it is now.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) before: Locked,
    pub(super) after: Locked,
}

impl Deployment {
    pub(super) async fn prepare(config: &Config, folders: &Folders) -> Result<Self, AppError> {
        let lock = Lock::read(config.path.as_deref(), folders.locked)?;
        let plugins = Plugins::new(folders, lock);
        let cache = folders.cache.clone().or_else(crate::plugin::wasm::default_cache);
        Self::of(config, plugins, || Ok(Arc::new(Runtime::new(cache.as_deref())?)))
    }

    /// Gives plugins their roles. The runtime is made once they are known to have them.
    fn of(
        config: &Config,
        mut plugins: Plugins,
        runtime: impl FnOnce() -> Result<Arc<Runtime>, AppError>,
    ) -> Result<Self, AppError> {
        let assigned = config.assign_roles(|plugin| plugins.look(plugin))?;
        plugins.require(&assigned.source, Role::Source, "source")?;
        let builds = plugins.require_builder(assigned.builder.as_ref().unwrap_or(&assigned.source));
        match builds {
            Err(AppError::Locate(LocateError::NoName { searched, .. })) if assigned.is_builder_default => {
                let source = plugins.check(&assigned.source)?.manifest().name.clone();
                return Err(AppError::NoBuilder { source_name: source, searched });
            }
            builds => builds?,
        }
        for sink in &assigned.sinks {
            if let Sink::Plugin(plugin) = sink {
                plugins.require(plugin, Role::Sink, "sink")?;
            }
        }
        let runtime = runtime()?;
        let (remembered, links) = (LateScope::default(), LinkTable::default());
        Ok(Self { plugins, runtime, assigned, remembered, links })
    }

    /// The name and the file of every plugin, each once.
    pub(super) fn files(&self) -> Vec<(String, PathBuf)> {
        let checked = self.assigned.plugins().filter_map(|plugin| self.plugins.known(plugin));
        let mut files: Vec<_> =
            checked.map(|checked| (checked.manifest().name.clone(), checked.path().to_path_buf())).collect();
        files.sort();
        files.dedup();
        files
    }

    /// The same deployment with one plugin as its file is now: compiled, and proven to be what it says.
    pub(super) async fn reloaded(&self, config: &Config, folders: &Folders, name: &str) -> Result<Reload, AppError> {
        let is_meant = |plugin: &&PluginUse| {
            let known = self.plugins.known(plugin).is_some_and(|checked| checked.manifest().name == name);
            known || plugin.instance == name
        };
        let meant: Vec<PluginUse> = self.assigned.plugins().filter(is_meant).cloned().collect();
        let Some(before) = meant.first().and_then(|plugin| self.plugins.known(plugin)).map(Locked::of) else {
            let known = self.files().into_iter().map(|(name, _)| name).collect();
            return Err(AppError::NotUsed { name: name.to_owned(), known });
        };
        let lock = Lock::read(config.path.as_deref(), folders.locked)?;
        let mut plugins = self.plugins.reading_again(&meant, lock);
        for plugin in &meant {
            let checked = plugins.check(plugin)?;
            let (path, now) = (checked.path().to_path_buf(), checked.manifest().name.clone());
            if now != before.name {
                return Err(AppError::OtherPlugin { path, before: before.name, now });
            }
        }
        let mut new = Self::of(config, plugins, || Ok(Arc::clone(&self.runtime)))?;
        let digest = |of: &Self, plugin| of.plugins.known(plugin).map(|checked| checked.digest().clone());
        if meant.iter().all(|plugin| digest(self, plugin) == digest(&new, plugin)) {
            return Ok(Reload::Unchanged(before));
        }
        for plugin in &meant {
            let prepared = new.plugins.prepare(&new.runtime, plugin).await?;
            new.plugins.plugin(prepared, plugin, LateScope::default())?.prove().await?;
        }
        match meant.first().and_then(|plugin| new.plugins.known(plugin)).map(Locked::of) {
            Some(after) => Ok(Reload::Ready(Box::new(new), Exchange { before, after })),
            None => Ok(Reload::Unchanged(before)),
        }
    }

    /// Opens source and builder.
    pub(super) async fn connect(
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
    pub(super) fn remember_in(&mut self, state: &StateFolder) -> Result<(), AppError> {
        let source = self.assigned.source.clone();
        let name = self.plugins.check(&source)?.manifest().name.clone();
        self.remembered.set(state.plugin(&name, &source.instance, source.limits.state.0));
        Ok(())
    }

    /// Says what was found about the settings of plugins, once a run.
    pub(super) fn say_notes(&mut self) {
        for note in self.plugins.notes() {
            tracing::warn!("{}", note.text);
        }
    }

    /// Says which documents stay as an earlier build of a tracked builder made them.
    pub(super) fn note_code(&mut self, state: &StateFolder, description: &stage::Description) -> Result<(), AppError> {
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

    /// The sinks, and those of them that are plugins once more by their names, for searches.
    pub(super) async fn sinks(&mut self, state: &StateFolder) -> Result<Sinks, AppError> {
        self.check_folders()?;
        let (mut sinks, mut plugins): Sinks = (Vec::new(), Vec::new());
        for sink in self.assigned.sinks.clone() {
            sinks.push(match sink {
                Sink::Stdout { name, pretty } => Arc::new(Stdout::new(name, Arc::new(state.host()), pretty)),
                Sink::Plugin(plugin) => {
                    let prepared = self.plugins.prepare(&self.runtime, &plugin).await?;
                    let scope = state.plugin(&prepared.manifest().name, &plugin.instance, plugin.limits.state.0);
                    let used = self.plugins.plugin(prepared, &plugin, scope.into())?;
                    plugins.push((plugin.instance, used.clone()));
                    Arc::new(GuestSink::new(used))
                }
            });
        }
        Ok((sinks, plugins))
    }
}

/// The stage that builds, by what the plugin can do.
pub(super) fn opened_builder(
    builder: Plugin,
    source: Plugin,
    config: &Config,
    instances: usize,
) -> Arc<dyn stage::Builder> {
    match builder.manifest().has(Role::Builder) {
        true => Arc::new(GuestBuilder::new(builder, Some(source), requests(config), instances)),
        false => Arc::new(TrackedBuilder::new(builder, source, requests(config), instances)),
    }
}
