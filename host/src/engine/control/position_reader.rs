//! An instance of the source that is asked about positions and nothing else, beside the one that is polled: that one may
//! be waiting for the next change.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::engine::error::StageError;
use crate::engine::stage::{Capture, Source};
use crate::model::{Position, TableInterest};

/// Opened when it is first asked.
pub(crate) struct Asking {
    source: Arc<dyn Source>,
    interest: Arc<[TableInterest]>,
    /// A position of the history that the run follows.
    of: Position,
    open: Option<Box<dyn Capture>>,
}

/// Asks the open instance, and once more a fresh one where it had gone away since it was asked last.
macro_rules! ask {
    ($self:ident.$function:ident($($argument:expr),*)) => {{
        let fresh = $self.open.is_none();
        match $self.instance().await?.$function($($argument),*).await {
            Err(error) if error.is_retryable() && !fresh => {
                $self.open = None;
                $self.instance().await?.$function($($argument),*).await
            }
            answer => answer,
        }
        .inspect_err(|_| $self.open = None)
    }};
}

impl Asking {
    pub(crate) fn new(source: Arc<dyn Source>, interest: Arc<[TableInterest]>, of: Position) -> Self {
        Self { source, interest, of, open: None }
    }

    async fn instance(&mut self) -> Result<&mut Box<dyn Capture>, StageError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let mut open = self.source.capture(&self.interest).await?;
                // So that it knows the history that a bare position is of.
                open.inspect(Some(&self.of)).await?;
                open
            }
        };
        Ok(self.open.insert(open))
    }

    /// Reads a position.
    pub(crate) async fn parse(&mut self, text: &str) -> Result<Position, StageError> {
        ask!(self.parse(text))
    }

    /// A position for a person.
    pub(crate) async fn print(&mut self, position: &Position) -> Result<String, StageError> {
        ask!(self.print(position))
    }

    /// Whether one position is at another or past it.
    pub(crate) async fn is_past(&mut self, position: &Position, target: &Position) -> Result<bool, StageError> {
        Ok(ask!(self.compare(position, target))? != Ordering::Less)
    }
}
