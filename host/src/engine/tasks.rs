//! The tasks of a run, connected by their channels.

use std::sync::Arc;

use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::engine::backfill::outstanding_reads::OutstandingReads;
use crate::engine::backfill::range_reader::{BackfillStages, RangeReader};
use crate::engine::backfill::running::RunningBackfills;
use crate::engine::control::commands::{ActiveRun, RegisteredRun, RunRegistry};
use crate::engine::control::position_reader::PositionReader;
use crate::engine::delivery::lane::Lane;
use crate::engine::delivery::sink_task::SinkTask;
use crate::engine::durability::confirm::{Confirmer, ConfirmerChannels};
use crate::engine::durability::durable_watermark::DurableWatermark;
use crate::engine::durability::quarantine::Quarantine;
use crate::engine::durability::visible_watermark::VisibleWatermark;
use crate::engine::error::EngineError;
use crate::engine::live::batch::Batcher;
use crate::engine::live::build::BuildStage;
use crate::engine::live::capture::{CaptureChannels, CaptureMode, CaptureTask, Confirmed};
use crate::engine::live::queue::queue;
use crate::engine::live::worker::{Worker, WorkerChannels};
use crate::engine::run_context::RunContext;
use crate::engine::shutdown::shutdown;
use crate::engine::stage::{Builder, Prepared};
use crate::engine::startup::connect::OpenSource;
use crate::engine::startup::open_sinks::OpenSinks;
use crate::engine::startup::seed_requests::SeedRequest;
use crate::limits;
use crate::model::Position;

/// Which task ended: the run ends with the capture, which ends when everything is confirmed.
pub(crate) enum Task {
    Capture,
    Other,
}

/// The tasks of a run; dropping them ends it at once.
pub(crate) struct Tasks {
    pub(crate) set: JoinSet<(Task, Result<(), EngineError>)>,
    pub(crate) mode: Arc<watch::Sender<CaptureMode>>,
    pub(crate) context: Arc<RunContext>,
    /// All but those of sinks.
    others: Vec<AbortHandle>,
    /// The run takes commands until this is dropped.
    _registered: RegisteredRun,
}

/// What the start of a run has found out.
pub(crate) struct Started {
    pub(crate) source: OpenSource,
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) prepared: Prepared,
    /// Where the source resumes, or where a new history begins.
    pub(crate) position: Position,
    pub(crate) sinks: OpenSinks,
    pub(crate) seed_requests: Vec<SeedRequest>,
}

