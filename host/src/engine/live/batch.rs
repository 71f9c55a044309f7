//! From queued events to live batches: blocks for the first change, then fills until the count, the delay, or until
//! nothing more is waiting. A lone change does not wait for the clock; the rest of a transaction that is still arriving
//! may (up to `max_delay`).

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::engine::live::queue::{PollResult, QueueItem};
use crate::engine::options::Options;
use crate::engine::run_context::RunContext;
use crate::model::{Change, Checkpoint, Event, TableNumber};

/// Consecutive events of one epoch.
#[derive(Default)]
pub(crate) struct LiveBatch {
    pub(crate) epoch: u64,
    pub(crate) changes: Vec<Change>,
    /// Tables whose columns changed.
    pub(crate) changed_tables: Vec<TableNumber>,
    /// The last checkpoint among the events: all changes before it are in this batch or in earlier ones (I2). Changes
    /// after it may be here too; they are confirmed by a later one.
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// Makes batches of what the capture queued.
pub(crate) struct Batcher {
    queue: mpsc::UnboundedReceiver<QueueItem>,
    /// The poll result that is being divided into batches, with the queue permit it holds.
    current: Option<(PollResult, VecDeque<Event>)>,
    ended: bool,
}

impl Batcher {
    pub(crate) fn new(queue: mpsc::UnboundedReceiver<QueueItem>) -> Self {
        Self { queue, current: None, ended: false }
    }

    /// Whether the capture has ended and every event is in a batch.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended && self.current.is_none()
    }

    /// Whether events are waiting.
    pub(crate) fn has_waiting(&self) -> bool {
        self.current.is_some() || !self.queue.is_empty()
    }

    /// Returns when a batch can be started, or the capture has ended. May be cancelled without loss.
    pub(crate) async fn ready(&mut self) {
        while self.current.is_none() && !self.ended {
            let incoming = self.queue.recv().await;
            self.take(incoming);
        }
    }

    /// Fills a batch after [`Batcher::ready`] has returned. Must not be cancelled.
    pub(crate) async fn fill(&mut self, options: &Options, context: &RunContext) -> LiveBatch {
        let deadline = Instant::now() + options.max_delay;
        let mut batch = LiveBatch { epoch: context.epoch(), ..LiveBatch::default() };
        let mut in_transaction = false;
        loop {
            let Some((polled, events)) = &mut self.current else {
                match self.queue.try_recv() {
                    Ok(incoming) => self.take(Some(incoming)),
                    Err(_) if in_transaction && !self.ended => match timeout_at(deadline, self.queue.recv()).await {
                        Ok(incoming) => self.take(incoming),
                        Err(_) => return batch,
                    },
                    Err(_) => return batch,
                }
                if self.current.is_none() && self.ended {
                    return batch;
                }
                continue;
            };
            if polled.epoch != context.epoch() {
                // From an older opening: the source sends these events again (contract, rule 4). Guarded by
                // `tests::retry::what_was_queued_from_an_older_opening_is_dropped`.
                self.current = None;
                continue;
            }
            if polled.epoch != batch.epoch {
                if batch.changes.is_empty() && batch.checkpoint.is_none() {
                    batch.epoch = polled.epoch;
                } else {
                    return batch;
                }
            }
            while batch.changes.len() < options.max_changes {
                match events.pop_front() {
                    Some(Event::Change(change)) => {
                        batch.changes.push(change);
                        in_transaction = true;
                    }
                    Some(Event::Checkpoint(checkpoint)) => {
                        // I2: only where the source ends its transactions. Guarded by
                        // `tests::i2::a_batch_boundary_inside_a_transaction_moves_nothing`.
                        batch.checkpoint = Some(checkpoint);
                        in_transaction = false;
                    }
                    Some(Event::TableChanged(changed)) => batch.changed_tables.push(changed.table),
                    None => break,
                }
            }
            // A checkpoint right behind a full batch belongs to it.
            if let Some(Event::Checkpoint(_)) = events.front()
                && let Some(Event::Checkpoint(checkpoint)) = events.pop_front()
            {
                batch.checkpoint = Some(checkpoint);
                in_transaction = false;
            }
            if events.is_empty() {
                self.current = None;
            }
            if batch.changes.len() >= options.max_changes || (in_transaction && Instant::now() >= deadline) {
                return batch;
            }
        }
    }

    fn take(&mut self, incoming: Option<QueueItem>) {
        match incoming {
            Some(QueueItem::Poll(mut polled)) => {
                let events = VecDeque::from(std::mem::take(&mut polled.events));
                self.current = Some((polled, events));
            }
            Some(QueueItem::End) | None => self.ended = true,
        }
    }
}
