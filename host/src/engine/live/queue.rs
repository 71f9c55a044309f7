//! The bounded queue from the capture to the batcher, limited in changes and in bytes. While it is full, the capture only
//! keeps its connection alive (I11).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::engine::options::Options;
use crate::model::Event;

/// What the queue holds.
pub(crate) enum QueueItem {
    /// Events of one poll.
    Poll(PollResult),
    /// The capture has ended: nothing comes after this.
    End,
}

/// Events of one poll.
pub(crate) struct PollResult {
    /// The opening of the source that they came from.
    pub(crate) epoch: u64,
    /// In commit order.
    pub(crate) events: Vec<Event>,
    /// Their share of the queue's limits; released when the last of them is in a batch.
    #[expect(dead_code, reason = "held for its release, not read")]
    pub(crate) permit: Option<QueuePermit>,
}

/// A share of the queue's limits.
pub(crate) struct QueuePermit {
    changes: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

impl QueuePermit {
    /// Releases what a poll did not use.
    pub(crate) fn shrink(&mut self, changes: usize, bytes: usize) {
        drop(self.changes.split(self.changes.num_permits().saturating_sub(changes)));
        drop(self.bytes.split(self.bytes.num_permits().saturating_sub(bytes)));
    }
}

/// The capture's end of the queue.
pub(crate) struct QueueSender {
    sender: mpsc::UnboundedSender<QueueItem>,
    changes: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// The most changes that one poll asks for.
    pub(crate) poll_changes: u32,
    /// The most bytes that one poll asks for.
    pub(crate) poll_bytes: u32,
}

/// Makes a queue: the capture's end and the batcher's.
pub(crate) fn queue(options: &Options) -> (QueueSender, mpsc::UnboundedReceiver<QueueItem>) {
    // The channel itself is unbounded; the semaphores are its bound.
    let (sender, receiver) = mpsc::unbounded_channel();
    let part = |whole: usize| u32::try_from((whole / 4).max(1)).unwrap_or(u32::MAX);
    let input = QueueSender {
        sender,
        changes: Arc::new(Semaphore::new(options.queue_changes.max(4))),
        bytes: Arc::new(Semaphore::new(options.queue_bytes.max(4))),
        poll_changes: part(options.queue_changes),
        poll_bytes: part(options.queue_bytes),
    };
    (input, receiver)
}

impl QueueSender {
    /// Waits until the queue has room for one poll. May be cancelled.
    pub(crate) async fn acquire(&self) -> Option<QueuePermit> {
        // I11. Guarded by
        // `tests::i11::the_queue_takes_no_more_than_its_limit_and_the_connection_is_kept_alive`.
        let changes = Arc::clone(&self.changes).acquire_many_owned(self.poll_changes).await.ok()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(self.poll_bytes).await.ok()?;
        Some(QueuePermit { changes, bytes })
    }

    /// Appends an item. Where the batcher is gone the item is dropped: the run is ending.
    pub(crate) fn send(&self, incoming: QueueItem) {
        let _ = self.sender.send(incoming);
    }
}
