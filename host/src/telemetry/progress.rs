//! How far the seeding of an index is: a drawn line on a terminal, a log line every few seconds elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::Screen;

use crate::limits;

/// The seeds that are under way.
#[derive(Debug)]
pub(super) struct Seeds {
    screen: Screen,
    running: BTreeMap<String, Seed>,
    /// The indexes that this run seeds, and those of them that are done.
    expected: usize,
    done: usize,
    /// When it was last said how many are done.
    said: Option<Instant>,
}

#[derive(Debug)]
struct Seed {
    bar: Option<ProgressBar>,
    started: Instant,
    said: Instant,
    /// Rows that were there before this run.
    before: u64,
    estimated: Option<u64>,
}

impl Seeds {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, running: BTreeMap::new(), expected: 0, done: 0, said: None }
    }

    /// So many indexes will be seeded.
    pub(super) fn expect(&mut self, indexes: usize, now: Instant) {
        (self.expected, self.done, self.said) = (indexes, 0, Some(now));
    }

    /// Whether each index has lines of its own in the log.
    pub(super) fn are_named(&self) -> bool {
        self.expected <= limits::program::SEEDS_NAMED
    }

    /// An index is being seeded.
    pub(super) fn start(&mut self, index: &str, estimated: Option<u64>, before: u64, now: Instant) {
        let bar = self.screen.bars().map(|bars| {
            let bar = bars.add(
                ProgressBar::new(estimated.unwrap_or(0)).with_style(style(estimated)).with_prefix(index.to_owned()),
            );
            bar.set_position(before);
            bar.reset_eta();
            bar
        });
        self.running.insert(index.to_owned(), Seed { bar, started: now, said: now, before, estimated });
    }

    /// More rows are durable. Returns a line to log when it is time for one.
    pub(super) fn advance(&mut self, index: &str, rows: u64, now: Instant) -> Option<String> {
        let seed = self.running.get_mut(index)?;
        if let Some(bar) = &seed.bar {
            if rows > bar.length().unwrap_or(0) {
                bar.set_length(rows);
            }
            bar.set_position(rows);
            return None;
        }
        if now.duration_since(seed.said) < limits::program::PROGRESS_LOG_INTERVAL {
            return None;
        }
        seed.said = now;
        Some(line(rows, seed.before, seed.estimated, now.duration_since(seed.started)))
    }

    /// An index is done. Of many indexes, returns how many are seeded and how many there are, when it is time to say it.
    pub(super) fn end(&mut self, index: &str, now: Instant) -> Option<(usize, usize)> {
        if let Some(Seed { bar: Some(bar), .. }) = self.running.remove(index) {
            bar.finish_and_clear();
        }
        self.done += 1;
        let recently = self.said.is_some_and(|said| now.duration_since(said) < limits::program::PROGRESS_LOG_INTERVAL);
        if self.are_named() || recently && self.done != self.expected {
            return None;
        }
        self.said = Some(now);
        Some((self.done, self.expected))
    }

    /// Nothing more will come.
    pub(super) fn clear(&mut self) {
        for (_, seed) in std::mem::take(&mut self.running) {
            if let Some(bar) = seed.bar {
                bar.finish_and_clear();
            }
        }
    }
}

fn style(estimated: Option<u64>) -> ProgressStyle {
    let template = match estimated {
        Some(_) => "{prefix:>16} {bar:24} {human_pos} of about {human_len} rows, {rate}, {eta} left",
        None => "{prefix:>16} {spinner} {human_pos} rows, {rate}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).with_key(
        "rate",
        |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:.0}/s", state.per_sec());
        },
    )
}

/// `12000 of about 50000 rows (24 %), 6000/s, 6 s left`
fn line(rows: u64, before: u64, estimated: Option<u64>, took: Duration) -> String {
    let rate = rows.saturating_sub(before) as f64 / took.as_secs_f64().max(0.001);
    match estimated.filter(|estimated| *estimated >= rows && *estimated > 0) {
        Some(estimated) => {
            let percent = rows.saturating_mul(100) / estimated;
            let left = (estimated - rows) as f64 / rate.max(0.001);
            format!("{rows} of about {estimated} rows ({percent} %), {rate:.0}/s, {left:.0} s left")
        }
        None => format!("{rows} rows, {rate:.0}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_of_about_how_many_how_fast_and_how_long() {
        let took = Duration::from_secs(2);
        assert_eq!(line(12_000, 0, Some(50_000), took), "12000 of about 50000 rows (24 %), 6000/s, 6 s left");
        assert_eq!(line(12_000, 10_000, None, took), "12000 rows, 1000/s");
        assert_eq!(line(60_000, 0, Some(50_000), took), "60000 rows, 30000/s");
    }

    #[test]
    fn without_a_terminal_there_is_a_line_every_few_seconds() {
        let mut seeds = Seeds::new(Screen::plain());
        let start = Instant::now();
        seeds.start("users", Some(100), 0, start);
        assert_eq!(seeds.advance("users", 10, start + Duration::from_secs(1)), None);
        let said = seeds.advance("users", 50, start + Duration::from_secs(5)).unwrap();
        assert!(said.starts_with("50 of about 100 rows"), "{said}");
        assert_eq!(seeds.advance("users", 60, start + Duration::from_secs(6)), None);
        seeds.end("users", start + Duration::from_secs(60));
        assert_eq!(seeds.advance("users", 60, start + Duration::from_secs(60)), None);
    }

    #[test]
    fn of_many_indexes_a_line_tells_now_and_then_how_many_are_done_and_at_the_end() {
        let mut seeds = Seeds::new(Screen::plain());
        let start = Instant::now();
        seeds.expect(100, start);
        assert!(!seeds.are_named());
        let said: Vec<_> = (1..=100).filter_map(|i| seeds.end("x", start + Duration::from_millis(i * 110))).collect();
        assert_eq!(said, [(46, 100), (92, 100), (100, 100)]);
        seeds.expect(3, start);
        assert!(seeds.are_named());
        assert!((1..=3).all(|i| seeds.end("x", start + Duration::from_secs(i * 60)).is_none()));
    }
}
