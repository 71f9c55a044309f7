//! The capture: one task that owns the source's instance, polls it into the queue, hands it the confirmed position, and
//! opens it again when it fails. It ends with its pipeline.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::engine::error::{EngineError, StageError};
use crate::engine::observer::Observation;
use crate::engine::startup::prepare::{open, prepare};
use crate::engine::live::queue::{Incoming, Polled, QueueIn};
use crate::engine::retry::Retry;
use crate::engine::run_context::Shared;
use crate::engine::stage::{Capture, Continuity, Inspection, Poll, Source};
use crate::model::{Event, HistoryId, Position, TableInterest};

/// How long a poll waits for a first event. Also how late a changed wish is noticed.
const WAIT: Duration = Duration::from_millis(250);
/// The same while a `--once` run waits to be told that it may ask for the head, and where others lately asked for it.
const SHORT_WAIT: Duration = Duration::from_millis(10);
/// How long "lately" is.
const LATELY: Duration = Duration::from_secs(10);
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
    /// Who wants to know the source's head.
    pub(crate) heads: mpsc::Receiver<oneshot::Sender<Position>>,
    /// When it was asked for last.
    pub(crate) asked: Option<Instant>,
    pub(crate) history: HistoryId,
    pub(crate) shared: Arc<Shared>,
}

/// An instance that is prepared, and from where.
type Reopened = (Box<dyn Capture>, Option<Position>);

/// Where an epoch is to end, and how far it is.
struct Course {
    target: Option<Position>,
    /// The last checkpoint that was handed over, or where the epoch began.
    last: Option<Position>,
}

impl CaptureTask {
    /// Runs until what the run was asked for is confirmed. `capture` is prepared.
    pub(crate) async fn run(mut self, mut capture: Box<dyn Capture>) -> Result<(), EngineError> {
        let shared = Arc::clone(&self.shared);
        let name = format!("source {:?}", self.source.name());
        let mut retry = Retry::new(&name, &shared.options, &*shared.observer);
        let mut course = Course { target: None, last: self.confirmed.borrow().position.clone() };
        let mut epoch = self.shared.epoch();
        loop {
            let error = match self.follow(&mut *capture, epoch, &mut course, &mut retry).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            drop(capture);
            epoch = self.shared.next_epoch();
            let mut wish = self.wish.clone();
            let opened = tokio::select! {
                biased;
                // A run that should end does not wait for a source that is away.
                Ok(_) = wish.wait_for(|wish| *wish == Wish::End) => None,
                opened = self.again(error, &mut retry) => Some(opened?),
            };
            let Some((opened, resumed)) = opened else {
                self.queue.send(Incoming::End);
                self.finished().await;
                return Ok(());
            };
            capture = opened;
            course.last = resumed;
        }
    }

    /// Opens a new epoch at the last confirmed position, as soon as the source is back.
    async fn again(&self, error: StageError, retry: &mut Retry<'_>) -> Result<Reopened, EngineError> {
        retry.failed(error).await?;
        loop {
            match self.reopen().await {
                Ok(reopened) => return Ok(reopened),
                Err(error) => retry.failed(error).await?,
            }
        }
    }

    async fn reopen(&self) -> Result<Reopened, StageError> {
        // I8: what was not confirmed comes again. Guarded by `tests::i8::a_crash_at_any_call_of_a_stage_loses_nothing`.
        let resume = self.confirmed.borrow().position.clone();
        let (mut capture, _) = open(&*self.source, &self.interest).await?;
        let Inspection { history, continuity, missed } = capture.inspect(resume.as_ref()).await?;
        if !missed.is_empty() {
            let reason = "changes of a followed table were not recorded for a while";
            return Err(StageError::StartAgain(reason.to_owned()));
        }
        match continuity {
            Continuity::Lost(reason) => return Err(StageError::HistoryLost(reason)),
            Continuity::Fresh if resume.is_some() => {
                return Err(StageError::HistoryLost("what the source kept for this host is gone".to_owned()));
            }
            Continuity::Continuous if history.as_ref() != Some(&self.history) => {
                let message = "the source follows another history than it did before it went away";
                return Err(StageError::HistoryLost(message.to_owned()));
            }
            Continuity::Fresh | Continuity::Continuous => {}
        }
        prepare(&mut *capture, resume.as_ref(), &*self.shared.observer).await?;
        Ok((capture, resume))
    }

