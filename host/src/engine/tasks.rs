//! The tasks of a run, wired to each other.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinSet;

use crate::engine::durability::durable_watermark::Ack;
use crate::engine::control::position_reader::Asking;
use crate::engine::backfill::range_reader::{Outstanding, Reading};
use crate::engine::live::batch::Batcher;
use crate::engine::live::build::Build;
use crate::engine::live::capture::{CaptureTask, Confirmed, Wish};
use crate::engine::durability::confirm::{Backfills, Confirmer};
use crate::engine::startup::connect::Connected;
use crate::engine::control::commands::{Controlled, Entered, Run};
use crate::engine::delivery::sink_task::Delivery;
use crate::engine::error::EngineError;
use crate::engine::delivery::lane::Lane;
use crate::engine::observer::Observer;
use crate::engine::durability::quarantine::Quarantine;
use crate::engine::live::queue::queue;
use crate::engine::durability::visible_watermark::Watermark;
use crate::engine::backfill::schedule::ToSeed;
use crate::engine::run_context::Shared;
use crate::engine::stage::{Prepared, Sink, State};
use crate::engine::startup::reconcile::Opened;
use crate::engine::live::live_writes::Touched;
use crate::engine::live::worker::Worker;
use crate::model::Position;

/// How many questions may wait for their answer.
const COMMANDS: usize = 64;

/// Which task ended: the run ends with the capture, which ends when everything is confirmed.
pub(crate) enum Task {
    Capture,
    Other,
}

/// The tasks of a run; dropping them ends it at once.
pub(crate) struct Tasks {
    pub(crate) set: JoinSet<(Task, Result<(), EngineError>)>,
    pub(crate) wish: Arc<watch::Sender<Wish>>,
    pub(crate) observer: Arc<dyn Observer>,
    /// While it is here the run can be asked.
    _entered: Entered,
}

impl Connected {
    /// Starts them.
    #[expect(clippy::too_many_arguments, reason = "all that a start has found out")]
    pub(crate) async fn spawn(
        self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        prepared: Prepared,
        resume: Option<Position>,
        opened: Opened,
        to_seed: Vec<ToSeed>,
        controlled: &Controlled,
    ) -> Result<Tasks, EngineError> {
        let Self { source, builder, observer, options, description, interest, capture, .. } = self;
        let builder_quarantine = Quarantine::load(builder.name(), &*state).await.map_err(EngineError::State)?;
        let wish = if options.once && to_seed.is_empty() { Wish::FollowToHead } else { Wish::Follow };
        let shared = Arc::new(Shared::new(
            options,
            Arc::clone(&observer),
            Arc::clone(&state),
            description.mappings,
            prepared.version,
        ));
        let ack = Arc::new(Ack::new(sinks.len()));
        let (lane, entries) = Lane::new(sinks.len(), &shared.options, Arc::clone(&ack));
        let (queue_in, queue_out) = queue(&shared.options);
        let (done_in, done) = mpsc::unbounded_channel();
        let (wish, wish_out) = watch::channel(wish);
        let wish = Arc::new(wish);
        let first = resume.unwrap_or(prepared.position);
        let watermark = Watermark::new(sinks.len(), first.clone());
        let filled = |index: &_| to_seed.iter().any(|it| it.index == *index);
        let (filling, unseeded): (Vec<_>, Vec<_>) = opened.not_whole().partition(filled);
        shared.reached.send_modify(|reached| {
            reached.durable = Some(first.clone());
            reached.filling = filling.into_iter().collect();
            reached.unseeded = unseeded.into_iter().collect();
        });
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let (heads_in, heads) = mpsc::channel(COMMANDS);
        let asking = Asking::new(Arc::clone(&source), Arc::clone(&interest), first.clone());
        let position = Some(first);
        let (confirmed, confirmed_out) = watch::channel(Confirmed { position, epoch: 0, finished: false });
        let (jobs, jobs_out) = mpsc::unbounded_channel();
        let jobs_out = Arc::new(AsyncMutex::new(jobs_out));
        let readers = shared.options.backfill_parts.max(1) as usize;
        let (answers_in, answers) = mpsc::channel(readers);
        let (outstanding, backfills) = (Outstanding::default(), Backfills::default());
        let mut set = JoinSet::new();

        let names = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        let followed = opened.follows();
        let parts = sinks.into_iter().zip(opened.sinks).zip(entries).enumerate();
        for (number, ((sink, opened), entries)) in parts {
            let quarantine = Quarantine::load(sink.name(), &*state).await.map_err(EngineError::State)?;
            let delivery = Delivery {
                number,
                sink,
                writer: Some(opened.writer),
                routes: opened.routes,
                quarantine,
                history: Arc::clone(&prepared.history),
                entries,
                next: VecDeque::new(),
                enough: shared.options.flush_bytes,
                done: done_in.clone(),
                wish: shared.wish.subscribe(),
                wished: false,
                visible: None,
                flushed: 0,
                shared: Arc::clone(&shared),
            };
            set.spawn(async move { (Task::Other, delivery.run().await) });
        }
        let confirmer = Confirmer {
            ack,
            done,
            watermark,
            confirmed,
            wish: Arc::clone(&wish),
            backfills: Arc::clone(&backfills),
            history: Arc::clone(&prepared.history),
            followed: Some(followed),
            ended: Vec::new(),
            shared: Arc::clone(&shared),
        };
        set.spawn(async move { (Task::Other, confirmer.run().await) });
        for _ in 0..readers {
            let reading = Reading {
                source: Arc::clone(&source),
                builder: Arc::clone(&builder),
                interest: Arc::clone(&interest),
                jobs: Arc::clone(&jobs_out),
                answers: answers_in.clone(),
                outstanding: outstanding.clone(),
                emitted: Arc::clone(lane.emitted()),
                history: Arc::clone(&prepared.history),
                shared: Arc::clone(&shared),
            };
            set.spawn(async move { (Task::Other, reading.run().await) });
        }
        let (stop, shutdown) = crate::engine::shutdown::shutdown();
        let worker = Worker {
            batcher: Batcher::new(queue_out),
            build: Build::new(builder, builder_quarantine, Arc::clone(&shared)),
            lane,
            jobs,
            answers,
            commands,
            outstanding,
            backfills: Arc::clone(&backfills),
            sinks: names,
            roots: description.scopes.iter().map(|scope| (scope.index, scope.root)).collect::<HashMap<_, _>>(),
            shared: Arc::clone(&shared),
            shutdown,
            seeding: HashMap::new(),
            touched: Touched::default(),
        };
        set.spawn(async move { (Task::Other, worker.run(to_seed).await) });
        let mut ended = wish_out.clone();
        set.spawn(async move {
            // A backfill is not waited for when the run should end.
            if ended.wait_for(|wish| *wish == Wish::End).await.is_ok() {
                stop.stop();
            }
            std::future::pending().await
        });
        let entered = controlled.enter(Run {
            names: shared.names.clone(),
            commands: commands_in,
            heads: heads_in,
            reached: shared.reached.subscribe(),
            wish: Arc::clone(&shared.wish),
            backfills,
            asking: AsyncMutex::new(asking),
        });
        let (history, confirmed, queue, wish_in) = (prepared.history, confirmed_out, queue_in, wish_out);
        let asked = None;
        let task = CaptureTask { source, interest, queue, wish: wish_in, confirmed, heads, asked, history, shared };
        set.spawn(async move { (Task::Capture, task.run(capture).await) });
        Ok(Tasks { set, wish, observer, _entered: entered })
    }
}
