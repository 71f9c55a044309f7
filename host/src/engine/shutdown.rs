//! How a run is asked to end.

use tokio::sync::watch;

/// Asks a run to end; held by the program, which stops the run on a signal.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

/// Hears that a run should end.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A stop and the run's ear for it.
pub fn shutdown() -> (Stop, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Stop(sender), Shutdown(receiver))
}

impl Stop {
    /// Asks; more than once is the same as once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}

impl From<watch::Receiver<bool>> for Shutdown {
    /// Asked when the value turns `true`.
    fn from(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }
}

impl Shutdown {
    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the run was asked to end; never, if the other half is gone.
    pub async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
