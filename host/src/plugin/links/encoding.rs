//! The format of links on disk. Rows whose bytes differ in the last one alone share a record. Its key is the relation's number
//! and the bytes before the last; its value is one entry a link, in order: the last byte, the link's length (LEB128), the link.
//! So a row with a dense numeric key and its link come to about six bytes.

use std::cmp::Ordering;

use crate::plugin::state::StateError;

/// A row of a relation: the relation's number, two bytes, and the row's bytes.
pub(super) type Row = Vec<u8>;

/// The key of a row in the whole table: the relation's number before the row's bytes.
pub(super) fn row_key(relation: u16, row: &[u8]) -> Row {
    let mut whole = Vec::with_capacity(2 + row.len());
    whole.extend_from_slice(&relation.to_be_bytes());
    whole.extend_from_slice(row);
    whole
}

/// Where a row's links are stored: the record's key, and the byte that the row's entries begin with.
pub(super) fn record_key(row: &[u8]) -> (&[u8], u8) {
    row.split_last().map_or((row, 0), |(last, prefix)| (prefix, *last))
}

/// Where the rows that begin with a prefix begin, from one of them on; the prefix itself stands before all of them.
pub(super) fn first_record<'a>(prefix: &'a [u8], start: &'a [u8]) -> (&'a [u8], u8) {
    if start == prefix { (prefix, 0) } else { record_key(start) }
}

/// A row and one of its links.
pub(super) type Link<'a> = (&'a [u8], &'a [u8]);

/// The order in which links of one record stand together. Rows alone are not enough: `ab` and `abc` may both be records.
pub(super) fn order((a, a_link): Link<'_>, (b, b_link): Link<'_>) -> Ordering {
    (record_key(a), a_link).cmp(&(record_key(b), b_link))
}

/// The links of a packed list, as a builder hands them over.
pub(super) fn unpack(packed: &[u8]) -> impl Iterator<Item = Result<Link<'_>, StateError>> {
    let mut rest = packed;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let link = take_piece(&mut rest).and_then(|row| Some((row, take_piece(&mut rest)?)));
        // A row without bytes would lie in the record of a relation that does not exist.
        let link = link.filter(|(row, _)| !row.is_empty());
        if link.is_none() {
            rest = &[];
        }
        Some(link.ok_or(StateError::Links))
    })
}

/// A piece with its length before it.
fn take_piece<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(rest)?;
    let (piece, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(piece)
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..32).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Appends a length (LEB128).
pub(super) fn put_length(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

/// An entry of a record: the row's last byte, the link.
pub(super) type Entry<'a> = (u8, &'a [u8]);

/// The entries of a record. What is damaged ends it.
pub(super) fn entries(record: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = record;
    std::iter::from_fn(move || {
        let (last, after) = rest.split_first()?;
        rest = after;
        Some((*last, take_piece(&mut rest)?))
    })
}

fn put((last, link): Entry<'_>, out: &mut Vec<u8>) {
    out.push(last);
    put_length(link.len(), out);
    out.extend_from_slice(link);
}

/// A record with more entries added, which are in order; none where the record has all of them already.
pub(super) fn merge(record: &[u8], more: &[Entry<'_>]) -> Option<Vec<u8>> {
    let mut there = entries(record).peekable();
    let mut out = Vec::with_capacity(record.len() + more.iter().map(|(_, link)| link.len() + 2).sum::<usize>());
    let (mut grown, mut before) = (false, None);
    for entry in more {
        if before == Some(entry) {
            continue;
        }
        before = Some(entry);
        while let Some(smaller) = there.next_if(|found| found < entry) {
            put(smaller, &mut out);
        }
        if there.peek() != Some(entry) {
            grown = true;
            put(*entry, &mut out);
        }
    }
    there.for_each(|entry| put(entry, &mut out));
    grown.then_some(out)
}

/// A record with some entries removed, which are in order.
pub(super) fn subtract(record: &[u8], fewer: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(record.len());
    entries(record).filter(|entry| fewer.binary_search(entry).is_err()).for_each(|entry| put(entry, &mut out));
    out
}

/// A packed list, as [`unpack`] reads it.
pub(in crate::plugin) fn packed<'a>(links: impl IntoIterator<Item = Link<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    links.into_iter().for_each(|link| put_link(link, &mut out));
    out
}

/// Appends a link to a packed list.
pub(in crate::plugin) fn put_link((row, link): Link<'_>, out: &mut Vec<u8>) {
    for piece in [row, link] {
        put_length(piece.len(), out);
        out.extend_from_slice(piece);
    }
}
