//! The seam for a link table: what remembers the links of rows where the store does not tell them after a change.
//!
//! Builds add to it, the links of every row that they read; the resolver asks it, and says what ended. Removing that is the
//! the link table's task: together with the confirmation of the batch, and not if a build has added it again.

use crate::key::code;
use flusso_plugin::{Affected, Key};
use std::collections::HashMap;

/// The links of one row, as they were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Which relation, by its number in `Resolver::relations`.
    pub relation: u32,
    /// The key of the row.
    pub row: Key,
    /// The values of its link columns.
    pub values: Key,
}

/// Remembers links.
pub trait Links<E> {
    /// For each of some rows of a relation, every link remembered of it. Asked of every row that changed, also where nothing
    /// will be found: a build that read such a row and has not added its links yet must hear of it.
    ///
    /// # Errors
    ///
    /// Whatever keeps them says.
    fn parents(&mut self, relation: u32, rows: &[Key]) -> Result<Vec<Vec<Key>>, E>;
}

/// Remembers nothing: relations that the store does not tell are followed from the links after a change alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLinks;

impl<E> Links<E> for NoLinks {
    fn parents(&mut self, _: u32, _: &[Key]) -> Result<Vec<Vec<Key>>, E> {
        Ok(Vec::new())
    }
}

/// What a batch touches.
#[derive(Debug, Clone)]
pub struct Touched {
    /// The documents; what ended is not filled in.
    pub affected: Affected,
    /// What ended.
    pub ended: Ended,
}

/// Remembered links that a batch ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    /// Links of rows that are gone, or lead elsewhere as of their last change.
    pub links: Vec<Link>,
    /// Relations whose rows are all gone.
    pub emptied: Vec<u32>,
}

/// Where a row leads, as of its last change in a batch.
#[derive(Debug)]
pub(crate) enum Last {
    /// It is gone.
    Gone,
    /// Here.
    At(Key),
    /// The change does not say.
    Unsaid,
}

/// The changed rows of one relation that is followed through the table.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) rows: Vec<Key>,
    /// For each the place of the first change, and where it leads after the last.
    pub(crate) ends: Vec<(u32, Last)>,
    places: HashMap<Vec<u8>, usize>,
}

impl Changed {
    /// A change of a row.
    pub(crate) fn note(&mut self, row: &Key, rank: u32, last: Last) {
        let code = code(row);
        match self.places.get(&code).and_then(|at| self.ends.get_mut(*at)) {
            Some(end) => end.1 = last,
            None => {
                self.places.insert(code, self.rows.len());
                self.rows.push(row.clone());
                self.ends.push((rank, last));
            }
        }
    }
}
