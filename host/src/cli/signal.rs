//! SIGINT and SIGTERM: the first asks the run to end in an orderly way, the second ends the program at once.

use tokio::sync::watch;

use super::exit;

/// Starts to listen. What is returned turns `true` at the first signal.
pub(super) fn listen() -> std::io::Result<watch::Receiver<bool>> {
    let (asked, stop) = watch::channel(false);
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("asked to stop; a second signal ends at once");
        asked.send_replace(true);
        signals.next().await;
        tracing::warn!("ended at once: what was in flight comes again at the next start");
        std::process::exit(exit::SECOND_SIGNAL);
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Without a signal to hear there is nothing to wait for but the end of the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
