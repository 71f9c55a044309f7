//! Every metric of the host, in one table; a test compares it with what is made. The names of flusso 0.15 mean what they meant there.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter, Gauge, Histogram, Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::Registry;

use crate::engine::{IndexStatus, RunHandle};
use crate::plugin::metrics::{Metrics as PluginMetrics, Reading, Series};

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name for collectors; Prometheus has `_` for `.`, the unit and `_total` behind it.
    pub name: &'static str,
    /// Its name for Prometheus.
    pub prometheus: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub about: &'static str,
}

const fn metric(
    name: &'static str,
    prometheus: &'static str,
    labels: &'static [&'static str],
    about: &'static str,
) -> Metric {
    Metric { name, prometheus, labels, about }
}

const CAPTURED: Metric =
    metric("flusso.changes.captured", "flusso_changes_captured_total", &[], "changes that came from the source");
const COMMITTED: Metric = metric(
    "flusso.changes.committed",
    "flusso_changes_committed_total",
    &[],
    "changes whose documents are durable in every sink",
);
const IN_FLIGHT: Metric =
    metric("flusso.changes.in_flight", "flusso_changes_in_flight", &[], "changes captured and not committed");
const BUILT: Metric =
    metric("flusso.documents.built", "flusso_documents_built_total", &["index"], "documents that were built");
const BUILT_BYTES: Metric =
    metric("flusso.documents.size", "flusso_documents_size_bytes_total", &["index"], "bytes of their bodies");
const WRITTEN: Metric = metric(
    "flusso.documents.written",
    "flusso_documents_written_total",
    &["sink"],
    "documents and deletes that a sink made durable",
);
const QUARANTINED: Metric = metric(
    "flusso.documents.quarantined",
    "flusso_documents_quarantined_total",
    &["class", "index"],
    "documents that could not be built, or were not taken by a sink",
);
const BATCHES: Metric = metric("flusso.batches", "flusso_batches_total", &[], "batches of changes that were built");
const BATCH_DURATION: Metric = metric(
    "flusso.batch.duration",
    "flusso_batch_duration_seconds",
    &[],
    "time to find and build the documents of a batch of changes",
);
const FLUSH_DURATION: Metric = metric(
    "flusso.flush.duration",
    "flusso_flush_duration_seconds",
    &["sink"],
    "time to write documents and make them durable",
);
const DURABLE_DELAY: Metric = metric(
    "flusso.commit_to_durable.duration",
    "flusso_commit_to_durable_duration_seconds",
    &[],
    "time from the commit of a transaction until its documents are durable in every sink",
);
const ERRORS: Metric =
    metric("flusso.errors", "flusso_errors_total", &["stage"], "calls of plugins that failed and were made again");
const LAG: Metric = metric(
    "flusso.replication.slot_lag",
    "flusso_replication_slot_lag_bytes",
    &[],
    "bytes of the source's log that are not confirmed",
);
const INDEXES: Metric = metric("flusso.indexes", "flusso_indexes", &["state"], "indexes, by how they stand");
const SEEDED: Metric =
    metric("flusso.indexes.seeded", "flusso_indexes_seeded_total", &["index"], "how often an index was seeded");
const SEED_DURATION: Metric =
    metric("flusso.seed.duration", "flusso_seed_duration_seconds", &["index"], "time to seed an index");
const SEED_ROWS: Metric =
    metric("flusso.seed.rows", "flusso_seed_rows", &["index"], "rows that are done of an index that is being filled");
const PLUGIN_COUNTS: Metric = metric(
    "flusso.plugin.counts",
    "flusso_plugin_counts_total",
    &["instance", "name", "plugin"],
    "what plugins count themselves, by its name; beside these, the labels that the plugin gives it",
);
const PLUGIN_VALUES: Metric = metric(
    "flusso.plugin.values",
    "flusso_plugin_values",
    &["instance", "name", "plugin"],
    "what plugins measure themselves, by its name",
);

/// All of them.
pub const METRICS: [Metric; 19] = [
    CAPTURED,
    COMMITTED,
    IN_FLIGHT,
    BUILT,
    BUILT_BYTES,
    WRITTEN,
    QUARANTINED,
    BATCHES,
    BATCH_DURATION,
    FLUSH_DURATION,
    DURABLE_DELAY,
    ERRORS,
    LAG,
    INDEXES,
    SEEDED,
    SEED_DURATION,
    SEED_ROWS,
    PLUGIN_COUNTS,
    PLUGIN_VALUES,
];

