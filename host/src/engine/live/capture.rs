//! The capture: one task that owns the source's instance, polls it into the queue, tells it the confirmed position, and opens
//! it again when it fails.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::engine::error::{EngineError, StageError};
use crate::engine::live::queue::{PollResult, QueueItem, QueuePermit, QueueSender};
use crate::engine::observer::Observation;
use crate::engine::retry::Retry;
use crate::engine::run_context::RunContext;
use crate::engine::stage::{Capture, Poll, Source};
use crate::engine::startup::continuity::{Resumption, resumption};
use crate::engine::startup::prepare::prepare;
use crate::limits;
use crate::model::{Event, HistoryId, Position, TableInterest};

/// What the capture is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaptureMode {
    /// Follow the source.
    Follow,
    /// Take the source's head, follow to it, then end.
    FollowToHead,
    /// End at once.
    End,
}

/// The confirmed position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confirmed {
    /// Everything up to this position is durable in every sink, and stored by the host.
    pub(crate) position: Option<Position>,
    /// The epoch the position belongs to; an instance of another epoch starts from it instead of being told.
    pub(crate) epoch: u64,
    /// Everything that was emitted is durable, and nothing more comes.
    pub(crate) finished: bool,
}

/// The channels of the capture's task.
pub(crate) struct CaptureChannels {
    pub(crate) queue: QueueSender,
    pub(crate) mode: watch::Receiver<CaptureMode>,
    pub(crate) confirmed: watch::Receiver<Confirmed>,
    /// Requests for the source's head.
    pub(crate) head_requests: mpsc::Receiver<oneshot::Sender<Position>>,
}

/// The capture's task.
pub(crate) struct CaptureTask {
    source: Arc<dyn Source>,
    interest: Arc<[TableInterest]>,
    channels: CaptureChannels,
    history: HistoryId,
    context: Arc<RunContext>,
    last_head_request: Option<Instant>,
    last_lag: Instant,
}

/// Where an epoch is to end, and how far it is.
struct EpochProgress {
    target: Option<Position>,
    /// The last checkpoint that was queued, or where the epoch began.
    last: Option<Position>,
}

impl CaptureTask {
    pub(crate) fn new(
        source: Arc<dyn Source>,
        interest: Arc<[TableInterest]>,
        channels: CaptureChannels,
        history: HistoryId,
        context: Arc<RunContext>,
    ) -> Self {
        Self { source, interest, channels, history, context, last_head_request: None, last_lag: Instant::now() }
    }

    /// Runs until what the run was asked for is confirmed. `capture` is the prepared instance.
    pub(crate) async fn run(mut self, capture: Option<Box<dyn Capture>>) -> Result<(), EngineError> {
        let context = Arc::clone(&self.context);
        let mut retry = context.retry(format!("source {:?}", self.source.name()));
        let mut progress = EpochProgress { target: None, last: self.channels.confirmed.borrow().position.clone() };
        let mut capture = capture;
        loop {
            let error = match &mut capture {
                Some(capture) => match self.follow(&mut **capture, &mut progress, &mut retry).await {
                    Ok(()) => return Ok(()),
                    Err(error) => Some(error),
                },
                None => None,
            };
            drop(capture.take());
            self.context.next_epoch();
            let mut mode = self.channels.mode.clone();
            let reopened = tokio::select! {
                biased;
                // A run that should end does not wait for a source that is away.
                Ok(_) = mode.wait_for(|mode| *mode == CaptureMode::End) => None,
                reopened = self.reopen_after(error, &mut retry) => Some(reopened?),
            };
            let Some((instance, resumed)) = reopened else {
                self.channels.queue.send(QueueItem::End);
                self.finished().await;
                return Ok(());
            };
            capture = Some(instance);
            progress.last = resumed;
        }
    }

    /// Opens a new epoch at the last confirmed position, as soon as the source is back.
    async fn reopen_after(
        &self,
        error: Option<StageError>,
        retry: &mut Retry<'_>,
    ) -> Result<(Box<dyn Capture>, Option<Position>), EngineError> {
        if let Some(error) = error {
            retry.failed(error).await?;
        }
        retry.run(|| self.reopen()).await
    }

    async fn reopen(&self) -> Result<(Box<dyn Capture>, Option<Position>), StageError> {
        // I8: what was not confirmed comes again. Guarded by `tests::i8::a_crash_at_any_call_of_a_stage_loses_nothing`.
        let resume = self.channels.confirmed.borrow().position.clone();
        let mut capture = self.source.capture(&self.interest).await?;
        let inspection = capture.inspect(resume.as_ref()).await?;
        if !inspection.unrecorded.is_empty() {
            let reason = "changes of a followed table were not recorded for a while";
            return Err(StageError::RestartRequired(reason.to_owned()));
        }
        if let Resumption::Lost(reason) = resumption(&inspection, resume.as_ref().map(|_| &self.history)) {
            return Err(StageError::HistoryLost(reason));
        }
        prepare(&mut *capture, resume.as_ref(), &*self.context.observer).await?;
        Ok((capture, resume))
    }

