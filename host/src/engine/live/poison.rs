//! Documents whose build ends the builder's instance: a trap, a limit, an answer that breaks the contract. They are found by halving
//! the call that failed, down to the document, which then follows the index's policy like any other that cannot be built. Without
//! that one such document would end every run, whatever the policy.

use std::sync::Arc;

use crate::engine::error::StageError;
use crate::engine::live::build_call::build_call;
use crate::engine::options::OnError;
use crate::engine::run_context::RunContext;
use crate::engine::stage::{Builder, Slice};
use crate::limits;
use crate::model::{DocumentId, Outcome};

/// Finds them. Kept over calls, to tell a document that cannot be built from a builder that builds nothing any more.
#[derive(Default)]
pub(crate) struct PoisonSearch {
    /// How many were found since a document was built.
    in_a_row: usize,
}

impl PoisonSearch {
    /// A document was built.
    pub(crate) fn built_something(&mut self) {
        self.in_a_row = 0;
    }

    /// Builds documents of a call that failed: one outcome an id, in order.
    ///
    /// # Errors
    ///
    /// Any error that halving does not tell the document of; that of the whole call where none of several documents can be built,
    /// unless they are few and their index lets documents be skipped.
    pub(crate) async fn build(
        &mut self,
        builder: &dyn Builder,
        ids: &Arc<Vec<DocumentId>>,
        context: &RunContext,
    ) -> Result<Vec<Outcome>, StageError> {
        let call = |part| build_call(builder, Slice::new(Arc::clone(ids), part));
        let mut outcomes = vec![Outcome::Absent; ids.len()];
        let (mut parts, mut whole, mut found) = (vec![0..ids.len()], None, 0);
        // The last first: the stack is taken from its end.
        while let Some(part) = parts.pop() {
            let mut answer = call(part.clone()).await;
            if part.len() == 1
                && let Err(error) = &answer
                && error.may_be_of_one_document()
            {
                // Alone, and no accident: it does the same again.
                let error = error.to_string();
                answer = match call(part.clone()).await {
                    Err(other) if other.to_string() != error => return Err(other),
                    again => again,
                };
            }
            match answer {
                Ok(built) => {
                    self.built_something();
                    outcomes.splice(part, built);
                }
                Err(error) if !error.may_be_of_one_document() => return Err(error),
                Err(error) if part.len() > 1 => {
                    whole.get_or_insert(error);
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Err(error) => {
                    (self.in_a_row, found) = (self.in_a_row + 1, found + 1);
                    outcomes.splice(part, [Outcome::Failed(error.of_document())]);
                    if self.in_a_row > limits::engine::POISON_IN_A_ROW {
                        return Err(whole.unwrap_or(error));
                    }
                }
            }
        }
        let stops = |id: &DocumentId| context.on_error(id.index) == OnError::Stop;
        match whole {
            // That every document of several fails is the builder's fault, and is said of it.
            Some(error) if found == ids.len() && ids.iter().any(stops) => Err(error),
            _ => Ok(outcomes),
        }
    }
}
