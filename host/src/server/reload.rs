//! Requests to exchange a plugin for what its file holds now: from the server to the program.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// A plugin as a file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The version in its manifest.
    pub version: String,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The plugin's name.
    pub plugin: String,
    /// What runs now.
    pub now: Version,
    /// What ran before; none: the file has not changed.
    pub before: Option<Version>,
    /// For how long nothing was captured or written.
    pub pause: Duration,
}

/// Why a plugin was not exchanged; the one before goes on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadError {
    /// Nothing of this name runs.
    #[error("no plugin {name:?} is in use; there are: {}", known.join(", "))]
    Unknown {
        /// The name that was given.
        name: String,
        /// What is in use.
        known: Vec<String>,
    },
    /// The host, or its run, ended meanwhile.
    #[error("the run ended before the plugin was exchanged; ask again")]
    Ending,
    /// The new file is no good, or did not come to run.
    #[error("{0}")]
    Refused(String),
}

type Answer = Result<Reloaded, ReloadError>;

/// Asks for exchanges.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<(String, Requester)>);

/// Hears what is asked for.
pub struct ReloadRequests(mpsc::Receiver<(String, Requester)>);

/// Who is told what came of it; nobody, if the host itself noticed that a file changed.
#[derive(Default)]
pub struct Requester(Option<oneshot::Sender<Answer>>);

/// The two ends.
pub fn reloads() -> (Reloads, ReloadRequests) {
    let (sender, receiver) = mpsc::channel(1);
    (Reloads(sender), ReloadRequests(receiver))
}

impl Reloads {
    /// Asks, and returns when the new plugin runs or is refused.
    pub(super) async fn reload(&self, plugin: &str) -> Answer {
        let (sender, answer) = oneshot::channel();
        let asking = (plugin.to_owned(), Requester(Some(sender)));
        self.0.send(asking).await.map_err(|_| ReloadError::Ending)?;
        answer.await.unwrap_or(Err(ReloadError::Ending))
    }
}

impl ReloadRequests {
    /// The next request: the name of a plugin, and who asks. It never comes once nobody can ask.
    pub async fn next(&mut self) -> (String, Requester) {
        match self.0.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl Requester {
    /// Says what came of it. Who asked may have gone away.
    pub fn answer(self, answer: Answer) {
        if let Some(sender) = self.0 {
            let _ = sender.send(answer);
        }
    }
}