    /// Waits until everything that was queued is durable. Where the confirmer is gone the run has failed, which is reported
    /// elsewhere: then this never returns.
    async fn finished(&self) {
        let mut confirmed = self.channels.confirmed.clone();
        if confirmed.wait_for(|confirmed| confirmed.finished).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// One epoch.
    async fn follow(
        &mut self,
        capture: &mut dyn Capture,
        progress: &mut EpochProgress,
        retry: &mut Retry<'_>,
    ) -> Result<(), StageError> {
        let epoch = self.context.epoch();
        loop {
            let mode = *self.channels.mode.borrow();
            match mode {
                CaptureMode::End => return self.end(capture, epoch).await,
                CaptureMode::FollowToHead if progress.target.is_none() => {
                    progress.target = Some(capture.head().await?);
                    if self.at_target(capture, progress).await? {
                        return self.end(capture, epoch).await;
                    }
                }
                CaptureMode::Follow | CaptureMode::FollowToHead => {}
            }
            let Ok(permit) = timeout(limits::engine::KEEP_ALIVE_INTERVAL, self.channels.queue.acquire()).await else {
                self.poll(capture, epoch, 0, Duration::ZERO).await?;
                self.answer_head_requests(capture).await?;
                self.read_lag(capture).await?;
                continue;
            };
            self.answer_head_requests(capture).await?;
            let events = self.poll(capture, epoch, self.channels.queue.poll_changes, self.poll_wait(progress)).await?;
            retry.succeeded();
            self.read_lag(capture).await?;
            if events.is_empty() {
                continue;
            }
            let checkpoint = events.iter().rev().find_map(|event| match event {
                Event::Checkpoint(checkpoint) => Some(checkpoint.position.clone()),
                _ => None,
            });
            let moved = checkpoint.is_some();
            progress.last = checkpoint.or(progress.last.take());
            let at_target = moved && self.at_target(capture, progress).await?;
            self.enqueue(epoch, events, permit);
            if at_target {
                return self.end(capture, epoch).await;
            }
        }
    }

    fn poll_wait(&self, progress: &EpochProgress) -> Duration {
        let waits_for_mode = self.context.options.once && progress.target.is_none();
        let recently = |request: Instant| request.elapsed() < limits::engine::SHORT_POLLS_AFTER_HEAD_REQUEST;
        match waits_for_mode || self.last_head_request.is_some_and(recently) {
            true => limits::engine::SHORT_POLL_WAIT,
            false => limits::engine::POLL_WAIT,
        }
    }

    /// Answers requests for the source's head; from then on polls aim at it.
    async fn answer_head_requests(&mut self, capture: &mut dyn Capture) -> Result<(), StageError> {
        let requests: Vec<_> = std::iter::from_fn(|| self.channels.head_requests.try_recv().ok()).collect();
        if requests.is_empty() {
            return Ok(());
        }
        let head = capture.head().await?;
        self.last_head_request = Some(Instant::now());
        for request in requests {
            // The client may have disconnected.
            let _ = request.send(head.clone());
        }
        Ok(())
    }

    /// Asks for the lag now and then. Guarded by `tests::lag::the_lag_of_the_source_is_read_now_and_then`.
    async fn read_lag(&mut self, capture: &mut dyn Capture) -> Result<(), StageError> {
        if self.last_lag.elapsed() < limits::engine::LAG_INTERVAL {
            return Ok(());
        }
        self.last_lag = Instant::now();
        let lag = match capture.lag().await {
            Err(StageError::Unsupported(_)) => None,
            lag => lag?,
        };
        self.context.watermarks.send_if_modified(|watermarks| {
            watermarks.lag = lag;
            false
        });
        if let Some(bytes) = lag {
            self.context.observe(Observation::Lag { bytes });
        }
        Ok(())
    }

    /// What the instance of an epoch is told: never a position that an older epoch delivered (contract, rule 4). Guarded by
    /// `tests::retry::a_new_opening_is_not_told_what_an_older_one_handed_out`.
    fn confirmed_in(&self, epoch: u64) -> Option<Position> {
        let confirmed = self.channels.confirmed.borrow();
        confirmed.position.clone().filter(|_| confirmed.epoch == epoch)
    }

    async fn poll(
        &self,
        capture: &mut dyn Capture,
        epoch: u64,
        max: u32,
        wait: Duration,
    ) -> Result<Vec<Event>, StageError> {
        let (confirmed, max_bytes) = (self.confirmed_in(epoch), self.channels.queue.poll_bytes);
        capture.poll(Poll { confirmed, max, max_bytes, wait }).await
    }

    /// Whether everything up to the target has been polled.
    async fn at_target(&self, capture: &mut dyn Capture, progress: &EpochProgress) -> Result<bool, StageError> {
        match (&progress.target, &progress.last) {
            (Some(target), Some(last)) => Ok(capture.compare(last, target).await? != Ordering::Less),
            _ => Ok(false),
        }
    }

    fn enqueue(&self, epoch: u64, events: Vec<Event>, permit: Option<QueuePermit>) {
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
        self.context.advance_version(version);
        self.context.observe(Observation::Captured { changes, checkpoints, version });
        let permit = permit.map(|mut permit| {
            // I11: every event counts, also a checkpoint alone. Guarded by
            // `tests::i11::checkpoints_alone_are_bounded_too`.
            permit.shrink(events.len(), bytes + events.len() * size_of::<Event>());
            permit
        });
        self.channels.queue.send(QueueItem::Poll(PollResult { epoch, events, permit }));
    }

    /// Reads nothing more: waits until everything is durable, keeps the connection alive meanwhile, and closes the source.
    async fn end(&self, capture: &mut dyn Capture, epoch: u64) -> Result<(), StageError> {
        self.channels.queue.send(QueueItem::End);
        while timeout(limits::engine::KEEP_ALIVE_INTERVAL, self.finished()).await.is_err() {
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
