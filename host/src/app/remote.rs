//! A host that is running, from inside (where it is served) and from outside (what the other commands ask it).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::deployment::Deployment;
use super::{AppError, Folders, RunOptions, options, state_folder};
use crate::config::{Config, DEFAULT_PUBLIC};
use crate::engine::Silent;
use crate::limits;
use crate::metrics::Status;
use crate::server::client::{ask, ask_within, encoded};
use crate::server::{Control, Server, Surface};

/// Serves what may be asked of this host.
pub(super) async fn serve(config: &Config, folder: &Path, control: &Control) -> Result<Server, AppError> {
    let (mut server, bound) = Server::in_folder(folder, control);
    if let Err(error) = bound {
        // Nothing of the pipeline depends on it.
        tracing::warn!(folder = %folder.display(), %error, "`flusso-host reindex` cannot reach this host: its socket cannot be made");
    }
    let wrong = |address: &str| {
        let address = address.to_owned();
        move |source| AppError::Listen { address, source }
    };
    match config.server.public.as_deref() {
        Some("") => {}
        Some(address) => {
            let bound = server.also(address, Surface::Public, control).await.map_err(wrong(address))?;
            tracing::info!(address = bound, "answering /wait, /status, /metrics, /healthz and /readyz");
        }
        None => match server.also(DEFAULT_PUBLIC, Surface::Public, control).await {
            Ok(bound) => tracing::info!(address = bound, "answering /wait, /status, /metrics, /healthz and /readyz"),
            Err(error) => tracing::warn!(
                "/wait, /status, /metrics, /healthz and /readyz are not answered: {DEFAULT_PUBLIC} cannot be had ({error}); give this host another \
                 address with public_address under [server], or \"\" for none"
            ),
        },
    }
    if let Some(address) = &config.server.private {
        let bound = server.also(address, Surface::Private, control).await.map_err(wrong(address))?;
        tracing::info!(address = bound, "answering /indexes, /reindex and /reload as well");
    }
    Ok(server)
}

/// The state of one index in a running host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexProgress {
    /// Its name, without the prefix.
    pub name: String,
    /// `unseeded`, `seeding`, `rebuilding` or `seeded`.
    pub state: String,
    /// Rows that are done, while it is filled.
    pub rows: Option<u64>,
    /// About how many there are.
    pub of: Option<u64>,
}

#[derive(Deserialize)]
struct Indexes {
    indexes: Vec<IndexProgress>,
}

/// How the host that runs on this configuration's state stands; `None`: none runs.
///
/// # Errors
///
/// When the host cannot be found or asked.
pub async fn status(config: &Config, folders: &Folders) -> Result<Option<Status>, AppError> {
    let folder = folder(config, folders).await?;
    let failed = |source| AppError::Ask { folder: folder.clone(), source };
    match ask(&folder, "GET", "/status").await.map_err(failed)? {
        None => Ok(None),
        Some((_, body)) => serde_json::from_value(body).map(Some).map_err(|error| failed(std::io::Error::other(error))),
    }
}

/// What came of asking for a rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It is done.
    Done,
    /// It has begun; the command does not wait for the end (`--no-wait`).
    Begun,
    /// No host is running on this state.
    NotRunning(PathBuf),
    /// The host ended while it was waited for; the rebuild goes on at its next start.
    WentAway,
    /// The host says no.
    Refused(String),
    /// There is no such index.
    Unknown(String),
}

/// Asks the running host to rebuild an index, and waits for its end if `wait`. `progress` is called with the state meanwhile.
///
/// # Errors
///
/// When the host cannot be found or asked.
pub async fn reindex(
    config: &Config,
    folders: &Folders,
    index: &str,
    wait: bool,
    mut progress: impl FnMut(&IndexProgress),
) -> Result<Asked, AppError> {
    let folder = folder(config, folders).await?;
    let failed = |source| AppError::Ask { folder: folder.clone(), source };
    let path = format!("/reindex?index={}", encoded(index));
    // A host that is starting, or between two rounds, is waited for.
    let deadline = Instant::now() + limits::program::STARTUP_TIMEOUT;
    let (status, body) = loop {
        match ask(&folder, "POST", &path).await.map_err(failed)? {
            None => return Ok(Asked::NotRunning(folder)),
            Some((503, _)) if Instant::now() < deadline => sleep(limits::program::REINDEX_POLL_INTERVAL).await,
            Some(answer) => break answer,
        }
    };
    match status {
        202 if !wait => return Ok(Asked::Begun),
        202 => {}
        404 => return Ok(Asked::Unknown(error_text(&body))),
        _ => return Ok(Asked::Refused(error_text(&body))),
    }
    loop {
        sleep(limits::program::REINDEX_POLL_INTERVAL).await;
        let Some((status, body)) = ask(&folder, "GET", "/indexes").await.map_err(failed)? else {
            return Ok(Asked::WentAway);
        };
        if status != 200 {
            // Between two rounds.
            continue;
        }
        let indexes = serde_json::from_value::<Indexes>(body).map(|all| all.indexes).unwrap_or_default();
        match indexes.iter().find(|one| one.name == index) {
            Some(one) if one.state == "seeded" => return Ok(Asked::Done),
            Some(one) => progress(one),
            None => {}
        }
    }
}

