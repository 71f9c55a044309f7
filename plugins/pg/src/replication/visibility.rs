//! I12: whether a transaction that the stream has sent is visible to every new read.
//!
//! The walsender sends a commit as soon as its record is in the log, and the committing session takes itself off the list
//! of running transactions only after that: a read in between still sees the state before. So a change is handed out once
//! its transaction is finished in a snapshot taken after it arrived.

use crate::error::{Error, Result};
use crate::protocol::session::Session;

/// Which transactions are finished, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visible {
    /// Every transaction before this is finished.
    min: u64,
    /// Every transaction from this on is not.
    max: u64,
    /// Those between that are not.
    running: Vec<u64>,
}

impl Visible {
    /// Asks the server.
    pub fn ask(session: &mut Session) -> Result<Self> {
        let statement = session.prepare("SELECT pg_catalog.pg_current_snapshot()::text")?;
        let rows = session.rows(&statement, &[])?;
        let text = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten().unwrap_or_default();
        Self::parse(&text).ok_or_else(|| Error::protocol(format_args!("`{text}` is no snapshot")))
    }

    /// Reads `10:20:10,14,15`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (min, max) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let running = parts
            .next()?
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?;
        Some(Self { min, max, running })
    }

    /// Whether the transaction with these lower 32 bits of its id is finished. The stream sends no more of it; it is at most
    /// half the circle away.
    pub fn has(&self, xid: u32) -> bool {
        let full = self.widen(xid);
        full < self.min || (full < self.max && !self.running.contains(&full))
    }

    fn widen(&self, xid: u32) -> u64 {
        let low = u32::try_from(self.max & 0xffff_ffff).unwrap_or(0);
        let ahead = i64::from(i32::from_ne_bytes(xid.wrapping_sub(low).to_ne_bytes()));
        self.max.checked_add_signed(ahead).unwrap_or(u64::from(xid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_transactions_are_not_visible() {
        let visible = Visible::parse("10:20:10,14").unwrap_or_default();
        let seen: Vec<u32> = (8..22).filter(|xid| visible.has(*xid)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 13, 15, 16, 17, 18, 19]);
        assert_eq!(Visible::parse("10:10:").map(|visible| (visible.has(9), visible.has(10))), Some((true, false)));
    }

    #[test]
    fn ids_wrap_around() {
        let epoch = 5_u64 << 32;
        let visible = Visible { min: epoch + 2, max: epoch + 10, running: vec![epoch + 2] };
        assert!(visible.has(u32::MAX), "just before the wrap");
        assert!(visible.has(3) && !visible.has(2) && !visible.has(10));
        let before = Visible { min: epoch - 5, max: epoch - 3, running: Vec::new() };
        assert!(!before.has(1), "just after the wrap, and not begun");
    }
}
