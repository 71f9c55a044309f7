//! Positions: a log sequence number, and the history it belongs to (server, database, creation of the slot).

use crate::error::{Error, Result};
use std::fmt;

/// A place in the server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Reads `16/B374D848`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::protocol(format_args!("`{text}` is no log position"));
        let (high, low) = text.split_once('/').ok_or_else(wrong)?;
        let half = |text: &str| u32::from_str_radix(text, 16).map_err(|_| wrong());
        Ok(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// One history: a slot's, from where it was made or adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The server's system identifier.
    pub system: u64,
    /// The database's oid.
    pub database: u32,
    /// Where the history begins.
    pub lsn: Lsn,
}

/// A place in a history: 28 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// The history.
    pub origin: Origin,
    /// How far.
    pub lsn: Lsn,
}

impl LogPosition {
    /// As the contract's opaque bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        [
            self.origin.system.to_be_bytes().as_slice(),
            &self.origin.database.to_be_bytes(),
            &self.origin.lsn.0.to_be_bytes(),
            &self.lsn.0.to_be_bytes(),
        ]
        .concat()
    }

    /// What [`LogPosition::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut cut = crate::protocol::wire::Cut(bytes);
        let mut read = || -> Result<Self> {
            let (system, database) = (cut.u64()?, cut.u32()?);
            let place = Self { origin: Origin { system, database, lsn: Lsn(cut.u64()?) }, lsn: Lsn(cut.u64()?) };
            if cut.0.is_empty() { Ok(place) } else { Err(Error::protocol("too long")) }
        };
        read().map_err(|_| Error::HistoryLost("the stored position was not written by this plugin".into()))
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let (origin, lsn) = text.split_once(':')?;
            let (who, from) = origin.split_once('@')?;
            let (system, database) = who.split_once('.')?;
            let origin =
                Origin { system: system.parse().ok()?, database: database.parse().ok()?, lsn: Lsn::parse(from).ok()? };
            Some(Self { origin, lsn: Lsn::parse(lsn).ok()? })
        };
        read().ok_or_else(|| {
            Error::configuration("", format!("`{text}` is no position; expected one as pg_current_wal_lsn() tells it, such as 0/16B3748, or as it stands in the log"))
        })
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}@{}:{}", self.origin.system, self.origin.database, self.origin.lsn, self.lsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_both_its_forms() {
        let place = LogPosition {
            origin: Origin { system: 7_300_000_000_000_000_123, database: 16_384, lsn: Lsn(0x16_0000_0001) },
            lsn: Lsn(u64::MAX),
        };
        assert_eq!(LogPosition::from_bytes(&place.to_bytes()), Ok(place));
        assert_eq!(LogPosition::parse(&place.to_string()), Ok(place));
        assert!(matches!(LogPosition::from_bytes(&[1, 2, 3]), Err(Error::HistoryLost(_))));
    }
}
