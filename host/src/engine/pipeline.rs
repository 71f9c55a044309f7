//! A run from its start to its end: look, ensure, prepare, then live and backfill side by side.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::engine::live::capture::Wish;
use crate::engine::startup::connect::Connected;
use crate::engine::control::commands::Controlled;
use crate::engine::error::{EngineError, StageError};
use crate::engine::delivery::lane::Scope;
use crate::engine::observer::Observation;
use crate::engine::startup::prepare::{looked, prepare, reopen};
use crate::engine::durability::records::SourceRecord;
use crate::engine::retry::Retry;
use crate::engine::shutdown::Shutdown;
use crate::engine::stage::{Prepared, Sink, State};
use crate::engine::startup::reconcile::{open_sinks, to_seed};
use crate::engine::tasks::{Task, Tasks};
use crate::model::Position;

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

impl Connected {
    /// Runs the pipeline. Meanwhile it answers what `controlled`'s other side asks.
    ///
    /// # Errors
    ///
    /// Why it ended otherwise than asked for. Nothing is lost: what was not confirmed comes again.
    pub async fn run(
        self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        mut shutdown: Shutdown,
        controlled: &Controlled,
    ) -> Result<Finished, EngineError> {
        if sinks.is_empty() || sinks.len() > Scope::MOST {
            let message = format!("{} sinks are configured; 1 to {} are possible", sinks.len(), Scope::MOST);
            return Err(EngineError::Configuration { what: "sinks".to_owned(), message });
        }
        let drain = self.options.drain;
        let ear = shutdown.clone();
        let work = self.run_to_end(sinks, state, ear, controlled);
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
        controlled: &Controlled,
    ) -> Result<(), EngineError> {
        let start = self.start(sinks, state, controlled);
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
    async fn start(
        mut self,
        sinks: Vec<Arc<dyn Sink>>,
        state: Arc<dyn State>,
        controlled: &Controlled,
    ) -> Result<Tasks, EngineError> {
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
            opened.check(&self.options)?;
            (inspection, opened)
        };
        let resume = opened
            .reconcile(&inspection, position, remembered.as_ref(), &*state, &self.options, &*self.observer)
            .await?;
        if resume.is_some() && !inspection.missed.is_empty() {
            let (options, observer) = (&self.options, &*self.observer);
            opened
                .unseed_what_was_missed(&inspection.missed, &self.description, &*self.builder, options, observer)
                .await?;
        }
        let (options, observer) = (&self.options, &*self.observer);
        opened.unseed_what_was_not_remembered(&self.description, resume.is_some(), &*state, options, observer).await?;
        // I3: no row is read before this returns. Guarded by `tests::i3::no_row_is_read_before_the_source_is_prepared`.
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
        opened.renew(&prepared.history, &*state, &self.options, &*self.observer).await?;
        let to_seed = to_seed(&mut opened, &prepared.history, &*state, &self.options, &*self.observer).await?;
        self.spawn(sinks, state, prepared, resume, opened, to_seed, controlled).await
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
}
