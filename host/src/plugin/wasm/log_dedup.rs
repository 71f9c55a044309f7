//! Removes duplicate log lines of the guests of one use. Several instances are opened alike and log the same, so a line of one
//! guest that another guest has just logged is dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::limits;

/// The number of a guest, unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuestNumber(u64);

impl GuestNumber {
    /// The number of a new guest.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The lines of the last minute. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct LogDedup(Arc<Mutex<HashMap<String, (GuestNumber, Instant)>>>);

impl LogDedup {
    /// Whether a line is to be written: no *other* guest has logged the same within [`limits::guest::LOG_DEDUP_TIME`]. A guest may repeat itself.
    pub(super) fn is_new(&self, guest: GuestNumber, line: &str, now: Instant) -> bool {
        let mut dedup = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |when: Instant| now.saturating_duration_since(when) < limits::guest::LOG_DEDUP_TIME;
        match dedup.get(line) {
            Some((other, when)) if *other != guest && recent(*when) => return false,
            _ => {}
        }
        if dedup.len() >= limits::guest::LOG_DEDUP_LINES {
            dedup.retain(|_, (_, when)| recent(*when));
        }
        if dedup.len() < limits::guest::LOG_DEDUP_LINES {
            dedup.insert(line.to_owned(), (guest, now));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_guest_said_lately_is_not_said_again() {
        let dedup = LogDedup::default();
        let (one, other) = (GuestNumber::new(), GuestNumber::new());
        let now = Instant::now();
        assert!(dedup.is_new(one, "a table is skipped", now));
        assert!(!dedup.is_new(other, "a table is skipped", now));
        assert!(dedup.is_new(other, "another is", now));
        assert!(dedup.is_new(one, "a table is skipped", now), "a guest may repeat itself");
        assert!(dedup.is_new(other, "a table is skipped", now + limits::guest::LOG_DEDUP_TIME));
    }

    #[test]
    fn the_memory_is_bounded() {
        let dedup = LogDedup::default();
        let now = Instant::now();
        for number in 0..limits::guest::LOG_DEDUP_LINES * 4 {
            assert!(dedup.is_new(GuestNumber::new(), &number.to_string(), now));
        }
        assert!(dedup.0.lock().is_ok_and(|dedup| dedup.len() <= limits::guest::LOG_DEDUP_LINES));
    }
}
