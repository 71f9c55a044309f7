//! How many requests are on their way at a time, and how long a document waits that the cluster was too busy for: a bit
//! more after each success, half after each error.

use std::time::Duration;

/// The first wait.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Requests at a time.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    window: f64,
    most: f64,
}

impl ConcurrencyLimit {
    /// As many as may be, at first.
    pub(crate) fn new(most: usize) -> Self {
        let most = u32::try_from(most.max(1)).map_or(f64::from(u32::MAX), f64::from);
        Self { window: most, most }
    }

    /// Whether one more may go out beside so many.
    pub(crate) fn has_room(&self, in_flight: usize) -> bool {
        u32::try_from(in_flight).is_ok_and(|in_flight| f64::from(in_flight) + 1.0 <= self.window)
    }

    /// A request was taken whole: one more for each round of them.
    pub(crate) fn taken(&mut self) {
        self.window = (self.window + 1.0 / self.window).min(self.most);
    }

    /// The cluster was too busy.
    pub(crate) fn refused(&mut self) {
        self.window = (self.window / 2.0).max(1.0);
    }
}

/// How long to wait before the next attempt: twice as long each time, and between half and all of that, so that many
/// who were refused together do not come back together. `random` is any number.
pub(crate) fn backoff(attempt: u32, random: u64) -> Duration {
    let longest = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(attempt.min(16))).min(LONGEST_BACKOFF);
    let half = longest / 2;
    let part = u32::try_from(random % 1_000).unwrap_or_default();
    half + half * part / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(pace: &ConcurrencyLimit) -> usize {
        (0..100).take_while(|in_flight| pace.has_room(*in_flight)).count()
    }

    #[test]
    fn a_busy_cluster_gets_half_and_a_willing_one_slowly_more() {
        let mut pace = ConcurrencyLimit::new(8);
        assert_eq!(room(&pace), 8);
        pace.refused();
        assert_eq!(room(&pace), 4);
        (0..4).for_each(|_| pace.taken());
        assert_eq!(room(&pace), 4);
        pace.taken();
        assert_eq!(room(&pace), 5);
        (0..100).for_each(|_| pace.refused());
        assert_eq!(room(&pace), 1);
        (0..1_000).for_each(|_| pace.taken());
        assert_eq!(room(&pace), 8);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_differ() {
        assert_eq!(backoff(0, 0), Duration::from_millis(50));
        assert!(backoff(0, 999) > Duration::from_millis(99) && backoff(0, 999) <= Duration::from_millis(100));
        assert_eq!(backoff(3, 0), Duration::from_millis(400));
        assert_eq!(backoff(40, 0), Duration::from_millis(2_500));
        assert!(backoff(u32::MAX, u64::MAX) <= LONGEST_BACKOFF);
    }
}
