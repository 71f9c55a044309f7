//! From queued events to live batches: blocks for the first change, then fills until the count, the delay, or until
//! nothing more is waiting. A lone change does not wait for the clock; the rest of a transaction that is still arriving
//! may (up to `max_delay`).

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::engine::options::Options;
use crate::engine::live::queue::{Incoming, Polled};
use crate::engine::run_context::Shared;
use crate::model::{Change, Checkpoint, Event, TableNumber};

/// Consecutive events of one epoch.
#[derive(Default)]
pub(crate) struct LiveBatch {
    pub(crate) epoch: u64,
    pub(crate) changes: Vec<Change>,
    /// Tables whose shape changed.
    pub(crate) reshaped: Vec<TableNumber>,
    /// The last checkpoint among the events: all changes before it are in this batch or in earlier ones (I2). Changes
    /// after it may be here too; they are confirmed by a later one.
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// Makes batches of what the capture queued.
pub(crate) struct Batcher {
    queue: mpsc::UnboundedReceiver<Incoming>,
    /// The poll that is being taken apart, and the room it holds.
    current: Option<(Polled, VecDeque<Event>)>,
    ended: bool,
}

impl Batcher {
    pub(crate) fn new(queue: mpsc::UnboundedReceiver<Incoming>) -> Self {
        Self { queue, current: None, ended: false }
    }

    /// Whether nothing will come any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended && self.current.is_none()
    }

    /// Whether something is waiting already.
    pub(crate) fn has_waiting(&self) -> bool {
        self.current.is_some() || !self.queue.is_empty()
    }

    /// Returns when a batch can be started, or nothing will come any more. May be cancelled without loss.
    pub(crate) async fn ready(&mut self) {
        while self.current.is_none() && !self.ended {
            let incoming = self.queue.recv().await;
            self.take(incoming);
        }
    }

    /// Fills a batch; [`Batcher::ready`] has returned. Not to be cancelled.
    pub(crate) async fn fill(&mut self, options: &Options, shared: &Shared) -> LiveBatch {
        let deadline = Instant::now() + options.max_delay;
        let mut batch = LiveBatch { epoch: shared.epoch(), ..LiveBatch::default() };
        let mut open = false;
        loop {
            let Some((polled, events)) = &mut self.current else {
                match self.queue.try_recv() {
                    Ok(incoming) => self.take(Some(incoming)),
                    Err(_) if open && !self.ended => match timeout_at(deadline, self.queue.recv()).await {
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
            if polled.epoch != shared.epoch() {
                // Of an older opening: the source sends it again (contract, rule 4). Guarded by
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
                        open = true;
                    }
                    Some(Event::Checkpoint(checkpoint)) => {
                        // I2: only where the source drew the line. Guarded by
                        // `tests::i2::a_batch_boundary_inside_a_transaction_moves_nothing`.
                        batch.checkpoint = Some(checkpoint);
                        open = false;
                    }
                    Some(Event::TableChanged(changed)) => batch.reshaped.push(changed.table),
                    None => break,
                }
            }
            // A checkpoint right behind a full batch belongs to it.
            if let Some(Event::Checkpoint(_)) = events.front()
                && let Some(Event::Checkpoint(checkpoint)) = events.pop_front()
            {
                batch.checkpoint = Some(checkpoint);
                open = false;
            }
            if events.is_empty() {
                self.current = None;
            }
            if batch.changes.len() >= options.max_changes || (open && Instant::now() >= deadline) {
                return batch;
            }
        }
    }

    fn take(&mut self, incoming: Option<Incoming>) {
        match incoming {
            Some(Incoming::Polled(mut polled)) => {
                let events = VecDeque::from(std::mem::take(&mut polled.events));
                self.current = Some((polled, events));
            }
            Some(Incoming::End) | None => self.ended = true,
        }
    }
}
