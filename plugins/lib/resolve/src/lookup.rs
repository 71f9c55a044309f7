//! What the resolver asks the store.

use crate::cursor::Unreadable;
use flusso_plugin::{Key, TableName};

/// Answers questions about links. Asked once a round, with the questions of all groups together, so that an executor can
/// send all of them before it waits for the first.
pub trait Lookup {
    /// What can go wrong.
    type Error;

    /// The answers, one a question, in the same order.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    fn lookup(&mut self, asked: &[Hop<'_>]) -> Result<Vec<Vec<Pair>>, Self::Error>;

    /// What to say of a cursor that is damaged.
    fn unreadable(&self, error: Unreadable) -> Self::Error;
}

/// One question: for the rows of `table` whose `by` columns equal one of `values`, what do `select` columns hold?
///
/// Answered by different pairs of (`by`, `select`), ordered by `select`, then by `by`, in any total order that stays the
/// same; those behind `after` alone where it is given; at most `limit`; none with a null in `select`.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// The table.
    pub table: &'a TableName,
    /// The columns whose values are given.
    pub by: &'a [String],
    /// Their values, each list once, none null. They come from other columns, and need not even fit the type of these.
    pub values: &'a [Key],
    /// The columns whose values are wanted.
    pub select: &'a [String],
    /// Where the last answer ended.
    pub after: Option<&'a Pair>,
    /// At most so many.
    pub limit: usize,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The values of `by`.
    pub from: Key,
    /// The values of `select`.
    pub to: Key,
}
