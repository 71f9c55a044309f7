//! A run from its start to its end: reconcile and prepare, then live changes and backfills side by side, until the run is
//! asked to end, has done what it was asked for, or fails.

use std::sync::Arc;

use tokio::time::timeout;

use crate::engine::control::commands::RunRegistry;
use crate::engine::delivery::lane::SinkSet;
use crate::engine::durability::records::SourceRecord;
use crate::engine::error::{EngineError, StageError};
use crate::engine::live::capture::CaptureMode;
use crate::engine::observer::Observation;
use crate::engine::run_context::RunContext;
use crate::engine::shutdown::Shutdown;
use crate::engine::stage::{Capture, Prepared, Sink, State};
use crate::engine::startup::connect::{Connected, OpenSource};
use crate::engine::startup::open_sinks::OpenSinks;
use crate::engine::startup::prepare::prepare;
use crate::engine::tasks::{Started, Task, Tasks};
use crate::limits;
use crate::model::Position;

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

impl Connected {
    /// Runs the pipeline, which takes commands by the handle on `registry` meanwhile.
    ///
    /// # Errors
    ///
    /// Why it ended otherwise than asked for. Nothing is lost: what was not confirmed comes again.
    pub async fn run(
        self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        mut shutdown: Shutdown,
        registry: &RunRegistry,
    ) -> Result<Finished, EngineError> {
        if sinks.is_empty() || sinks.len() > SinkSet::CAPACITY {
            let message = format!("{} sinks are configured; 1 to {} are possible", sinks.len(), SinkSet::CAPACITY);
            return Err(EngineError::Configuration { what: "sinks".to_owned(), message });
        }
        let drain_limit = self.options.drain;
        let run = self.run_to_end(sinks, state, shutdown.clone(), registry);
        tokio::pin!(run);
        tokio::select! {
            biased;
            ended = &mut run => {
                return ended.map(|()| if shutdown.is_asked() { Finished::Drained } else { Finished::Done });
            }
            () = shutdown.asked() => {}
        }
        match timeout(drain_limit, &mut run).await {
            Ok(ended) => ended.map(|()| Finished::Drained),
            Err(_) => Ok(Finished::CutOff),
        }
    }

    async fn run_to_end(
        self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        mut shutdown: Shutdown,
        registry: &RunRegistry,
    ) -> Result<(), EngineError> {
        let mut tasks = tokio::select! {
            biased;
            // Nothing is in flight yet: a stop needs no draining.
            () = shutdown.asked() => return Ok(()),
            started = self.start(sinks, state) => Tasks::start(started?, registry).await?,
        };
        let (mode, context) = (Arc::clone(&tasks.mode), Arc::clone(&tasks.context));
        let stopping = async move {
            shutdown.asked().await;
            context.observe(Observation::Draining);
            mode.send_replace(CaptureMode::End);
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
                Some(Ok((Task::Other, Ok(())))) => {}
                Some(Ok((_, Err(error)))) => break Err(error),
                Some(Err(error)) => {
                    let cause = StageError::Fatal(format!("a task of the pipeline ended: {error}"));
                    break Err(EngineError::stage("engine", cause));
                }
            }
        };
        if ended.is_err() {
            let _ = timeout(limits::engine::LAST_FLUSH_TIMEOUT, tasks.end_sinks()).await;
        }
        // The caller may start the next run at once, so no task of this one is left at work, unless it hangs.
        let _ = timeout(limits::engine::TASK_SHUTDOWN_TIMEOUT, tasks.set.shutdown()).await;
        ended
    }

    /// Everything before the first change: reconcile the sinks' marks, prepare the source, decide what to seed.
    async fn start(self, sinks: Vec<Arc<dyn Sink>>, state: Arc<dyn State>) -> Result<Started, EngineError> {
        let Self { mut source, builder, observer, options, description, .. } = self;
        let context = Arc::new(RunContext::new(options, observer, state, &description, &sinks));
        let remembered = SourceRecord::load(&*context.state).await?;
        let position = remembered.as_ref().map(SourceRecord::position);
        let mut retry = context.retry(source.stage());
        let inspect = |mut capture: Box<dyn Capture>| async {
            let inspection = capture.inspect(position.as_ref()).await;
            (capture, inspection)
        };
        let inspection = source.call(&mut retry, inspect).await?;

        let mut sinks = OpenSinks::open(sinks, &context).await?;
        sinks.check_reseed()?;
        let resume = sinks.reconcile(&inspection, remembered.as_ref()).await?;
        if resume.is_some() && !inspection.unrecorded.is_empty() {
            sinks.unmark_indexes_of_unrecorded_tables(&inspection.unrecorded, &description, &*builder).await?;
        }
        sinks.unmark_indexes_with_missing_links(&description, resume.is_some()).await?;

        // I3: no row is read before this returns. Guarded by `tests::i3::no_row_is_read_before_the_source_is_prepared`.
        let prepared = prepare_source(&mut source, resume.as_ref(), &context).await?;
        context.advance_version(prepared.version);
        let position = resume.clone().unwrap_or_else(|| prepared.position.clone());
        if resume.is_none() {
            let record = SourceRecord::new(&prepared.history, &position, prepared.version, None);
            context.store(vec![record.store()?]).await?;
        }
        let mut retry = context.retry(source.stage());
        let print = |mut capture: Box<dyn Capture>| async {
            let printed = capture.print(&position).await;
            (capture, Ok(printed))
        };
        let printed = source.call(&mut retry, print).await?;
        context.observe(Observation::Prepared {
            history: &prepared.history,
            position: &printed.unwrap_or_else(|_| format!("{position:?}")),
            resources: &prepared.resources,
        });
        sinks.renew_marks(&prepared.history).await?;
        let seed_requests = sinks.seed_requests(&prepared.history).await?;
        Ok(Started { source, builder, prepared, position, sinks, seed_requests })
    }
}

/// Prepares the source. After a failure a fresh instance is inspected first, as the contract wants.
async fn prepare_source(
    source: &mut OpenSource,
    resume: Option<&Position>,
    context: &RunContext,
) -> Result<Prepared, EngineError> {
    let mut retry = context.retry(source.stage());
    let mut inspected = true;
    source
        .call(&mut retry, |mut capture| {
            let fresh = !std::mem::take(&mut inspected);
            async move {
                let inspection = if fresh { capture.inspect(resume).await.map(drop) } else { Ok(()) };
                let prepared = match inspection {
                    Ok(()) => prepare(&mut *capture, resume, &*context.observer).await,
                    Err(error) => Err(error),
                };
                (capture, prepared)
            }
        })
        .await
}