/// From a millisecond to ten seconds, as in flusso 0.15.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From a second to a day.
const LONG_SECONDS: [f64; 10] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0];

/// A label with its value.
pub(super) fn label(name: &'static str, value: &str) -> KeyValue {
    KeyValue::new(name, value.to_owned())
}

/// What the reports are counted with.
pub(super) struct Instruments {
    pub(super) registry: Registry,
    /// Keeps the numbers as long as they are counted.
    _provider: SdkMeterProvider,
    pub(super) captured: Counter<u64>,
    pub(super) committed: Counter<u64>,
    pub(super) in_flight: Gauge<u64>,
    pub(super) built: Counter<u64>,
    pub(super) built_bytes: Counter<u64>,
    pub(super) written: Counter<u64>,
    pub(super) quarantined: Counter<u64>,
    pub(super) batches: Counter<u64>,
    pub(super) batch_duration: Histogram<f64>,
    pub(super) flush_duration: Histogram<f64>,
    pub(super) durable_delay: Histogram<f64>,
    pub(super) errors: Counter<u64>,
    pub(super) lag: Gauge<u64>,
    pub(super) seeded: Counter<u64>,
    pub(super) seed_duration: Histogram<f64>,
}

impl Instruments {
    pub(super) fn new(run: RunHandle, plugins: PluginMetrics) -> Result<Self, Box<dyn std::error::Error>> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone());
        let exporter = exporter.without_target_info().scope_info_enabled(false).build()?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let meter = provider.meter("flusso-host");
        let counter = |of: Metric| meter.u64_counter(of.name).with_description(of.about).build();
        let gauge = |of: Metric| meter.u64_gauge(of.name).with_description(of.about).build();
        let seconds = |of: Metric, bounds: &[f64]| {
            let histogram = meter.f64_histogram(of.name).with_description(of.about).with_unit("s");
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        observe(&meter, run, plugins);
        let bytes = meter.u64_counter(BUILT_BYTES.name).with_description(BUILT_BYTES.about).with_unit("By").build();
        let lag = meter.u64_gauge(LAG.name).with_description(LAG.about).with_unit("By").build();
        Ok(Self {
            captured: counter(CAPTURED),
            committed: counter(COMMITTED),
            in_flight: gauge(IN_FLIGHT),
            built: counter(BUILT),
            built_bytes: bytes,
            written: counter(WRITTEN),
            quarantined: counter(QUARANTINED),
            batches: counter(BATCHES),
            batch_duration: seconds(BATCH_DURATION, &SECONDS),
            flush_duration: seconds(FLUSH_DURATION, &SECONDS),
            durable_delay: seconds(DURABLE_DELAY, &SECONDS),
            errors: counter(ERRORS),
            lag,
            seeded: counter(SEEDED),
            seed_duration: seconds(SEED_DURATION, &LONG_SECONDS),
            registry,
            _provider: provider,
        })
    }
}

/// What is looked at when somebody asks.
fn observe(meter: &Meter, run: RunHandle, plugins: PluginMetrics) {
    let indexes = run.clone();
    let _ = meter
        .u64_observable_gauge(INDEXES.name)
        .with_description(INDEXES.about)
        .with_callback(move |to| {
            let all = indexes.indexes().unwrap_or_default();
            for state in ["unseeded", "seeding", "rebuilding", "seeded"] {
                let count = all.iter().filter(|(_, status)| word(status) == state).count();
                to.observe(count as u64, &[label("state", state)]);
            }
        })
        .build();
    let _ = meter
        .u64_observable_gauge(SEED_ROWS.name)
        .with_description(SEED_ROWS.about)
        .with_callback(move |to| {
            for (name, status) in run.indexes().unwrap_or_default() {
                if let IndexStatus::Seeding(rows) | IndexStatus::Rebuilding(rows) = status {
                    to.observe(rows.done, &[label("index", &name)]);
                }
            }
        })
        .build();
    let values = plugins.clone();
    let _ = meter
        .u64_observable_counter(PLUGIN_COUNTS.name)
        .with_description(PLUGIN_COUNTS.about)
        .with_callback(move |to| {
            each(&plugins, |labels, reading| {
                if let Reading::Counter(count) = reading {
                    AsyncInstrument::observe(to, count, labels);
                }
            })
        })
        .build();
    let _ = meter
        .f64_observable_gauge(PLUGIN_VALUES.name)
        .with_description(PLUGIN_VALUES.about)
        .with_callback(move |to| {
            each(&values, |labels, reading| {
                if let Reading::Gauge(value) = reading {
                    AsyncInstrument::observe(to, value, labels);
                }
            })
        })
        .build();
}

