//! The bounded way from capture to batching. Its room is counted in changes and in bytes; where there is none, the
//! capture only keeps its connection alive (I11).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::engine::options::Options;
use crate::model::Event;

/// What arrives at the worker.
pub(crate) enum Incoming {
    /// Events of one poll.
    Polled(Polled),
    /// Nothing will come any more.
    End,
}

/// Events of one poll.
pub(crate) struct Polled {
    /// The opening of the source that they came from.
    pub(crate) epoch: u64,
    /// In commit order.
    pub(crate) events: Vec<Event>,
    /// Their room in the queue; freed when the last of them is in a batch.
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) room: Option<Room>,
}

/// Room for some events.
pub(crate) struct Room {
    changes: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

impl Room {
    /// Gives back what a poll did not use.
    pub(crate) fn shrink(&mut self, changes: usize, bytes: usize) {
        drop(self.changes.split(self.changes.num_permits().saturating_sub(changes)));
        drop(self.bytes.split(self.bytes.num_permits().saturating_sub(bytes)));
    }
}

/// The capture's end of the queue.
pub(crate) struct QueueIn {
    sender: mpsc::UnboundedSender<Incoming>,
    changes: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// How much one poll asks for.
    pub(crate) poll_changes: u32,
    /// How much one poll asks for.
    pub(crate) poll_bytes: u32,
}

/// Both ends.
pub(crate) fn queue(options: &Options) -> (QueueIn, mpsc::UnboundedReceiver<Incoming>) {
    // The channel itself is unbounded; the semaphores are its bound.
    let (sender, receiver) = mpsc::unbounded_channel();
    let part = |whole: usize| u32::try_from((whole / 4).max(1)).unwrap_or(u32::MAX);
    let input = QueueIn {
        sender,
        changes: Arc::new(Semaphore::new(options.queue_changes.max(4))),
        bytes: Arc::new(Semaphore::new(options.queue_bytes.max(4))),
        poll_changes: part(options.queue_changes),
        poll_bytes: part(options.queue_bytes),
    };
    (input, receiver)
}

impl QueueIn {
    /// Waits for room for one poll. May be cancelled.
    pub(crate) async fn room(&self) -> Option<Room> {
        // I11. Guarded by
        // `tests::i11::the_queue_takes_no_more_than_its_limit_and_the_connection_is_kept_alive`.
        let changes = Arc::clone(&self.changes).acquire_many_owned(self.poll_changes).await.ok()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(self.poll_bytes).await.ok()?;
        Some(Room { changes, bytes })
    }

    /// Hands over. What nobody receives any more is dropped: the run is ending.
    pub(crate) fn send(&self, incoming: Incoming) {
        let _ = self.sender.send(incoming);
    }
}
