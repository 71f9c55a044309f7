//! What a run counts and measures: for Prometheus (`/metrics`), and as it stands now (`/status`, `flusso-host status`). Fed by the
//! engine's reports, read when somebody asks. Names of indexes, sinks and plugins are among it; rows, keys and credentials never are.
//!
//! | file | what it holds |
//! |---|---|
//! | `instruments` | every metric, in one table |
//! | `status` | what is known of the run now |

mod instruments;
mod status;

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::TextEncoder;

use crate::engine::{Observation, Observer, RunHandle};
use crate::plugin::metrics::Metrics as PluginMetrics;
use instruments::{Instruments, label};
pub use instruments::{METRICS, Metric};
use status::Seen;
pub use status::{IndexNow, Phase, Problem, SinkNow, Status};

/// The metrics of one host, over all its rounds.
pub struct Metrics {
    instruments: Instruments,
    seen: Mutex<Seen>,
}

/// The metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be kept: {0}")]
pub struct MetricsError(String);

impl Metrics {
    /// Nothing counted yet. `indexes`: what is known of the run; `plugins`: what plugins count themselves.
    ///
    /// # Errors
    ///
    /// When two metrics have one name.
    pub fn new(run: &RunHandle, plugins: PluginMetrics) -> Result<Self, MetricsError> {
        let instruments = Instruments::new(run.clone(), plugins).map_err(|error| MetricsError(error.to_string()))?;
        Ok(Self { instruments, seen: Mutex::new(Seen::default()) })
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    ///
    /// When it cannot be rendered.
    pub fn text(&self) -> Result<String, MetricsError> {
        let families = self.instruments.registry.gather();
        TextEncoder::new().encode_to_string(&families).map_err(|error| MetricsError(error.to_string()))
    }

    /// How the run stands now.
    pub fn status(&self, run: &RunHandle) -> Status {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.status(run)
    }
}

impl Observer for Metrics {
    fn observe(&self, observation: Observation<'_>) {
        let to = &self.instruments;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match observation {
            Observation::Captured { changes, version, .. } => {
                seen.captured(changes as u64, version);
                to.captured.add(changes as u64, &[]);
            }
            Observation::Built { took, .. } => {
                seen.batches += 1;
                to.batches.add(1, &[]);
                to.batch_duration.record(took.as_secs_f64(), &[]);
            }
            Observation::DocumentsBuilt { index, documents, bytes } => {
                seen.index(index).built += documents as u64;
                to.built.add(documents as u64, &[label("index", index)]);
                to.built_bytes.add(bytes as u64, &[label("index", index)]);
            }
            Observation::Flushed { sink, documents, took } => {
                seen.flushed(sink, documents as u64, took);
                to.written.add(documents as u64, &[label("sink", sink)]);
                to.flush_duration.record(took.as_secs_f64(), &[label("sink", sink)]);
            }
            Observation::Confirmed { committed_at, version } => {
                let (committed, now) = (seen.confirmed(version), SystemTime::now());
                to.committed.add(committed, &[]);
                let now = now.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_micros()).ok());
                if let (Some(now), Some(then)) = (now, committed_at) {
                    #[expect(clippy::cast_precision_loss, reason = "microseconds of a delay")]
                    let seconds = now.saturating_sub(then) as f64 / 1e6;
                    seen.behind_seconds = Some(seconds);
                    to.durable_delay.record(seconds, &[]);
                }
            }
            Observation::Lag { bytes } => {
                to.lag.record(bytes, &[]);
            }
            Observation::Quarantined { index, class, .. } => {
                seen.quarantined += 1;
                seen.index(index).quarantined += 1;
                to.quarantined.add(1, &[label("index", index), label("class", class)]);
            }
            Observation::Retrying { what, error, .. } => {
                seen.failed(what, error);
                to.errors.add(1, &[label("stage", what)]);
            }
            Observation::Seeded { index, took, .. } => {
                to.seeded.add(1, &[label("index", index)]);
                to.seed_duration.record(took.as_secs_f64(), &[label("index", index)]);
            }
            Observation::Prepared { .. } => seen.is_stopping = false,
            Observation::Draining => seen.is_stopping = true,
            Observation::Connected { .. }
            | Observation::Preparing { .. }
            | Observation::HistoryLost { .. }
            | Observation::NothingToSeed { .. }
            | Observation::LinksIncomplete { .. }
            | Observation::ToSeed { .. }
            | Observation::SeedStarted { .. }
            | Observation::SeedProgress { .. } => {}
        }
        to.in_flight.record(seen.in_flight(), &[]);
    }
}
