//! The rows that every sink has, in the host's state: for each table the key of each row and the number of its bytes. What a start finds
//! otherwise has happened meanwhile.

use std::collections::{BTreeMap, HashMap};

use flusso_plugin::state::{self, Mutation};
use flusso_plugin::{Error, Result};

use crate::key::KeyBytes;
use crate::table::Place;

const HISTORY: &[u8] = b"history";
const ROWS: &[u8] = b"rows\0";
/// Rows of a table are kept in so many entries.
const BUCKETS: u16 = 1024;
/// Changes of one write.
const WRITE: usize = 256;
const PAGE: u32 = 256;

/// The history that is followed.
pub(crate) fn history() -> Result<Option<String>> {
    Ok(state::get(HISTORY)?.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// Begins a history: nothing is remembered of the one before.
pub(crate) fn begin(history: &str) -> Result<()> {
    state::apply(&[Mutation::Delete(HISTORY.to_vec())])?;
    loop {
        let page = state::scan(ROWS, None, PAGE)?;
        if page.is_empty() {
            break;
        }
        state::apply(&page.into_iter().map(|(key, _)| Mutation::Delete(key)).collect::<Vec<_>>())?;
    }
    state::apply(&[Mutation::Put((HISTORY.to_vec(), history.as_bytes().to_vec()))])
}

/// Removes everything.
pub(crate) fn forget() -> Result<()> {
    begin("")?;
    state::apply(&[Mutation::Delete(HISTORY.to_vec())])
}

fn prefix(table: &str) -> Vec<u8> {
    [ROWS, table.as_bytes(), b"\0"].concat()
}

/// The number of the bucket that a row is in.
fn number(key: &[u8]) -> u16 {
    u16::try_from(xxhash_rust::xxh3::xxh3_64(key) % u64::from(BUCKETS)).unwrap_or_default()
}

fn bucket(table: &str, number: u16) -> Vec<u8> {
    [prefix(table).as_slice(), &number.to_be_bytes()].concat()
}

type Rows = HashMap<KeyBytes, u64>;

fn unpack(bytes: &[u8], into: &mut Rows) -> Result<()> {
    let rows: Vec<(Vec<u8>, u64)> = flusso_abi::decode(bytes).map_err(|error| {
        Error::fatal(format!(
            "what is remembered of the rows is damaged: {error}; run `flusso-host drop`, and everything is seeded anew"
        ))
    })?;
    into.extend(rows);
    Ok(())
}

/// Some rows by the bucket that they are in.
fn by_bucket(rows: &BTreeMap<KeyBytes, Place>) -> Vec<Vec<(&KeyBytes, u64)>> {
    let mut buckets = vec![Vec::new(); usize::from(BUCKETS)];
    for (key, place) in rows {
        if let Some(bucket) = buckets.get_mut(usize::from(number(key))) {
            bucket.push((key, place.hash));
        }
    }
    buckets
}

/// Remembers all rows of a table of which nothing is remembered. A bucket at a time, as everything here: a table is held once.
pub(crate) fn replace(table: &str, rows: &BTreeMap<KeyBytes, Place>) -> Result<()> {
    let mut mutations = Vec::new();
    for (rows, number) in by_bucket(rows).into_iter().zip(0..).filter(|(rows, _)| !rows.is_empty()) {
        mutations.push(Mutation::Put((bucket(table, number), flusso_abi::encode(&rows))));
        if mutations.len() >= WRITE {
            state::apply(&mutations)?;
            mutations.clear();
        }
    }
    state::apply(&mutations)
}

/// The keys of the rows that are other than what is remembered, on either side.
pub(crate) fn differences(table: &str, rows: &BTreeMap<KeyBytes, Place>) -> Result<Vec<KeyBytes>> {
    let mut changed = Vec::new();
    for (rows, number) in by_bucket(rows).into_iter().zip(0..) {
        let mut before = Rows::new();
        if let Some(bytes) = state::get(&bucket(table, number))? {
            unpack(&bytes, &mut before)?;
        }
        for (key, hash) in rows {
            if before.remove(key) != Some(hash) {
                changed.push(key.clone());
            }
        }
        changed.extend(before.into_keys());
    }
    Ok(changed)
}

/// The tables of which rows are remembered.
pub(crate) fn tables() -> Result<Vec<String>> {
    let (mut tables, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let page = state::scan(ROWS, after.as_deref(), 1)?;
        let Some((key, _)) = page.into_iter().next() else { return Ok(tables) };
        let name = key.get(ROWS.len()..).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        tables.push(String::from_utf8_lossy(name).into_owned());
        // Behind everything of this table.
        after = Some([ROWS, name, &[0, 0xff, 0xff, 0xff]].concat());
    }
}

/// Changes what is remembered of a table: the number of each row, none for one that is gone.
pub(crate) fn change(table: &str, changes: &[(KeyBytes, Option<u64>)]) -> Result<()> {
    let mut buckets: HashMap<u16, Vec<&(KeyBytes, Option<u64>)>> = HashMap::new();
    for change in changes {
        buckets.entry(number(&change.0)).or_default().push(change);
    }
    let mut mutations = Vec::new();
    for (number, changes) in buckets {
        let bucket = bucket(table, number);
        let mut rows = Rows::new();
        if let Some(bytes) = state::get(&bucket)? {
            unpack(&bytes, &mut rows)?;
        }
        for (key, hash) in changes {
            match hash {
                Some(hash) => rows.insert(key.clone(), *hash),
                None => rows.remove(key),
            };
        }
        mutations.push(match rows.is_empty() {
            true => Mutation::Delete(bucket),
            false => Mutation::Put((bucket, flusso_abi::encode(&rows.into_iter().collect::<Vec<_>>()))),
        });
        if mutations.len() >= WRITE {
            state::apply(&mutations)?;
            mutations.clear();
        }
    }
    state::apply(&mutations)
}
