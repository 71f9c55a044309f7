//! One call of the builder.

use crate::engine::error::StageError;
use crate::engine::stage::{Builder, Slice};
use crate::model::{DocumentId, Outcome};

/// One call of `build_many`, whose answer must have one outcome an id. Shared by live batches and backfill pages.
pub(crate) async fn build_call(builder: &dyn Builder, ids: Slice<DocumentId>) -> Result<Vec<Outcome>, StageError> {
    let expected = ids.len();
    let outcomes = builder.build_many(ids).await?;
    match outcomes.len() {
        count if count == expected => Ok(outcomes),
        count => Err(StageError::Violation(format!("the builder answered {count} outcomes for {expected} documents"))),
    }
}
