//! What one guest may take, as its configuration says, and the limiter that holds its memory to it. The defaults are in
//! [`crate::limits::guest`]. A guest that exceeds a limit loses its instance; the host goes on.

use std::time::Duration;

use crate::limits;

/// The limits of one guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`limits::guest::MEMORY`].
    pub memory: u64,
    /// See [`limits::guest::CALL_TIMEOUT`].
    pub call_timeout: Duration,
    /// See [`limits::guest::HANDOVER`].
    pub handover: u64,
    /// See [`limits::guest::HANDLES`].
    pub handles: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: limits::guest::MEMORY,
            call_timeout: limits::guest::CALL_TIMEOUT,
            handover: limits::guest::HANDOVER,
            handles: limits::guest::HANDLES,
        }
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

    /// Counts what grows from one size to another, in bytes, unless it would be too much.
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let wanted = self.used.saturating_sub(current).saturating_add(desired);
        if wanted > self.limit {
            self.denied = Some(wanted);
            return false;
        }
        self.used = wanted;
        self.peak = self.peak.max(wanted);
        true
    }

    /// What was refused before is not why a call fails that begins now.
    pub(super) fn begin_call(&mut self) {
        self.denied = None;
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
        Ok(self.grow(current, desired))
    }

    /// Tables count with the memories: a component may have thousands of them.
    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| elements.saturating_mul(limits::guest::TABLE_ELEMENT_BYTES);
        Ok(desired <= limits::guest::TABLE_ELEMENTS && self.grow(bytes(current), bytes(desired)))
    }
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
        limiter.begin_call();
        assert_eq!(limiter.denied(), None, "a later call fails for another reason");
    }

    #[test]
    fn tables_count_with_the_memories() {
        let mut limiter = MemoryLimiter::new(1 << 20);
        let elements = (1 << 20) / limits::guest::TABLE_ELEMENT_BYTES / 4;
        let grown = (0..6).filter(|_| limiter.table_growing(0, elements, None).is_ok_and(|grown| grown)).count();
        assert_eq!(grown, 4);
        assert!(!limiter.memory_growing(0, 1, None).is_ok_and(|grown| grown));
        assert!(limiter.table_growing(elements, 0, None).is_ok_and(|grown| grown));
        assert!(limiter.memory_growing(0, 1, None).is_ok_and(|grown| grown));
    }
}
