//! `run`, and no command at all.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::{Common, Run};
use super::{Exit, failed, say, signal};
use crate::app::{self, RunOptions};
use crate::config::Time;
use crate::engine::{Finished, Observer, Reseed};
use crate::limits;
use crate::telemetry::Telemetry;

pub(super) async fn run(common: &Common, run: Run, telemetry: Arc<Telemetry>) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let stop = match signal::listen() {
        Ok(stop) => stop,
        Err(error) => return say(Exit::Failed, &format!("signals cannot be heard: {error}")),
    };
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    let observer: Arc<dyn Observer> = Arc::clone(&telemetry) as _;
    let ended = app::run(config, &common.folders(), run.options(), observer, stop).await;
    telemetry.end();
    match ended {
        Ok(Finished::Done | Finished::Drained) => Exit::Done.into(),
        Ok(Finished::CutOff) => {
            tracing::warn!(
                "not everything in flight was written within --drain-timeout; it comes again at the next start"
            );
            Exit::Done.into()
        }
        Err(error) => failed(&error),
    }
}

impl Run {
    fn options(self) -> RunOptions {
        let reseed = match self.reseed {
            None => Reseed::Nothing,
            Some(named) if named.iter().all(|name| name.is_empty() || name == "*") => Reseed::Everything,
            Some(named) => Reseed::Indexes(named),
        };
        let timeout = self.timeout.map(|timeout| timeout.0).or(self.once.then_some(limits::program::ONCE_TIMEOUT));
        RunOptions {
            once: self.once,
            timeout,
            reseed,
            skip_backfill: self.skip_backfill,
            drain: self.drain_timeout.0,
            watch: self.watch && !self.once,
        }
    }

    /// These flags, and where one was not given, what stood before the word `run`.
    pub(super) fn or(self, before: Run) -> Run {
        let drain_timeout = if self.drain_timeout == Time(limits::engine::DRAIN_TIMEOUT) {
            before.drain_timeout
        } else {
            self.drain_timeout
        };
        Run {
            once: self.once || before.once,
            timeout: self.timeout.or(before.timeout),
            reseed: self.reseed.or(before.reseed),
            skip_backfill: self.skip_backfill || before.skip_backfill,
            drain_timeout,
            watch: self.watch || before.watch,
        }
    }
}
