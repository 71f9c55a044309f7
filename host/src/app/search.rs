//! Searching what a sink holds, also while no host is running.

use super::plugins::Plugins;
use super::{AppError, Folders};
use crate::config::{Config, PluginUse, Sink};
use crate::engine::EngineError;
use crate::plugin::found::Found;
use crate::plugin::manifest::Role;
use crate::plugin::state::LateScope;
use crate::plugin::supply::Lock;
use crate::plugin::wasm::{self, Runtime};

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Search {
    /// The index, without the prefix.
    pub index: String,
    /// The query, in the sink's language.
    pub query: String,
    /// The most documents.
    pub limit: u32,
    /// How many of the best are left out.
    pub offset: u32,
    /// The sink; none: the first that can be searched.
    pub sink: Option<String>,
}

/// Searches. Nothing is needed but the sink: neither a source nor a host that runs.
///
/// # Errors
///
/// When no sink can be searched, or the one that can says no.
pub async fn search(config: &Config, folders: &Folders, wanted: &Search) -> Result<Found, AppError> {
    let mut plugins = Plugins::new(folders, Lock::read(config.path.as_deref(), folders.locked)?);
    let cache = folders.cache.clone().or_else(wasm::default_cache);
    let runtime = Runtime::new(cache.as_deref())?;
    let of_table = |sink: &Sink| match sink {
        Sink::Plugin(used) => Some(used.clone()),
        Sink::Stdout { .. } => None,
    };
    let used: Vec<PluginUse> = config.sinks.iter().filter_map(of_table).chain(config.flags.iter().cloned()).collect();
    let mut names = Vec::new();
    for mut used in used {
        let manifest = plugins.check(&used)?.manifest().clone();
        if used.instance.is_empty() {
            // One of a flag.
            used.instance.clone_from(&manifest.name);
        }
        let name = used.instance.clone();
        if !manifest.has(Role::Sink) || wanted.sink.as_ref().is_some_and(|sink| *sink != name) {
            continue;
        }
        let prepared = plugins.prepare(&runtime, &used).await?;
        let plugin = plugins.plugin(prepared, &used, LateScope::default())?;
        let index = format!("{}{}", config.prefix, wanted.index);
        let found = wasm::search(&plugin, &index, &wanted.query, wanted.limit, wanted.offset).await;
        if let Some(found) = found.map_err(|error| EngineError::stage(format!("sink {name:?}"), error))? {
            return Ok(found);
        }
        names.push(name);
    }
    Err(AppError::NotSearchable { names })
}
