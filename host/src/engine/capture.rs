//! The capture: one task that owns the source's instance, polls it into the queue, hands it the confirmed position, and
//! opens it again when it fails. It ends with its pipeline.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::error::{EngineError, StageError};
use super::observer::Observation;
use super::prepare::prepare;
use super::queue::{Incoming, Polled, QueueIn};
use super::retry::Retry;
use super::shared::Shared;
use super::stage::{Capture, Continuity, Poll, Source};
use crate::model::{Event, Position, TableInterest};

/// How long a poll waits for a first event. Also how late a changed wish is noticed.
const WAIT: Duration = Duration::from_millis(250);
/// The same while a `--once` run waits to be told that it may ask for the head.
const SHORT_WAIT: Duration = Duration::from_millis(10);
/// How often the connection is kept alive while the queue has no room.
const KEEP_ALIVE: Duration = Duration::from_millis(500);

/// What the capture should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Follow.
    Follow,
    /// Take the head, follow to it, then end.
    FollowToHead,
    /// End where it is.
    End,
}

/// What is confirmed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confirmed {
    /// Everything up to this is durable in every sink, and the host remembers it.
    pub(crate) position: Option<Position>,
    /// The epoch it belongs to; another epoch's instance starts from it instead of being told.
    pub(crate) epoch: u64,
    /// Everything that was emitted is durable, and nothing more comes.
    pub(crate) finished: bool,
}

/// The capture's task.
pub(crate) struct CaptureTask {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) interest: Arc<[TableInterest]>,
    pub(crate) queue: QueueIn,
    pub(crate) wish: watch::Receiver<Wish>,
    pub(crate) confirmed: watch::Receiver<Confirmed>,
    pub(crate) shared: Arc<Shared>,
}

impl CaptureTask {
    /// Runs until what the run was asked for is confirmed. `capture` is prepared.
    pub(crate) async fn run(mut self, mut capture: Box<dyn Capture>) -> Result<(), EngineError> {
        let shared = Arc::clone(&self.shared);
        let name = format!("source {:?}", self.source.name());
        let mut retry = Retry::new(&name, &shared.options, &*shared.observer);
        let mut target = None;
        let mut epoch = self.shared.epoch();
        loop {
            let error = match self.follow(&mut *capture, epoch, &mut target, &mut retry).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            drop(capture);
            epoch = self.shared.next_epoch();
            retry.failed(error).await?;
            capture = loop {
                match self.reopen().await {
                    Ok(capture) => break capture,
                    Err(error) => retry.failed(error).await?,
                }
            };
        }
    }

    /// Opens a new epoch at the last confirmed position.
    async fn reopen(&mut self) -> Result<Box<dyn Capture>, StageError> {
        let resume = self.confirmed.borrow().position.clone();
        let mut capture = self.source.capture(&self.interest).await?;
        match capture.inspect(resume.as_ref()).await?.continuity {
            Continuity::Lost(reason) => return Err(StageError::HistoryLost(reason)),
            Continuity::Fresh if resume.is_some() => {
                return Err(StageError::HistoryLost("what the source kept for this host is gone".to_owned()));
            }
            Continuity::Fresh | Continuity::Continuous => {}
        }
        prepare(&mut *capture, resume.as_ref(), &*self.shared.observer).await?;
        Ok(capture)
    }

    /// One epoch.
    async fn follow(
        &mut self,
        capture: &mut dyn Capture,
        epoch: u64,
        target: &mut Option<Position>,
        retry: &mut Retry<'_>,
    ) -> Result<(), StageError> {
        loop {
            let wish = *self.wish.borrow();
            match wish {
                Wish::End => return self.end(capture, epoch).await,
                Wish::FollowToHead if target.is_none() => *target = Some(capture.head().await?),
                Wish::Follow | Wish::FollowToHead => {}
            }
            let Ok(room) = timeout(KEEP_ALIVE, self.queue.room()).await else {
                self.poll(capture, epoch, 0, Duration::ZERO).await?;
                continue;
            };
            let wait = if self.shared.options.once && target.is_none() { SHORT_WAIT } else { WAIT };
            let events = self.poll(capture, epoch, self.queue.poll_changes, wait).await?;
            retry.succeeded();
            if events.is_empty() {
                continue;
            }
            let reached = self.reaches(capture, target.as_ref(), &events).await?;
            self.hand_over(epoch, events, room);
            if reached {
                return self.end(capture, epoch).await;
            }
        }
    }

    async fn poll(
        &self,
        capture: &mut dyn Capture,
        epoch: u64,
        max: u32,
        wait: Duration,
    ) -> Result<Vec<Event>, StageError> {
        let confirmed = {
            let confirmed = self.confirmed.borrow();
            confirmed.position.clone().filter(|_| confirmed.epoch == epoch)
        };
        capture.poll(Poll { confirmed, max, max_bytes: self.queue.poll_bytes, wait }).await
    }

    async fn reaches(
        &self,
        capture: &mut dyn Capture,
        target: Option<&Position>,
        events: &[Event],
    ) -> Result<bool, StageError> {
        let last = events.iter().rev().find_map(|event| match event {
            Event::Checkpoint(checkpoint) => Some(&checkpoint.position),
            _ => None,
        });
        match (target, last) {
            (Some(target), Some(last)) => Ok(capture.compare(last, target).await? != Ordering::Less),
            _ => Ok(false),
        }
    }

    fn hand_over(&self, epoch: u64, events: Vec<Event>, room: Option<super::queue::Room>) {
        let (mut changes, mut checkpoints, mut bytes, mut version) = (0, 0, 0, 0);
        for event in &events {
            match event {
                Event::Change(change) => {
                    changes += 1;
                    bytes += change.size();
                    version = version.max(change.version);
                }
                Event::Checkpoint(checkpoint) => {
                    checkpoints += 1;
                    version = version.max(checkpoint.version);
                }
                Event::TableChanged(_) => {}
            }
        }
        self.shared.polled(version);
        self.shared.observer.observe(Observation::Captured { changes, checkpoints });
        let room = room.map(|mut room| {
            room.shrink(changes, bytes);
            room
        });
        self.queue.send(Incoming::Polled(Polled { epoch, events, room }));
    }

    /// Nothing more is read: waits until all of it is durable, keeps the connection alive meanwhile, and closes.
    async fn end(&mut self, capture: &mut dyn Capture, epoch: u64) -> Result<(), StageError> {
        self.queue.send(Incoming::End);
        while !self.confirmed.borrow_and_update().finished {
            match timeout(KEEP_ALIVE, self.confirmed.changed()).await {
                Ok(Ok(())) => {}
                // Without a confirmer the run has failed, and its error is told elsewhere.
                Ok(Err(_)) => return Ok(()),
                Err(_) => {
                    if let Err(error) = self.poll(capture, epoch, 0, Duration::ZERO).await {
                        // A connection lost now costs nothing but the confirmation, which the next start makes good.
                        tracing::debug!(%error, "the source went away while draining");
                        let _ = self.confirmed.wait_for(|confirmed| confirmed.finished).await;
                        return Ok(());
                    }
                }
            }
        }
        let position = self.confirmed.borrow().position.clone();
        if let Err(error) = capture.close(position.as_ref()).await {
            tracing::debug!(%error, "the source did not close in an orderly way");
        }
        Ok(())
    }
}
