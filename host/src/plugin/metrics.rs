//! Numbers that plugins publish about their own work, kept until they are read. Bounded: a plugin that makes up ever
//! more names or labels is heard no further.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits;

/// Which number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// The name of its instance in the configuration.
    pub instance: Arc<str>,
    /// The number's name.
    pub name: String,
    /// Labels with their values, ordered.
    pub labels: Vec<(String, String)>,
}

/// Its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
}

/// All numbers of all plugins. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    readings: Arc<Mutex<BTreeMap<Series, Reading>>>,
}

impl Metrics {
    /// All numbers as they are now.
    pub fn read(&self) -> Vec<(Series, Reading)> {
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        readings.iter().map(|(series, reading)| (series.clone(), *reading)).collect()
    }

    /// Where one instance of a plugin writes.
    pub(crate) fn of(&self, plugin: &str, instance: &str) -> Own {
        Own { all: self.clone(), plugin: plugin.into(), instance: instance.into() }
    }
}

/// The numbers of one instance.
#[derive(Debug)]
pub(crate) struct Own {
    all: Metrics,
    plugin: Arc<str>,
    instance: Arc<str>,
}

impl Own {
    /// Adds to a counter.
    pub(crate) fn add(&mut self, name: String, amount: u64, labels: Vec<(String, String)>) {
        self.change(name, labels, |old| match old {
            Some(Reading::Counter(value)) => Reading::Counter(value.saturating_add(amount)),
            _ => Reading::Counter(amount),
        });
    }

    /// Sets a gauge.
    pub(crate) fn set(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        self.change(name, labels, |_| Reading::Gauge(value));
    }

    fn change(
        &mut self,
        name: String,
        mut labels: Vec<(String, String)>,
        new: impl FnOnce(Option<Reading>) -> Reading,
    ) {
        let long = |text: &String| text.len() > limits::guest::METRIC_NAME_BYTES;
        if long(&name)
            || labels.len() > limits::guest::METRIC_LABELS
            || labels.iter().any(|(label, value)| long(label) || long(value))
        {
            return;
        }
        labels.sort_unstable();
        let series = Series { plugin: self.plugin.clone(), instance: self.instance.clone(), name, labels };
        let mut readings = self.all.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let old = readings.get(&series).copied();
        // Those of instances before it count too: a guest that is started again and again would leave some behind each time.
        let is_own = |series: &&Series| series.plugin == self.plugin && series.instance == self.instance;
        if old.is_none() && readings.keys().filter(is_own).count() >= limits::guest::METRIC_SERIES {
            return;
        }
        readings.insert(series, new(old));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_and_gauges_are_set() {
        let metrics = Metrics::default();
        let mut own = metrics.of("pg", "source");
        let label = |value: &str| vec![("table".to_owned(), value.to_owned())];
        own.add("rows".to_owned(), 2, label("a"));
        own.add("rows".to_owned(), 3, label("a"));
        own.set("lag".to_owned(), 1.5, Vec::new());
        let readings: Vec<_> = metrics.read().into_iter().map(|(series, reading)| (series.name, reading)).collect();
        assert_eq!(readings, [("lag".to_owned(), Reading::Gauge(1.5)), ("rows".to_owned(), Reading::Counter(5))]);
    }

    #[test]
    fn a_plugin_cannot_fill_the_memory_with_names() {
        let metrics = Metrics::default();
        let mut own = metrics.of("bad", "source");
        (0..10_000).for_each(|number| own.add(format!("n{number}"), 1, Vec::new()));
        own.add("x".repeat(10_000), 1, Vec::new());
        assert_eq!(metrics.read().len(), limits::guest::METRIC_SERIES);
        // Nor by being started again.
        metrics.of("bad", "source").add("another".to_owned(), 1, Vec::new());
        metrics.of("bad", "sink").add("another".to_owned(), 1, Vec::new());
        assert_eq!(metrics.read().len(), limits::guest::METRIC_SERIES + 1);
    }
}
