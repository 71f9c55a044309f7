//! The composition root: configuration in, running engine out. The only place that names plugins and the engine together;
//! nobody reads configuration after it.

mod builder_code;
mod check;
mod deployment;
mod error;
pub mod open_files;
mod plugins;
mod quarantine;
mod reload;
mod remote;
mod run;
mod search;
mod stored_indexes;
mod variables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use crate::plugin::finding::{Finding, Level, UNREACHABLE};
pub use check::check;
pub use error::AppError;
pub use quarantine::{QuarantinedDocuments, Retried, discard_from_quarantine, quarantine, retry_quarantined};
pub use remote::{Asked, IndexProgress, Reloads, index_progress, reindex, reload, status};
pub use run::run;
pub use search::{Search, search};
pub use stored_indexes::{ListedIndex, SinkIndexes, remove, stored_indexes};

use crate::config::{Config, OnError, OnHistoryLoss};
use crate::engine::{self, Observer, Options, Reseed};
use crate::plugin::state::StateFolder;
use crate::plugin::supply::{Lock, Locked};
use deployment::Deployment;
use plugins::Plugins;

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
    /// Whether every plugin may be a native library.
    pub allow_native: bool,
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
    /// Exchange plugins whose files change.
    pub watch: bool,
}

impl RunOptions {
    /// Connect and look, and change nothing.
    fn looking(timeout: Option<Duration>) -> Self {
        Self { once: true, timeout, reseed: Reseed::Nothing, skip_backfill: true, drain: Duration::ZERO, watch: false }
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
    if let Some(state) = &held {
        deployment.remember_in(state)?;
    }
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
    let mut plugins = Plugins::locking(folders, Lock::anew(config.path.as_deref()));
    let assigned = config.assign_roles(|plugin| plugins.look(plugin))?;
    for plugin in assigned.plugins() {
        plugins.check(plugin)?;
    }
    let (lock, locked) = plugins.locked();
    Ok((lock.path().to_path_buf(), lock.write(locked)?))
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
