//! The host's local HTTP: a socket in the state folder, for the other commands of this program, and TCP addresses as
//! configured, for applications and supervisors.
//!
//! What changes something, or says what there is, is answered on the socket alone (only its owner opens it) and on the
//! private address; an application may ask whether a change is found, and whether the host is well.

mod answer;
pub mod client;
mod http;
mod quarantine;
mod reload;
mod search;
mod socket;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::engine::RunHandle;
use crate::limits;
use crate::metrics::Metrics;
pub use reload::{ReloadError, ReloadRequests, Reloaded, Reloads, Requester, Version, reloads};

pub use quarantine::RunState;
pub use search::Searches;

/// What is asked and told to do.
#[derive(Clone)]
pub struct Control {
    /// The run.
    pub run: RunHandle,
    /// Its plugins.
    pub reloads: Reloads,
    /// Its sinks that can be searched.
    pub searches: Searches,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Its state.
    pub state: RunState,
}

/// What is answered on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// What an application may ask.
    Public,
    /// Everything.
    Private,
}

/// Serves until it is dropped.
pub struct Server {
    tasks: JoinSet<()>,
    socket: Option<PathBuf>,
}

impl Server {
    /// Serves the socket of a state folder that this process holds. Says why not.
    pub fn in_folder(folder: &Path, control: &Control) -> (Self, std::io::Result<()>) {
        let mut server = Self { tasks: JoinSet::new(), socket: None };
        let bound = socket::bind(folder);
        let bound = bound.map(|(path, listener)| {
            server.socket = Some(path);
            server.tasks.spawn(serve(Streams::Unix(listener), Surface::Private, control.clone()));
        });
        (server, bound)
    }

    /// Serves a TCP address as well. Says which (the port may have been left open).
    ///
    /// # Errors
    ///
    /// When it is no address, or is taken.
    pub async fn also(&mut self, address: &str, surface: Surface, control: &Control) -> std::io::Result<String> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?.to_string();
        self.tasks.spawn(serve(Streams::Tcp(listener), surface, control.clone()));
        Ok(bound)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // One that stays is found dead, and replaced by the next start.
            let _ = std::fs::remove_file(socket);
        }
    }
}

enum Streams {
    Tcp(TcpListener),
    Unix(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Streams {
    async fn next(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// The connections of one address; they end with this task.
async fn serve(streams: Streams, surface: Surface, control: Control) {
    let room = Arc::new(Semaphore::new(limits::server::CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(room) = Arc::clone(&room).acquire_owned().await else { return };
        match streams.next().await {
            Ok(stream) => {
                let control = control.clone();
                connections.spawn(async move {
                    http::converse(stream, |request| answer::answer(request, surface, &control)).await;
                    drop(room);
                });
            }
            Err(_) => sleep(limits::server::ACCEPT_RETRY_DELAY).await,
        }
    }
}
