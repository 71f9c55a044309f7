//! A host from its start to its end, in rounds. Another round begins where the source has changed so that a run cannot go on, and
//! where a plugin takes the place of its former file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::deployment::Deployment;
use super::reload::{EndRound, Reloading, StartingExchange};
use super::{AppError, Folders, RunOptions, options, remote, state_folder};
use crate::config::Config;
use crate::engine::{self, EngineError, Finished, Observation, Observer, Options, RunRegistry, Shutdown};
use crate::limits;
use crate::metrics::Metrics;
use crate::plugin::state::StateFolder;
use crate::server::{self, Control, RunState, Searches, Server};

/// Runs until it is done, asked to stop, or cannot go on.
///
/// # Errors
///
/// Why it could not start or go on. Nothing is lost: what was not confirmed comes again at the next start.
pub async fn run(
    config: Config,
    folders: &Folders,
    run: RunOptions,
    observer: Arc<dyn Observer>,
    asked: watch::Receiver<bool>,
) -> Result<Finished, AppError> {
    let is_watching = run.watch;
    let options = options(&config, run);
    let mut deployment = Deployment::prepare(&config, folders).await?;
    let (reloads, requests) = server::reloads();
    let (handle, registry) = engine::control();
    let metrics = Arc::new(Metrics::new(&handle, deployment.plugins.metrics())?);
    let observer: Arc<dyn Observer> = Arc::new(Both(observer, Arc::clone(&metrics) as _));
    let control =
        Control { run: handle.clone(), reloads, searches: Searches::default(), metrics, state: RunState::default() };
    let mut host = Host { config: &config, folders, options, observer, control, registry, held: None, served: None };
    let mut reloading = Reloading::new(&config, folders, requests, handle, is_watching);
    let mut asked = Shutdown::from(asked);
    let mut again = Again::default();
    // An exchange whose plugin has not come to run yet: it may be rolled back.
    let mut starting: Option<StartingExchange> = None;
    loop {
        let (stop, shutdown) = engine::shutdown();
        let mut next = None;
        let began = Instant::now();
        let current = deployment.clone();
        let ended = {
            let round = host.round(&mut deployment, shutdown);
            let wanted = reloading.next(&current, &mut starting);
            tokio::pin!(round, wanted);
            loop {
                tokio::select! {
                    biased;
                    ended = &mut round => break ended,
                    () = asked.asked(), if !stop.is_asked() => stop.stop(),
                    what = &mut wanted, if next.is_none() => {
                        next = Some(what);
                        stop.stop();
                    }
                }
            }
        };
        if asked.is_asked() {
            return match ended {
                Err(AppError::Engine(error)) if Again::is_wanted(&error, &host.options) => {
                    tracing::info!("left to the next start: {error}");
                    Ok(Finished::Drained)
                }
                ended => ended,
            };
        }
        if let Some(starting) = starting.take() {
            let reason = match (&ended, next) {
                (Err(error), _) => error.to_string(),
                (Ok(_), Some(EndRound::RollBack(reason))) => reason,
                (Ok(finished), _) => return Ok(*finished),
            };
            deployment = starting.roll_back(&reason);
            continue;
        }
        match (ended, next) {
            (Ok(_), Some(EndRound::Exchange(candidate))) => {
                starting = Some(candidate.begin(&mut deployment));
            }
            (Ok(finished), _) => return Ok(finished),
            (Err(error), next) => {
                if let Some(EndRound::Exchange(candidate)) = next {
                    candidate.refuse(&format!("the run ended meanwhile: {error}"));
                }
                let AppError::Engine(error) = error else { return Err(error) };
                let Some(wait) = again.after(&error, began.elapsed(), &host.options) else { return Err(error.into()) };
                tracing::warn!("the run begins again: {error}");
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = asked.asked() => return Ok(Finished::Drained),
                }
            }
        }
    }
}

/// Two observers that hear the same.
struct Both(Arc<dyn Observer>, Arc<dyn Observer>);

impl Observer for Both {
    fn observe(&self, observation: Observation<'_>) {
        self.0.observe(observation.clone());
        self.1.observe(observation);
    }
}

/// What stays from one round to the next.
struct Host<'a> {
    config: &'a Config,
    folders: &'a Folders,
    options: Options,
    observer: Arc<dyn Observer>,
    control: Control,
    registry: RunRegistry,
    /// Held over all rounds, so that no other host comes in between.
    held: Option<(PathBuf, StateFolder)>,
    served: Option<(PathBuf, Server)>,
}

impl Host<'_> {
    /// One round: opens everything and runs.
    async fn round(&mut self, deployment: &mut Deployment, mut shutdown: Shutdown) -> Result<Finished, AppError> {
        let (config, options) = (self.config, &self.options);
        let connected = tokio::select! {
            connected = deployment.connect(config, Arc::clone(&self.observer), options.clone()) => connected,
            // Nothing is in flight yet.
            () = shutdown.asked() => return Ok(Finished::Drained),
        };
        // Also before an error, which they may explain.
        deployment.say_notes();
        let connected = connected?;
        let folder = state_folder(config, self.folders, connected.identity())?;
        let state = match self.held.take() {
            Some((same, state)) if same == folder => state,
            _ => StateFolder::open(&folder)?,
        };
        let (_, state) = self.held.insert((folder.clone(), state));
        if !options.once && self.served.as_ref().is_none_or(|(same, _)| *same != folder) {
            // The one before frees its addresses first.
            drop(self.served.take());
            self.served = Some((folder.clone(), remote::serve(config, &folder, &self.control).await?));
        }
        deployment.remember_in(state)?;
        deployment.note_code(state, connected.description())?;
        let sinks = deployment.sinks(state).await;
        deployment.say_notes();
        let (sinks, plugins) = sinks?;
        self.control.searches.set(&config.prefix, plugins);
        let limit = deployment.assigned.builder.as_ref().unwrap_or(&deployment.assigned.source).limits.links.0;
        let links = state.links(&deployment.links, limit)?;
        let engine_state = Arc::new(state.engine(&links));
        self.control.state.set(Arc::clone(&engine_state) as _);
        Ok(connected.run(sinks, engine_state, shutdown, &self.registry).await?)
    }
}

/// When a run that ended begins again by itself.
#[derive(Default)]
struct Again {
    in_a_row: u32,
}

impl Again {
    /// The wait before the next run; `None`: the program ends. Tables that are altered one after the other are no fault: each
    /// run is waited for a little longer, and none is the last. A history that is lost again and again is one.
    fn after(&mut self, error: &EngineError, lasted: Duration, options: &Options) -> Option<Duration> {
        self.in_a_row = if lasted >= limits::program::HEALTHY_RUN { 1 } else { self.in_a_row.saturating_add(1) };
        let doublings = self.in_a_row.saturating_sub(1).min(16);
        let wait = (limits::engine::RETRY_FIRST * (1 << doublings)).min(limits::engine::RETRY_LONGEST);
        let is_last = matches!(error, EngineError::HistoryLost { .. }) && self.in_a_row > limits::program::RESTARTS;
        (Self::is_wanted(error, options) && !is_last).then_some(wait)
    }

    /// Whether another run can do what this one could not: such an end is no failure of a host that was asked to stop.
    fn is_wanted(error: &EngineError, options: &Options) -> bool {
        match error {
            EngineError::RestartRequired { .. } => true,
            EngineError::HistoryLost { .. } => options.on_history_loss == engine::OnHistoryLoss::Reseed,
            _ => false,
        }
    }
}