/// What plugins counted, with its labels. A label of the plugin's own never stands for one of ours.
fn each(plugins: &PluginMetrics, mut take: impl FnMut(&[KeyValue], Reading)) {
    for (Series { plugin, instance, name, labels }, reading) in plugins.read() {
        let ours = [label("plugin", &plugin), label("instance", &instance), label("name", &name)];
        let own = labels.into_iter().filter(|(name, _)| !matches!(name.as_str(), "plugin" | "instance" | "name"));
        let all: Vec<KeyValue> = ours.into_iter().chain(own.map(|(name, value)| KeyValue::new(name, value))).collect();
        take(&all, reading);
    }
}

/// How an index stands, in a word.
pub(super) fn word(status: &IndexStatus) -> &'static str {
    match status {
        IndexStatus::Unseeded => "unseeded",
        IndexStatus::Seeding(_) => "seeding",
        IndexStatus::Rebuilding(_) => "rebuilding",
        IndexStatus::Seeded => "seeded",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::engine::{Observation, Observer as _, control};
    use crate::metrics::Metrics;

    /// The metrics of a host of which everything was reported once.
    fn told() -> String {
        let (run, _registry) = control();
        let plugins = PluginMetrics::default();
        let mut own = plugins.of("pg", "source");
        own.add(
            "rows".to_owned(),
            2,
            vec![("table".to_owned(), "a\"b\n".to_owned()), ("plugin".to_owned(), "other".to_owned())],
        );
        own.set("depth".to_owned(), 1.5, Vec::new());
        let metrics = Metrics::new(&run, plugins).unwrap_or_else(|error| panic!("{error}"));
        let took = Duration::from_millis(3);
        for observation in [
            Observation::Captured { changes: 5, checkpoints: 1, version: 7 },
            Observation::Built { changes: 5, documents: 2, took },
            Observation::DocumentsBuilt { index: "users", documents: 2, bytes: 100 },
            Observation::Flushed { sink: "out", documents: 2, took },
            Observation::Lag { bytes: 10 },
            Observation::Quarantined {
                index: "users",
                id: "secret-id",
                by: "sink",
                class: "mapping",
                reason: "secret",
            },
            Observation::Retrying { what: "sink \"out\"", error: "secret", after: took },
            Observation::Seeded { index: "users", rows: 1, took },
            Observation::Confirmed { committed_at: Some(0), version: 7 },
        ] {
            metrics.observe(observation);
        }
        metrics.text().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_metric_is_made_under_its_name_and_no_other() {
        let text = told();
        let made: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        // What is only there while an index is filled.
        let known: BTreeSet<&str> =
            METRICS.iter().map(|metric| metric.prometheus).filter(|name| *name != SEED_ROWS.prometheus).collect();
        assert_eq!(made, known, "{text}");
        assert!(
            text.contains("flusso_changes_committed_total 5\n") && text.contains("flusso_changes_in_flight 0\n"),
            "{text}"
        );
    }

    #[test]
    fn a_metric_holds_no_row_and_no_message() {
        let text = told();
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn the_labels_of_a_plugin_stand_for_nothing_else() {
        let text = told();
        let line = text.lines().find(|line| line.starts_with("flusso_plugin_counts_total{")).unwrap_or_default();
        assert!(
            line.contains("plugin=\"pg\"") && line.contains(r#"table="a\"b\n""#) && !line.contains("other"),
            "{text}"
        );
    }

    #[test]
    fn the_manual_names_every_metric() {
        let manual = include_str!("../../METRICS.md");
        for Metric { name, prometheus, labels, about } in METRICS {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let line = format!("| `{prometheus}` | `{name}` | {} | {about} |", labels.join(", "));
            assert!(manual.contains(&line), "METRICS.md wants the line\n{line}");
        }
    }
}
