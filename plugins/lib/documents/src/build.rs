//! Chunks of documents through the executor: several are under way, so that the store works on one while another is
//! rendered.

use crate::assembly::Assembly;
use crate::fetch::Fetch;
use crate::plan::Plan;
use crate::rows::Rows;
use std::collections::VecDeque;

/// A good size for a chunk, in documents: large enough that a question is worth its plan, small enough that there are
/// several.
pub const CHUNK: usize = 512;

/// Some documents.
#[derive(Debug)]
pub enum Chunk {
    /// By their keys, each once: one cell a key column.
    Keys(Rows),
    /// By their root rows, as wide as the root node; a row whose first cell is null is no document.
    Roots(Rows),
}

/// Builds documents chunk by chunk.
///
/// `next` gives the chunks; at most `ahead` of them are under way at once. `done` gets each finished chunk with its number,
/// not always in order, and says whether to go on; when it says no, answers may be left with the executor.
///
/// # Errors
///
/// Whatever the executor says.
pub fn build<F: Fetch>(
    plan: &Plan,
    fetch: &mut F,
    ahead: usize,
    mut next: impl FnMut(&mut F) -> Result<Option<Chunk>, F::Error>,
    mut done: impl FnMut(usize, &Assembly<'_>) -> Result<bool, F::Error>,
) -> Result<(), F::Error> {
    let mut under_way: VecDeque<(usize, Assembly<'_>)> = VecDeque::new();
    let (mut number, mut more, mut asking) = (0, true, true);
    loop {
        while more && under_way.len() < ahead.max(1) {
            let Some(chunk) = next(fetch)? else {
                more = false;
                break;
            };
            let mut assembly = match chunk {
                Chunk::Keys(keys) => Assembly::by_key(plan, keys),
                Chunk::Roots(rows) => Assembly::of_roots(plan, rows),
            };
            assembly.ask(fetch)?;
            under_way.push_back((number, assembly));
            number += 1;
        }
        if asking && !more && under_way.iter().all(|(_, assembly)| assembly.asked_all()) {
            asking = false;
            fetch.asked_all()?;
        }
        let Some((number, mut assembly)) = under_way.pop_front() else { return Ok(()) };
        assembly.take(fetch)?;
        if assembly.ask(fetch)? {
            under_way.push_back((number, assembly));
        } else if !done(number, &assembly)? {
            return Ok(());
        }
    }
}