    /// Waits until everything that was handed over is durable. Without a confirmer the run has failed, which is told
    /// elsewhere: then it never returns.
    async fn finished(&self) {
        let mut confirmed = self.confirmed.clone();
        if confirmed.wait_for(|confirmed| confirmed.finished).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// One epoch.
    async fn follow(
        &mut self,
        capture: &mut dyn Capture,
        epoch: u64,
        course: &mut Course,
        retry: &mut Retry<'_>,
    ) -> Result<(), StageError> {
        loop {
            let wish = *self.wish.borrow();
            match wish {
                Wish::End => return self.end(capture, epoch).await,
                Wish::FollowToHead if course.target.is_none() => {
                    course.target = Some(capture.head().await?);
                    if self.is_there(capture, course).await? {
                        return self.end(capture, epoch).await;
                    }
                }
                Wish::Follow | Wish::FollowToHead => {}
            }
            let Ok(room) = timeout(KEEP_ALIVE, self.queue.room()).await else {
                self.poll(capture, epoch, 0, Duration::ZERO).await?;
                self.heads(capture).await?;
                continue;
            };
            self.heads(capture).await?;
            let lately = self.asked.is_some_and(|asked| asked.elapsed() < LATELY);
            let wait = if self.shared.options.once && course.target.is_none() || lately { SHORT_WAIT } else { WAIT };
            let events = self.poll(capture, epoch, self.queue.poll_changes, wait).await?;
            retry.succeeded();
            if events.is_empty() {
                continue;
            }
            let checkpoint = events.iter().rev().find_map(|event| match event {
                Event::Checkpoint(checkpoint) => Some(checkpoint.position.clone()),
                _ => None,
            });
            let moved = checkpoint.is_some();
            course.last = checkpoint.or(course.last.take());
            let there = moved && self.is_there(capture, course).await?;
            self.hand_over(epoch, events, room);
            if there {
                return self.end(capture, epoch).await;
            }
        }
    }

    /// Tells everybody who asked for it where the source is; from then on polls go for it.
    async fn heads(&mut self, capture: &mut dyn Capture) -> Result<(), StageError> {
        let waiting: Vec<_> = std::iter::from_fn(|| self.heads.try_recv().ok()).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let head = capture.head().await?;
        self.asked = Some(Instant::now());
        for answer in waiting {
            // Whoever asked may have gone away.
            let _ = answer.send(head.clone());
        }
        Ok(())
    }

    /// What may be told to the instance of an epoch: nothing that an older one handed out (contract, rule 4). Guarded by
    /// `tests::retry::a_new_opening_is_not_told_what_an_older_one_handed_out`.
    fn confirmed_in(&self, epoch: u64) -> Option<Position> {
        let confirmed = self.confirmed.borrow();
        confirmed.position.clone().filter(|_| confirmed.epoch == epoch)
    }

    async fn poll(
        &self,
        capture: &mut dyn Capture,
        epoch: u64,
        max: u32,
        wait: Duration,
    ) -> Result<Vec<Event>, StageError> {
        let confirmed = self.confirmed_in(epoch);
        capture.poll(Poll { confirmed, max, max_bytes: self.queue.poll_bytes, wait }).await
    }

    /// Whether everything up to the target has been handed over.
    async fn is_there(&self, capture: &mut dyn Capture, course: &Course) -> Result<bool, StageError> {
        match (&course.target, &course.last) {
            (Some(target), Some(last)) => Ok(capture.compare(last, target).await? != Ordering::Less),
            _ => Ok(false),
        }
    }

    fn hand_over(&self, epoch: u64, events: Vec<Event>, room: Option<crate::engine::live::queue::Room>) {
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
            // I11: every event takes room, also a checkpoint alone. Guarded by
            // `tests::i11::checkpoints_alone_are_bounded_too`.
            room.shrink(events.len(), bytes + events.len() * size_of::<Event>());
            room
        });
        self.queue.send(Incoming::Polled(Polled { epoch, events, room }));
    }

    /// Nothing more is read: waits until all of it is durable, keeps the connection alive meanwhile, and closes.
    async fn end(&self, capture: &mut dyn Capture, epoch: u64) -> Result<(), StageError> {
        self.queue.send(Incoming::End);
        while timeout(KEEP_ALIVE, self.finished()).await.is_err() {
            if let Err(error) = self.poll(capture, epoch, 0, Duration::ZERO).await {
                // A connection lost now costs nothing but the confirmation, which the next start makes good.
                tracing::debug!(%error, "the source went away while draining");
                self.finished().await;
                return Ok(());
            }
        }
        if let Err(error) = capture.close(self.confirmed_in(epoch).as_ref()).await {
            tracing::debug!(%error, "the source did not close in an orderly way");
        }
        Ok(())
    }
}
