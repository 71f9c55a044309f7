//! What the sinks of a deployment hold, also while no host is running.

use std::time::{Duration, Instant};

use super::remote::index_progress;
use super::{AppError, Deployment, Folders};
use crate::config::{Config, PluginUse, Sink};
use crate::engine::{EngineError, StageError};
use crate::plugin::state::LateScope;
use crate::plugin::stored_index::StoredIndex;
use crate::plugin::wasm::{self, Plugin};

/// An index that a sink holds, and whether the configuration still names its index.
#[derive(Debug, Clone)]
pub struct ListedIndex {
    /// What it is.
    pub stored: StoredIndex,
    /// Whether the configuration has this index, where it lists its indexes.
    pub configured: Option<bool>,
}

/// What one sink holds.
#[derive(Debug, Clone)]
pub struct SinkIndexes {
    /// The sink's name.
    pub sink: String,
    /// All of it; none: the sink cannot say.
    pub indexes: Option<Vec<ListedIndex>>,
}

/// What every sink holds for this deployment.
///
/// # Errors
///
/// When one could not be asked.
pub async fn stored_indexes(config: &Config, folders: &Folders) -> Result<Vec<SinkIndexes>, AppError> {
    let mut deployment = Deployment::prepare(config, folders).await?;
    let mut all = Vec::new();
    for sink in deployment.assigned.sinks.clone() {
        let name = sink.name().to_owned();
        let held = match &sink {
            Sink::Stdout { .. } => None,
            Sink::Plugin(used) => of(&mut deployment, used, &config.prefix).await?,
        };
        let held = held.map(|held| held.into_iter().map(|stored| known(config, stored)).collect());
        all.push(SinkIndexes { sink: name, indexes: held });
    }
    Ok(all)
}

/// Removes something that a sink holds. Returns the sink.
///
/// # Errors
///
/// When there is no such thing, it is needed, or the sink could not.
pub async fn remove(
    config: &Config,
    folders: &Folders,
    name: &str,
    sink: Option<&str>,
    force: bool,
) -> Result<String, AppError> {
    if force && index_progress(config, folders).await?.is_some() {
        return Err(AppError::StillRunning);
    }
    let mut deployment = Deployment::prepare(config, folders).await?;
    let (mut found, mut names) = (Vec::new(), Vec::new());
    for used in deployment.assigned.sinks.clone() {
        let Sink::Plugin(used) = used else { continue };
        if sink.is_some_and(|sink| sink != used.instance) {
            continue;
        }
        let held = of(&mut deployment, &used, &config.prefix).await?.unwrap_or_default();
        names.extend(held.iter().filter(|stored| force || stored.state.is_spare()).map(|it| it.name.clone()));
        if let Some(stored) = held.into_iter().find(|stored| stored.name == name) {
            found.push((used, stored));
        }
    }
    if found.len() > 1 {
        let sinks = found.iter().map(|(used, _)| used.instance.clone()).collect();
        return Err(AppError::HeldTwice { name: name.to_owned(), sinks });
    }
    let Some((used, stored)) = found.pop() else {
        return Err(AppError::NotHeld { name: name.to_owned(), names });
    };
    if !force && !stored.state.is_spare() {
        return Err(AppError::Needed { name: name.to_owned(), state: stored.state });
    }
    let plugin = plugin(&mut deployment, &used).await?;
    let asked = Instant::now();
    wasm::remove(&plugin, &config.prefix, name, force).await.map_err(|error| failed(&used, asked.elapsed(), error))?;
    Ok(used.instance)
}

async fn of(deployment: &mut Deployment, used: &PluginUse, prefix: &str) -> Result<Option<Vec<StoredIndex>>, AppError> {
    let plugin = plugin(deployment, used).await?;
    let asked = Instant::now();
    let held = wasm::stored_indexes(&plugin, prefix).await;
    held.map_err(|error| failed(used, asked.elapsed(), error))
}

async fn plugin(deployment: &mut Deployment, used: &PluginUse) -> Result<Plugin, AppError> {
    let prepared = deployment.plugins.prepare(&deployment.runtime, used).await?;
    deployment.plugins.plugin(prepared, used, LateScope::default())
}

fn failed(used: &PluginUse, waited: Duration, error: StageError) -> AppError {
    let what = format!("sink {:?}", used.instance);
    match error {
        cause @ StageError::Transient { .. } => EngineError::Unreachable { what, waited, cause }.into(),
        cause => EngineError::stage(what, cause).into(),
    }
}

/// Where the configuration lists no index it cannot say which there are.
fn known(config: &Config, stored: StoredIndex) -> ListedIndex {
    let named = |name: &str| config.indexes.iter().any(|index| format!("{}{}", config.prefix, index.name) == name);
    let configured = (!config.indexes.is_empty()).then(|| named(&stored.index));
    ListedIndex { stored, configured }
}
