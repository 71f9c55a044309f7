//! What one guest may take: one table of limits, each with a name, a unit, a default and the setting that changes it.
//! What goes over a limit costs the guest its instance, never the host.

use std::time::Duration;

/// Bytes of linear memory, all of a guest's memories together. Setting `limits.memory`.
pub const MEMORY: u64 = 256 << 20;
/// How long a call may take. A poll's own wait is inside. Setting `limits.call_timeout`.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes a guest may hand over in one call, either way out: returned, or passed to an import. Setting `limits.handover`.
pub const HANDOVER: u64 = 256 << 20;
/// Bytes a plugin may keep in the host's state. Setting `limits.state`.
pub const STATE: u64 = 64 << 20;

/// Elements of all tables of a guest together. Not to be set: no plugin comes near it.
pub(super) const TABLE_ELEMENTS: usize = 1 << 20;
/// Items of a list that a guest returns. Not to be set: [`HANDOVER`] is felt earlier.
pub(super) const ITEMS: usize = 4_000_000;
/// Bytes of a text of a guest that goes into messages and logs.
pub(super) const TEXT: usize = 8 << 10;
/// Connections of one guest at a time. Not to be set.
pub(super) const CONNECTIONS: usize = 64;
/// Bytes of one read of a connection.
pub(super) const READ: usize = 1 << 20;
/// Calls that may wait for a guest before the caller waits.
pub(super) const QUEUE: usize = 4;

/// The limits of one guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`MEMORY`].
    pub memory: u64,
    /// See [`CALL_TIMEOUT`].
    pub call_timeout: Duration,
    /// See [`HANDOVER`].
    pub handover: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: MEMORY, call_timeout: CALL_TIMEOUT, handover: HANDOVER }
    }
}

/// Counts a store's memory and says no to more than its limit.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    limit: usize,
    used: usize,
    peak: usize,
    denied: Option<usize>,
}

impl MemoryLimiter {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0, peak: 0, denied: None }
    }

    /// How much was asked for when it was too much.
    pub(super) fn denied(&self) -> Option<usize> {
        self.denied
    }

    /// The most that was in use at a time.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }
}

impl wasmtime::ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_sub(current).saturating_add(desired);
        if wanted > self.limit {
            self.denied = Some(wanted);
            return Ok(false);
        }
        self.used = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// A text of a guest, cut to a length and without control characters, so that it can stand in a log line.
pub(super) fn plain(text: &str, max: usize) -> String {
    let cut =
        text.char_indices().find(|(at, character)| at + character.len_utf8() > max).map_or(text.len(), |(at, _)| at);
    let (kept, rest) = text.split_at(cut);
    let mut plain: String = kept.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
    if !rest.is_empty() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::ResourceLimiter as _;

    #[test]
    fn all_memories_of_a_guest_count_together() {
        let mut limiter = MemoryLimiter::new(100);
        let mut grow = |from, to| limiter.memory_growing(from, to, None).is_ok_and(|grown| grown);
        assert!(grow(0, 60) && grow(0, 30) && grow(60, 70));
        assert!(!grow(30, 31));
        assert_eq!((limiter.denied(), limiter.peak()), (Some(101), 100));
    }

    #[test]
    fn a_guests_text_cannot_forge_a_line() {
        assert_eq!(plain("a\nERROR b\u{1b}[31m", 100), "a ERROR b [31m");
        assert_eq!(plain("äöü", 3), "ä…");
    }
}
