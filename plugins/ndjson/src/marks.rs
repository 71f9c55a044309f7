//! What the sink remembers over restarts, in the host's state: each index's target number, and what is seeded.

use std::path::Path;

use flusso_plugin::state::{self, Mutation};
use flusso_plugin::{HistoryId, Result, Target};

/// Before an index's name: its target number.
const TARGET: &[u8] = b"target\0";

/// The target number of an index: the one it had before, or the next free one.
pub(crate) fn target(index: &str) -> Result<Target> {
    let key = [TARGET, index.as_bytes()].concat();
    let number = |bytes: &[u8]| bytes.try_into().ok().map(Target::from_le_bytes);
    if let Some(known) = state::get(&key)?.as_deref().and_then(number) {
        return Ok(known);
    }
    let (mut next, mut after) = (0, None::<Vec<u8>>);
    loop {
        let page = state::scan(TARGET, after.as_deref(), 1_000)?;
        next = page
            .iter()
            .filter_map(|(_, bytes)| number(bytes))
            .fold(next, |next, taken| next.max(taken.saturating_add(1)));
        match page.into_iter().last() {
            Some((last, _)) => after = Some(last),
            None => break,
        }
    }
    state::apply(&[Mutation::Put((key, next.to_le_bytes().to_vec()))])?;
    Ok(next)
}

fn index_key(folder: &Path, index: &str) -> Vec<u8> {
    format!("seeded\0{}\0{index}\0", folder.display()).into_bytes()
}

fn key(folder: &Path, index: &str, hash: &str) -> Vec<u8> {
    [index_key(folder, index), hash.as_bytes().to_vec()].concat()
}

/// Under which history the index was marked seeded.
pub(crate) fn seeded(folder: &Path, index: &str, hash: &str) -> Result<Option<HistoryId>> {
    let mark = state::get(&key(folder, index, hash))?;
    Ok(mark.map(|history| String::from_utf8_lossy(&history).into_owned()))
}

/// Remembers that it was, and forgets what was said of it under other mappings.
pub(crate) fn mark(folder: &Path, index: &str, hash: &str, history: &str) -> Result<()> {
    let mut mutations = all(folder, index)?;
    mutations.push(Mutation::Put((key(folder, index, hash), history.as_bytes().to_vec())));
    state::apply(&mutations)
}

/// Forgets it, whatever its mapping was.
pub(crate) fn unmark(folder: &Path, index: &str) -> Result<()> {
    state::apply(&all(folder, index)?)
}

/// The removal of every mark of an index.
fn all(folder: &Path, index: &str) -> Result<Vec<Mutation>> {
    let marks = state::scan(&index_key(folder, index), None, 1_000)?;
    Ok(marks.into_iter().map(|(key, _)| Mutation::Delete(key)).collect())
}
