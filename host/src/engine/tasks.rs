//! The tasks of a run, wired to each other.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinSet;

use super::ack::Ack;
use super::backfill::{Outstanding, Reading};
use super::batch::Batcher;
use super::build::Build;
use super::capture::{CaptureTask, Confirmed, Wish};
use super::confirm::{Backfills, Confirmer};
use super::connect::Connected;
use super::deliver::Delivery;
use super::error::EngineError;
use super::lane::Lane;
use super::observer::Observer;
use super::policy::Quarantine;
use super::queue::queue;
use super::seeding::ToSeed;
use super::shared::Shared;
use super::stage::{Prepared, Sink, State};
use super::start::Opened;
use super::touched::Touched;
use super::worker::Worker;
use crate::model::Position;

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
}

impl Connected {
    /// Starts them.
    pub(crate) async fn spawn(
        self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        prepared: Prepared,
        resume: Option<Position>,
        opened: Opened,
        to_seed: Vec<ToSeed>,
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
        let first = resume.or(Some(prepared.position));
        let (confirmed, confirmed_out) = watch::channel(Confirmed { position: first, epoch: 0, finished: false });
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
                next: None,
                done: done_in.clone(),
                shared: Arc::clone(&shared),
            };
            set.spawn(async move { (Task::Other, delivery.run().await) });
        }
        let confirmer = Confirmer {
            ack,
            done,
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
        let (stop, shutdown) = super::shutdown::shutdown();
        let worker = Worker {
            batcher: Batcher::new(queue_out),
            build: Build::new(builder, builder_quarantine, Arc::clone(&shared)),
            lane,
            jobs,
            answers,
            outstanding,
            backfills,
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
        let (history, confirmed) = (prepared.history, confirmed_out);
        let task = CaptureTask { source, interest, queue: queue_in, wish: wish_out, confirmed, history, shared };
        set.spawn(async move { (Task::Capture, task.run(capture).await) });
        Ok(Tasks { set, wish, observer })
    }
}
