//! A plugin takes the place of its former file while the host runs. The new file is checked, compiled and proven beside the run;
//! then the run drains, and the next round is run with the new plugin. Where that one does not come to run, the plugin before
//! goes on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::{sleep, timeout};

use super::deployment::{Deployment, Exchange, Reload};
use super::{AppError, Folders};
use crate::config::Config;
use crate::engine::RunHandle;
use crate::limits;
use crate::plugin::supply::Locked;
use crate::server::{ReloadError, ReloadRequests, Reloaded, Requester, Version};

/// Why a round is to end.
pub(super) enum EndRound {
    /// For a plugin that is ready to run.
    Exchange(Box<Candidate>),
    /// The plugin that was exchanged does not come to run; why.
    RollBack(String),
}

/// A deployment that is ready to take the place of the one that runs.
pub(super) struct Candidate {
    deployment: Deployment,
    exchange: Exchange,
    requester: Requester,
    since: Instant,
}

impl Candidate {
    /// Takes the place of a deployment, which is kept until this one runs.
    pub(super) fn begin(self, current: &mut Deployment) -> StartingExchange {
        let Self { deployment, exchange, requester, since } = self;
        StartingExchange { before: std::mem::replace(current, deployment), exchange, requester, since }
    }

    /// It does not take its place.
    pub(super) fn refuse(self, reason: &str) {
        refused(self.requester, &self.exchange.before.name, ReloadError::Refused(reason.to_owned()));
    }
}

/// An exchange whose first round begins.
pub(super) struct StartingExchange {
    before: Deployment,
    exchange: Exchange,
    requester: Requester,
    since: Instant,
}

impl StartingExchange {
    /// The new plugin does not run: returns the deployment before.
    pub(super) fn roll_back(self, reason: &str) -> Deployment {
        let Self { before, exchange, requester, .. } = self;
        let reason = format!("{reason}; {} {} goes on", exchange.before.name, exchange.before.version);
        refused(requester, &exchange.before.name, ReloadError::Refused(reason));
        before
    }

    fn complete(self) {
        let Exchange { before, after } = self.exchange;
        let pause = self.since.elapsed();
        tracing::info!(
            plugin = after.name,
            version = after.version,
            sha256 = %after.sha256,
            before = before.version,
            pause_ms = pause.as_millis(),
            "the plugin took the place of its former file"
        );
        self.requester.answer(Ok(Reloaded {
            plugin: after.name.clone(),
            now: version(after),
            before: Some(version(before)),
            pause,
        }));
    }
}

/// Hears that plugins should be exchanged.
pub(super) struct Reloading<'a> {
    config: &'a Config,
    folders: &'a Folders,
    requests: ReloadRequests,
    run: RunHandle,
    watch: Option<FileWatch>,
}

impl<'a> Reloading<'a> {
    pub(super) fn new(
        config: &'a Config,
        folders: &'a Folders,
        requests: ReloadRequests,
        run: RunHandle,
        is_watching: bool,
    ) -> Self {
        Self { config, folders, requests, run, watch: is_watching.then(FileWatch::default) }
    }

    /// Returns when the round of this deployment is to end. `starting`, if it is the first round of a plugin, is taken once it runs.
    pub(super) async fn next(&mut self, current: &Deployment, starting: &mut Option<StartingExchange>) -> EndRound {
        if starting.is_some() {
            let patience = limits::program::RELOAD_TIMEOUT;
            if timeout(patience, self.run.started()).await.is_err() {
                return EndRound::RollBack(format!("it did not come to run within {} s", patience.as_secs()));
            }
            starting.take().into_iter().for_each(StartingExchange::complete);
        }
        let files = current.files();
        if let Some(watch) = &mut self.watch {
            watch.look(&files).await;
        }
        loop {
            let (name, requester) = match &mut self.watch {
                None => self.requests.next().await,
                Some(watch) => tokio::select! {
                    asked = self.requests.next() => asked,
                    name = watch.changed(&files) => (name, Requester::default()),
                },
            };
            match current.reloaded(self.config, self.folders, &name).await {
                Ok(Reload::Ready(deployment, exchange)) => {
                    let Locked { name, version, .. } = &exchange.after;
                    tracing::info!(
                        plugin = name,
                        version,
                        "the new file of the plugin is ready; the run drains for it"
                    );
                    let since = Instant::now();
                    return EndRound::Exchange(Box::new(Candidate {
                        deployment: *deployment,
                        exchange,
                        requester,
                        since,
                    }));
                }
                Ok(Reload::Unchanged(unchanged)) => {
                    let now = version(unchanged);
                    requester.answer(Ok(Reloaded { plugin: name, now, before: None, pause: Duration::ZERO }));
                }
                Err(AppError::NotUsed { name, known }) => requester.answer(Err(ReloadError::Unknown { name, known })),
                Err(error) => {
                    let reason = format!("{error}; what ran before goes on");
                    refused(requester, &name, ReloadError::Refused(reason));
                }
            }
        }
    }
}

fn version(plugin: Locked) -> Version {
    Version { version: plugin.version, sha256: plugin.sha256.to_string() }
}

fn refused(requester: Requester, plugin: &str, error: ReloadError) {
    tracing::warn!(plugin, "the plugin is not exchanged: {error}");
    requester.answer(Err(error));
}

/// The size and the time of a file.
type Stamp = (u64, Option<SystemTime>);

/// Notices that files of plugins change. It looks at them every second: a file that is replaced by a rename, or on a mounted
/// volume, is noticed like any other.
#[derive(Default)]
struct FileWatch {
    /// What each file was when it was loaded or tried last.
    known: HashMap<PathBuf, Stamp>,
    /// What it was a look ago: a file that is still being written is left alone.
    before: HashMap<PathBuf, Stamp>,
}

impl FileWatch {
    /// Takes what there is as known, of files that are new to it.
    async fn look(&mut self, files: &[(String, PathBuf)]) {
        for (_, path) in files {
            if !self.known.contains_key(path)
                && let Some(stamp) = stamp(path).await
            {
                self.known.insert(path.clone(), stamp);
            }
        }
    }

    /// Returns the name of a plugin whose file has changed and is whole.
    async fn changed(&mut self, files: &[(String, PathBuf)]) -> String {
        loop {
            sleep(limits::program::WATCH_INTERVAL).await;
            for (name, path) in files {
                let Some(now) = stamp(path).await else { continue };
                let before = self.before.insert(path.clone(), now);
                if self.known.get(path) != Some(&now) && before == Some(now) {
                    self.known.insert(path.clone(), now);
                    return name.clone();
                }
            }
        }
    }
}

async fn stamp(path: &Path) -> Option<Stamp> {
    let found = tokio::fs::metadata(path).await.ok()?;
    Some((found.len(), found.modified().ok()))
}
