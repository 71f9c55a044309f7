//! A run from its start to its end: connect, look, ensure, prepare, then live and backfill side by side.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ack::Ack;
use super::backfill::{Outstanding, Reading};
use super::batch::Batcher;
use super::build::Build;
use super::capture::{CaptureTask, Confirmed, Wish};
use super::confirm::{Backfills, Confirmer};
use super::deliver::Delivery;
use super::error::{EngineError, StageError};
use super::lane::{Lane, Scope};
use super::observer::{Observation, Observer};
use super::options::Options;
use super::policy::Quarantine;
use super::prepare::{open, prepare};
use super::progress::SourceRecord;
use super::queue::queue;
use super::retry::Retry;
use super::shared::Shared;
use super::shutdown::Shutdown;
use super::stage::{Builder, Capture, Description, Prepared, Sink, Source, State};
use super::start::{Opened, open_sinks, to_seed};
use super::worker::{Parts, Worker};
use crate::model::{Position, TableInterest};

/// How long the tasks of a run that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// What it was asked for is done and confirmed.
    Done,
    /// It was asked to stop; everything in flight is durable and confirmed.
    Drained,
    /// It was asked to stop and could not drain in time; what was in flight comes again.
    CutOff,
}

/// A builder and a source that answer, before anything is created.
pub struct Connected {
    source: Arc<dyn Source>,
    builder: Arc<dyn Builder>,
    observer: Arc<dyn Observer>,
    options: Options,
    description: Description,
    interest: Arc<[TableInterest]>,
    capture: Box<dyn Capture>,
    identity: String,
}

/// Opens the builder and the source and asks what they are. Waits for one that is away, as long as the options say.
///
/// # Errors
///
/// The run's error when a stage cannot be used.
pub async fn connect(
    source: Arc<dyn Source>,
    builder: Arc<dyn Builder>,
    observer: Arc<dyn Observer>,
    options: Options,
) -> Result<Connected, EngineError> {
    let name = format!("builder {:?}", builder.name());
    let mut retry = Retry::new(&name, &options, &*observer);
    let description = loop {
        match builder.describe().await {
            Ok(description) => break checked(&name, description)?,
            Err(error) => retry.failed(error).await?,
        }
    };
    let interest: Arc<[TableInterest]> = description.interest.clone().into();
    let name = format!("source {:?}", source.name());
    let mut retry = Retry::new(&name, &options, &*observer);
    let (capture, identity) = loop {
        match open(&*source, &interest).await {
            Ok(opened) => break opened,
            Err(error) => retry.failed(error).await?,
        }
    };
    observer.observe(Observation::Connected { identity: &identity });
    Ok(Connected { source, builder, observer, options, description, interest, capture, identity })
}

/// What a builder offers is not trusted: every index must have one root, and every number must mean something.
fn checked(builder: &str, description: Description) -> Result<Description, EngineError> {
    let Description { mappings, scopes, interest } = &description;
    let wrong = |what: String| Err(EngineError::stage(builder, StageError::Fatal(what)));
    for (number, mapping) in mappings.iter().enumerate() {
        let roots = scopes.iter().filter(|scope| scope.index as usize == number);
        let known: Vec<_> = roots.filter(|scope| (scope.root as usize) < interest.len()).collect();
        if known.len() != 1 {
            return wrong(format!("index {:?} has {} root tables; it must have one", mapping.index, known.len()));
        }
        if mappings.iter().filter(|other| other.index == mapping.index).count() > 1 {
            return wrong(format!("it offers two indexes called {:?}; give one of them another name", mapping.index));
        }
    }
    Ok(description)
}

impl Connected {
    /// The source's name for its store and its cursor on it, fit for a file name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What the builder offers.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Removes everything that the source keeps outside, and says what.
    ///
    /// # Errors
    ///
    /// The source's.
    pub async fn discard(mut self) -> Result<Vec<String>, EngineError> {
        let name = format!("source {:?}", self.source.name());
        let mut retry = Retry::new(&name, &self.options, &*self.observer);
        loop {
            match self.capture.discard().await {
                Ok(removed) => return Ok(removed),
                Err(error) => {
                    retry.failed(error).await?;
                    match open(&*self.source, &self.interest).await {
                        Ok((capture, _)) => self.capture = capture,
                        Err(error) => retry.failed(error).await?,
                    }
                }
            }
        }
    }

    /// Runs the pipeline.
    ///
    /// # Errors
    ///
    /// Why it ended otherwise than asked for. Nothing is lost: what was not confirmed comes again.
    pub async fn run(
        self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        mut shutdown: Shutdown,
    ) -> Result<Finished, EngineError> {
        if sinks.is_empty() || sinks.len() > Scope::MOST {
            let message = format!("{} sinks are configured; 1 to {} are possible", sinks.len(), Scope::MOST);
            return Err(EngineError::Configuration { what: "sinks".to_owned(), message });
        }
        let drain = self.options.drain;
        let ear = shutdown.clone();
        let work = self.run_to_end(sinks, state, ear);
        tokio::pin!(work);
        tokio::select! {
            biased;
            ended = &mut work => return ended.map(|()| if shutdown.is_asked() { Finished::Drained } else { Finished::Done }),
            () = shutdown.asked() => {}
        }
        match timeout(drain, &mut work).await {
            Ok(ended) => ended.map(|()| Finished::Drained),
            Err(_) => Ok(Finished::CutOff),
        }
    }

