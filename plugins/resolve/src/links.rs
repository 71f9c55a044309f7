//! The seam for a link table: what remembers the links of rows where the store does not tell them after a change.

use flusso_plugin::Key;

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

/// Remembers links. Links are only ever added here: when one may be forgotten is the business of whoever keeps them.
pub trait Links<E> {
    /// Adds links; those that are known already, too.
    ///
    /// # Errors
    ///
    /// Whatever keeps them says.
    fn remember(&mut self, links: &[Link]) -> Result<(), E>;

    /// For each of some rows of a relation, every link remembered of it.
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
    fn remember(&mut self, _: &[Link]) -> Result<(), E> {
        Ok(())
    }

    fn parents(&mut self, _: u32, _: &[Key]) -> Result<Vec<Vec<Key>>, E> {
        Ok(Vec::new())
    }
}
