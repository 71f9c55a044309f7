//! What an executor does: it answers questions for the rows of a node, in order, each for many links at once.

use crate::rows::Rows;

/// Fetches rows. Questions are put together with [`Fetch::ask`] and answered in the order they were put in, so that an
/// executor can send all of them before it waits for the first.
pub trait Fetch {
    /// What can go wrong.
    type Error;

    /// Asks for the rows of a node of the plan (by its number) that belong to these links.
    ///
    /// The first cell of each row says which of the links it belongs to, as the node's grouping says; the others are the
    /// node's cells. Rows of one link come in the node's order; where the node groups by text they may come in any order
    /// otherwise.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    fn ask(&mut self, node: usize, links: &Links<'_>) -> Result<(), Self::Error>;

    /// All rows that answer the oldest question not answered yet.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    fn answer(&mut self, rows: &mut Rows) -> Result<(), Self::Error>;

    /// Nothing more will be asked: what ends the reading can travel behind the last question.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    fn asked_all(&mut self) -> Result<(), Self::Error>;

    /// What was answered makes no sense.
    fn malformed(&self, node: usize) -> Self::Error;
}

/// Link values, each once and none null.
#[derive(Debug)]
pub struct Links<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) cells: &'a [usize],
    pub(crate) picks: &'a [u32],
}

impl<'a> Links<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.picks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.picks.is_empty()
    }

    /// The columns of the links, each as the texts of all links.
    pub fn columns(&self) -> impl Iterator<Item = impl Iterator<Item = &'a [u8]>> {
        let (rows, picks) = (self.rows, self.picks);
        self.cells.iter().map(move |cell| {
            let cell = *cell;
            picks.iter().map(move |row| rows.cell(*row as usize, cell).unwrap_or_default())
        })
    }
}