/// What came of asking for the exchange of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub enum Reloads {
    /// The new file runs: a line about it.
    Done(String),
    /// No host is running on this state.
    NotRunning(PathBuf),
    /// The file is no good, or did not come to run; the one before goes on.
    Refused(String),
    /// There is no such plugin.
    Unknown(String),
}

#[derive(Deserialize)]
struct Exchanged {
    plugin: String,
    now: ExchangedVersion,
    before: Option<ExchangedVersion>,
    pause_seconds: f64,
}

#[derive(Deserialize)]
struct ExchangedVersion {
    version: String,
    sha256: String,
}

impl std::fmt::Display for ExchangedVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.version, self.sha256.get(..12).unwrap_or(&self.sha256))
    }
}

/// Asks the running host to run a plugin as its file is now, and waits until it does or says why not.
///
/// # Errors
///
/// When the host cannot be found or asked.
pub async fn reload(config: &Config, folders: &Folders, plugin: &str) -> Result<Reloads, AppError> {
    let folder = folder(config, folders).await?;
    let path = format!("/reload?plugin={}", encoded(plugin));
    let asked = ask_within(limits::program::RELOAD_COMMAND_TIMEOUT, &folder, "POST", &path).await;
    let Some((status, body)) = asked.map_err(|source| AppError::Ask { folder: folder.clone(), source })? else {
        return Ok(Reloads::NotRunning(folder));
    };
    Ok(match status {
        200 => Reloads::Done(match serde_json::from_value::<Exchanged>(body) {
            Ok(Exchanged { plugin, now, before: Some(before), pause_seconds }) => {
                format!(
                    "plugin {plugin} {now} took the place of {before}; nothing was captured for {pause_seconds:.2} s"
                )
            }
            Ok(Exchanged { plugin, now, .. }) => format!("plugin {plugin} runs as its file is already: {now}"),
            Err(_) => "the host answers otherwise than this program expects: it is another version".to_owned(),
        }),
        404 => Reloads::Unknown(error_text(&body)),
        _ => Reloads::Refused(error_text(&body)),
    })
}

/// The state of every index in the running host; `None`: no host is running.
///
/// # Errors
///
/// When the host cannot be found or asked.
pub async fn index_progress(config: &Config, folders: &Folders) -> Result<Option<Vec<IndexProgress>>, AppError> {
    let folder = folder(config, folders).await?;
    let asked = ask(&folder, "GET", "/indexes").await.map_err(|source| AppError::Ask { folder, source })?;
    Ok(asked.map(|(_, body)| serde_json::from_value::<Indexes>(body).map(|all| all.indexes).unwrap_or_default()))
}

fn error_text(body: &serde_json::Value) -> String {
    body.get("error").and_then(|error| error.as_str()).unwrap_or("the host does not say why").to_owned()
}

/// The state folder of the host that this configuration describes. Where no file and no folder is named, it follows from the
/// identity of the source.
pub(super) async fn folder(config: &Config, folders: &Folders) -> Result<PathBuf, AppError> {
    if folders.state.is_some() || config.path.is_some() {
        return state_folder(config, folders, "");
    }
    let run = RunOptions::looking(Some(limits::program::IDENTIFY_TIMEOUT));
    let mut deployment = Deployment::prepare(config, folders).await?;
    let connected = deployment.connect(config, Arc::new(Silent), options(config, run)).await?;
    state_folder(config, folders, connected.identity())
}
