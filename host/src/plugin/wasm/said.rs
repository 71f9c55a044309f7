//! What the guests of one use said lately. Several instances are opened alike and find alike, so what each of them says
//! about it appears once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For so long a line of one guest stands for the same line of another.
const LATELY: Duration = Duration::from_secs(60);
/// Lines that are remembered.
const MOST: usize = 256;

/// Who says something: one guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speaker(u64);

impl Speaker {
    /// Somebody new.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What was said. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Said(Arc<Mutex<HashMap<String, (Speaker, Instant)>>>);

impl Said {
    /// Whether a line is worth writing: no *other* guest has said the same lately. A guest may repeat itself.
    pub(super) fn is_new(&self, speaker: Speaker, line: &str, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |when: Instant| now.saturating_duration_since(when) < LATELY;
        match said.get(line) {
            Some((who, when)) if *who != speaker && recent(*when) => return false,
            _ => {}
        }
        if said.len() >= MOST {
            said.retain(|_, (_, when)| recent(*when));
        }
        if said.len() < MOST {
            said.insert(line.to_owned(), (speaker, now));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_guest_said_lately_is_not_said_again() {
        let said = Said::default();
        let (one, other) = (Speaker::new(), Speaker::new());
        let now = Instant::now();
        assert!(said.is_new(one, "a table is skipped", now));
        assert!(!said.is_new(other, "a table is skipped", now));
        assert!(said.is_new(other, "another is", now));
        assert!(said.is_new(one, "a table is skipped", now), "a guest may repeat itself");
        assert!(said.is_new(other, "a table is skipped", now + LATELY));
    }

    #[test]
    fn the_memory_is_bounded() {
        let said = Said::default();
        let now = Instant::now();
        for number in 0..MOST * 4 {
            assert!(said.is_new(Speaker::new(), &number.to_string(), now));
        }
        assert!(said.0.lock().is_ok_and(|said| said.len() <= MOST));
    }
}
