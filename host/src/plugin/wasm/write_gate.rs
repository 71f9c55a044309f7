//! Lets the writes of a guest to its state through as long as it lives. A write runs on a thread of its own and is not stopped with the
//! guest: without this it might land after the next guest has read.

use std::sync::{Arc, Mutex, PoisonError};

use crate::plugin::state::StateError;

/// The gate of one guest. Clones share it.
#[derive(Clone, Default)]
pub(super) struct WriteGate(Arc<Mutex<bool>>);

impl WriteGate {
    /// Writes, unless the guest has ended.
    pub(super) fn pass<R>(&self, write: impl FnOnce() -> Result<R, StateError>) -> Result<R, StateError> {
        let shut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *shut { Err(StateError::Gone) } else { write() }
    }

    /// The guest has ended. Returns when the write that is under way is done; what comes later is not written.
    pub(super) async fn shut(&self) {
        let gate = self.clone();
        let shutting = move || *gate.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        // It is cancelled only when the program ends.
        let _ = tokio::task::spawn_blocking(shutting).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_under_way_is_waited_for_and_none_comes_after_the_end() {
        let gate = WriteGate::default();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let passing = gate.clone();
        let write = std::thread::spawn(move || {
            passing.pass(|| {
                begun.send(()).ok();
                may_go_on.recv().ok();
                Ok(())
            })
        });
        has_begun.recv().ok();
        let shutting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.shut().await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(!shutting.is_finished(), "a write is under way");
        go_on.send(()).ok();
        assert!(shutting.await.is_ok());
        assert!(write.join().is_ok_and(|written| written.is_ok()));
        let late = gate.pass(|| -> Result<(), StateError> { panic!("written after the end") });
        assert!(matches!(late, Err(StateError::Gone)));
    }
}