    async fn run_to_end(
        self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        mut shutdown: Shutdown,
    ) -> Result<(), EngineError> {
        let start = self.start(sinks, state);
        tokio::pin!(start);
        let mut tasks = tokio::select! {
            biased;
            // Nothing is in flight yet: a stop needs no draining.
            () = shutdown.asked() => return Ok(()),
            started = &mut start => started?,
        };
        let wish = Arc::clone(&tasks.wish);
        let stopping = async {
            shutdown.asked().await;
            tasks.observer.observe(Observation::Draining);
            wish.send_replace(Wish::End);
            std::future::pending::<()>().await;
        };
        tokio::pin!(stopping);
        let ended = loop {
            let ended = tokio::select! {
                biased;
                () = &mut stopping => None,
                ended = tasks.set.join_next() => ended,
            };
            match ended {
                Some(Ok((Task::Capture, Ok(())))) | None => break Ok(()),
                Some(Ok((_, Ok(())))) => {}
                Some(Ok((_, Err(error)))) => break Err(error),
                Some(Err(error)) => {
                    let cause = StageError::Fatal(format!("a task of the pipeline ended: {error}"));
                    break Err(EngineError::stage("engine", cause));
                }
            }
        };
        // Whoever hears of the end may start again: nothing of this run is at work any more, unless it hangs.
        let _ = timeout(LAST_WORDS, tasks.set.shutdown()).await;
        ended
    }

    /// Everything before the first event: look, ensure, prepare, decide what to seed, start the tasks.
    async fn start(mut self, sinks: Vec<Arc<dyn Sink>>, state: Arc<dyn State>) -> Result<Tasks, EngineError> {
        let remembered = SourceRecord::load(&*state).await?;
        let position = remembered.as_ref().map(SourceRecord::position);
        let name = format!("source {:?}", self.source.name());
        let (inspection, mut opened) = {
            let mut retry = Retry::new(&name, &self.options, &*self.observer);
            let inspection = loop {
                match self.capture.inspect(position.as_ref()).await {
                    Ok(inspection) => break inspection,
                    Err(error) => {
                        retry.failed(error).await?;
                        self.capture = reopen(&*self.source, &self.interest, &mut retry).await?;
                    }
                }
            };
            let opened = open_sinks(&sinks, &state, &self.description, &self.options, &*self.observer).await?;
            (inspection, opened)
        };
        let resume = opened
            .reconcile(&inspection, position, remembered.as_ref(), &*state, &self.options, &*self.observer)
            .await?;
        let prepared = self.prepare(resume.as_ref(), &name).await?;
        let position = resume.clone().unwrap_or_else(|| prepared.position.clone());
        if resume.is_none() {
            let record = SourceRecord::new(&prepared.history, &position, prepared.version, None);
            state.apply(vec![record.store()?]).await.map_err(EngineError::State)?;
        }
        let printed = self.capture.print(&position).await.unwrap_or_else(|_| format!("{position:?}"));
        self.observer.observe(Observation::Prepared {
            history: &prepared.history,
            position: &printed,
            holds: &prepared.holds,
        });
        let to_seed = to_seed(&mut opened, &prepared.history, &*state, &self.options, &*self.observer).await?;
        self.spawn(sinks, state, prepared, resume, opened, to_seed).await
    }

    async fn prepare(&mut self, resume: Option<&Position>, name: &str) -> Result<Prepared, EngineError> {
        let mut retry = Retry::new(name, &self.options, &*self.observer);
        loop {
            match prepare(&mut *self.capture, resume, &*self.observer).await {
                Ok(prepared) => return Ok(prepared),
                Err(error) => {
                    retry.failed(error).await?;
                    self.capture = looked(&*self.source, &self.interest, resume, &mut retry).await?;
                }
            }
        }
    }

    async fn spawn(
        self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        prepared: Prepared,
        resume: Option<Position>,
        opened: Opened,
        to_seed: Vec<super::worker::ToSeed>,
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
        let worker = Worker::new(Parts {
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
        });
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

async fn reopen(
    source: &dyn Source,
    interest: &[TableInterest],
    retry: &mut Retry<'_>,
) -> Result<Box<dyn Capture>, EngineError> {
    loop {
        match open(source, interest).await {
            Ok((capture, _)) => return Ok(capture),
            Err(error) => retry.failed(error).await?,
        }
    }
}

/// A fresh instance that has looked at the source, as the contract wants before `prepare`.
async fn looked(
    source: &dyn Source,
    interest: &[TableInterest],
    resume: Option<&Position>,
    retry: &mut Retry<'_>,
) -> Result<Box<dyn Capture>, EngineError> {
    loop {
        let mut capture = reopen(source, interest, retry).await?;
        match capture.inspect(resume).await {
            Ok(_) => return Ok(capture),
            Err(error) => retry.failed(error).await?,
        }
    }
}

/// Which task ended: the run ends with the capture, which ends when everything is confirmed.
enum Task {
    Capture,
    Other,
}

/// The tasks of a run; dropping them ends it at once.
struct Tasks {
    set: JoinSet<(Task, Result<(), EngineError>)>,
    wish: Arc<watch::Sender<Wish>>,
    observer: Arc<dyn Observer>,
}