impl Tasks {
    /// Starts the tasks of a run.
    pub(crate) async fn start(started: Started, registry: &RunRegistry) -> Result<Self, EngineError> {
        let Started { source, builder, prepared, position, sinks, seed_requests } = started;
        let context = Arc::clone(&sinks.context);
        let (source, interest, capture) = source.into_parts();
        let sink_count = context.sink_names.len();
        let followed = sinks.followed_indexes();

        let is_requested = |index: &_| seed_requests.iter().any(|request| request.index == *index);
        let (seeding, unseeded): (Vec<_>, Vec<_>) = sinks.incomplete_indexes().partition(is_requested);
        context.watermarks.send_modify(|watermarks| {
            watermarks.durable = Some(position.clone());
            watermarks.seeding = seeding.into_iter().collect();
            watermarks.unseeded = unseeded.into_iter().collect();
        });

        let first_mode = match context.options.once && seed_requests.is_empty() {
            true => CaptureMode::FollowToHead,
            false => CaptureMode::Follow,
        };
        let (mode, mode_receiver) = watch::channel(first_mode);
        let mode = Arc::new(mode);
        let (confirmed, confirmed_receiver) =
            watch::channel(Confirmed { position: Some(position.clone()), epoch: 0, finished: false });
        let (queue_sender, queue_receiver) = queue(&context.options);
        let (progress_sender, sink_progress) = mpsc::unbounded_channel();
        let (commands_sender, commands) = mpsc::channel(limits::engine::COMMAND_QUEUE);
        let (heads_sender, head_requests) = mpsc::channel(limits::engine::COMMAND_QUEUE);
        let (jobs, jobs_receiver) = mpsc::unbounded_channel();
        let jobs_receiver = Arc::new(AsyncMutex::new(jobs_receiver));
        let readers = context.options.backfill_parts.max(1) as usize;
        let (results_sender, results) = mpsc::channel(readers);

        let durable = Arc::new(DurableWatermark::new(sink_count));
        let (lane, entries) = Lane::new(sink_count, &context.options, Arc::clone(&durable));
        let (outstanding_reads, backfills) = (OutstandingReads::default(), RunningBackfills::default());
        let mut set = JoinSet::new();

        for (number, (sink, entries)) in sinks.sinks.into_iter().zip(entries).enumerate() {
            let (history, progress) = (Arc::clone(&prepared.history), progress_sender.clone());
            let task = SinkTask::new(number, sink, history, entries, progress, Arc::clone(&context)).await?;
            set.spawn(async move { (Task::Other, task.run().await) });
        }
        let mut others = Vec::new();

        let confirmer = Confirmer::new(
            durable,
            VisibleWatermark::new(sink_count, position.clone()),
            ConfirmerChannels { sink_progress, confirmed, mode: Arc::clone(&mode) },
            backfills.clone(),
            Arc::clone(&prepared.history),
            followed,
            Arc::clone(&context),
        );
        others.push(set.spawn(async move { (Task::Other, confirmer.run().await) }));

        let stages = BackfillStages {
            source: Arc::clone(&source),
            builder: Arc::clone(&builder),
            interest: Arc::clone(&interest),
            history: Arc::clone(&prepared.history),
        };
        for _ in 0..readers {
            let (jobs, results) = (Arc::clone(&jobs_receiver), results_sender.clone());
            let (reads, emitted) = (outstanding_reads.clone(), Arc::clone(lane.emitted()));
            let reader = RangeReader::new(stages.clone(), jobs, results, reads, emitted, Arc::clone(&context));
            others.push(set.spawn(async move { (Task::Other, reader.run().await) }));
        }

        let (stop, backfill_shutdown) = shutdown();
        let mut mode_of_stop = mode_receiver.clone();
        others.push(set.spawn(async move {
            // Backfills are not waited for when the run should end.
            if mode_of_stop.wait_for(|mode| *mode == CaptureMode::End).await.is_ok() {
                stop.stop();
            }
            std::future::pending().await
        }));

        let quarantine = Quarantine::load(builder.name(), &*context.state).await.map_err(EngineError::State)?;
        let worker = Worker::new(
            Batcher::new(queue_receiver),
            BuildStage::new(builder, quarantine, Arc::clone(&context)),
            lane,
            WorkerChannels { jobs, results, commands, shutdown: backfill_shutdown },
            outstanding_reads,
            backfills.clone(),
            Arc::clone(&context),
        );
        others.push(set.spawn(async move { (Task::Other, worker.run(seed_requests).await) }));

        let position_reader = PositionReader::new(Arc::clone(&source), Arc::clone(&interest), position);
        let run = ActiveRun::new(&context, commands_sender, heads_sender, backfills, position_reader);
        let registered = registry.register(run);

        let channels =
            CaptureChannels { queue: queue_sender, mode: mode_receiver, confirmed: confirmed_receiver, head_requests };
        let task = CaptureTask::new(source, interest, channels, prepared.history, Arc::clone(&context));
        others.push(set.spawn(async move { (Task::Capture, task.run(capture).await) }));
        Ok(Self { set, mode, context, others, _registered: registered })
    }

    /// The run has failed: what is built already reaches the sinks that can still write. A sink ends when its lane does, which
    /// the worker held.
    pub(crate) async fn end_sinks(&mut self) {
        self.others.iter().for_each(AbortHandle::abort);
        while self.set.join_next().await.is_some() {}
    }
}
