//! Decoding `pgoutput`, protocol version 1: slices of the message, nothing copied, nothing believed.

use crate::error::{Error, Result};
use crate::protocol::wire::Cut;
use crate::replication::position::Lsn;

/// A message of the plugin `pgoutput`.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction begins; it has committed already.
    Begin {
        /// Where its commit record is.
        commit: Lsn,
        /// When it was committed, in microseconds since 1970.
        at: u64,
        /// Its 32-bit transaction id.
        xid: u32,
    },
    /// It ends.
    Commit {
        /// Just behind its commit record.
        end: Lsn,
    },
    /// How a table looks, before its first change in a session and after it changed.
    Relation(Relation<'a>),
    /// A row came.
    Insert {
        /// The table's oid.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// A row changed.
    Update {
        /// The table's oid.
        relation: u32,
        /// The row before, or its replica identity alone, where it is known.
        old: Option<Old<'a>>,
        /// The row.
        new: Tuple<'a>,
    },
    /// A row went.
    Delete {
        /// The table's oid.
        relation: u32,
        /// What is known of it.
        old: Old<'a>,
    },
    /// All rows of some tables went.
    Truncate {
        /// The tables' oids.
        relations: Vec<u32>,
    },
    /// Types, origins, messages: nothing of ours.
    Other,
}

/// A table as the stream describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its replica identity: `d`efault, `f`ull, `n`othing, `i`ndex.
    pub identity: u8,
    /// Its columns: name, type oid (domains not resolved).
    pub columns: Vec<(&'a str, u32)>,
    /// Which of them are of the replica identity.
    pub identifying: Vec<bool>,
}

/// A row before a change.
#[derive(Debug, PartialEq, Eq)]
pub struct Old<'a> {
    /// Whether it is the whole row, and not the replica identity alone.
    pub whole: bool,
    /// Its columns.
    pub tuple: Tuple<'a>,
}

/// The columns of a row, one entry a column of the relation.
pub type Tuple<'a> = Vec<Cell<'a>>;

/// One column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Null, or not part of the replica identity.
    Null,
    /// A large value that did not change and was not sent.
    Unchanged,
    /// Its text.
    Text(&'a [u8]),
}

/// Seconds between 1970 and 2000, in microseconds.
const EPOCH: i64 = 946_684_800_000_000;

/// A server's time as microseconds since 1970.
pub fn unix_micros(time: u64) -> u64 {
    u64::try_from(i64::from_be_bytes(time.to_be_bytes()).saturating_add(EPOCH)).unwrap_or(0)
}

/// Decodes one message.
pub fn decode(bytes: &[u8]) -> Result<Message<'_>> {
    let mut cut = Cut(bytes);
    Ok(match cut.u8()? {
        b'B' => Message::Begin { commit: Lsn(cut.u64()?), at: unix_micros(cut.u64()?), xid: cut.u32()? },
        b'C' => {
            let (_flags, _commit) = (cut.u8()?, cut.u64()?);
            Message::Commit { end: Lsn(cut.u64()?) }
        }
        b'R' => Message::Relation(relation(&mut cut)?),
        b'I' => {
            let relation = cut.u32()?;
            match cut.u8()? {
                b'N' => Message::Insert { relation, new: tuple(&mut cut)? },
                other => return Err(unknown("a row", other)),
            }
        }
        b'U' => {
            let relation = cut.u32()?;
            match cut.u8()? {
                b'N' => Message::Update { relation, old: None, new: tuple(&mut cut)? },
                kind @ (b'K' | b'O') => {
                    let old = Some(Old { whole: kind == b'O', tuple: tuple(&mut cut)? });
                    match cut.u8()? {
                        b'N' => Message::Update { relation, old, new: tuple(&mut cut)? },
                        other => return Err(unknown("a new row", other)),
                    }
                }
                other => return Err(unknown("a row", other)),
            }
        }
        b'D' => {
            let relation = cut.u32()?;
            match cut.u8()? {
                kind @ (b'K' | b'O') => {
                    Message::Delete { relation, old: Old { whole: kind == b'O', tuple: tuple(&mut cut)? } }
                }
                other => return Err(unknown("an old row", other)),
            }
        }
        b'T' => {
            let count = cut.u32()?;
            let _options = cut.u8()?;
            Message::Truncate { relations: (0..count).map(|_| cut.u32()).collect::<Result<_>>()? }
        }
        b'Y' | b'O' | b'M' => Message::Other,
        other => return Err(unknown("a message", other)),
    })
}

fn relation<'a>(cut: &mut Cut<'a>) -> Result<Relation<'a>> {
    let (oid, schema, name) = (cut.u32()?, cut.text()?, cut.text()?);
    let identity = cut.u8()?;
    let count = cut.u16()?;
    let column = |cut: &mut Cut<'a>| {
        let flags = cut.u8()?;
        let column = (cut.text()?, cut.u32()?);
        let _modifier = cut.u32()?;
        Ok((column, flags & 1 != 0))
    };
    // `pg_catalog` is sent as an empty name.
    let schema = if schema.is_empty() { "pg_catalog" } else { schema };
    let columns = (0..count).map(|_| column(cut)).collect::<Result<Vec<_>>>()?;
    let (columns, identifying) = columns.into_iter().unzip();
    Ok(Relation { oid, schema, name, identity, columns, identifying })
}

fn tuple<'a>(cut: &mut Cut<'a>) -> Result<Tuple<'a>> {
    let count = cut.u16()?;
    (0..count)
        .map(|_| match cut.u8()? {
            b'n' => Ok(Cell::Null),
            b'u' => Ok(Cell::Unchanged),
            b't' => {
                let length = cut.u32()?;
                cut.bytes(length as usize).map(Cell::Text)
            }
            other => Err(unknown("a column", other)),
        })
        .collect()
}

fn unknown(what: &str, tag: u8) -> Error {
    Error::Fatal(format!(
        "pgoutput sent {what} marked `{}`, which protocol version 1 does not know",
        tag.escape_ascii()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `BEGIN; UPDATE t SET id = 2 …; COMMIT` on `t(id int primary key, v text)`, captured from PostgreSQL 15.
    const UPDATE: &[u8] = b"U\0\0\x40\x05K\0\x02t\0\0\0\x011nN\0\x02t\0\0\0\x012u";

    #[test]
    fn an_update_of_the_key_has_both_rows() {
        let old = Old { whole: false, tuple: vec![Cell::Text(b"1"), Cell::Null] };
        let new = vec![Cell::Text(b"2"), Cell::Unchanged];
        assert_eq!(decode(UPDATE), Ok(Message::Update { relation: 0x4005, old: Some(old), new }));
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error() {
        for end in 0..UPDATE.len() {
            assert!(decode(UPDATE.get(..end).unwrap_or_default()).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..200_000 {
            let mut bytes = UPDATE.to_vec();
            for _ in 0..3 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = usize::try_from(seed % bytes.len() as u64).unwrap_or(0);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = seed.to_be_bytes()[0];
                }
            }
            if let Some(tag) = bytes.first_mut() {
                *tag = *b"BCRIUDTYOM".get(usize::try_from(seed % 10).unwrap_or(0)).unwrap_or(&0);
            }
            let _ = decode(&bytes);
        }
    }
}
