//! An instance of the source that parses, prints and compares positions, beside the one that is polled: that one may be
//! waiting for the next change.

use std::cmp::Ordering;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::engine::error::StageError;
use crate::engine::stage::{Capture, Source};
use crate::model::{Position, TableInterest};

/// The instance, opened when it is first needed.
pub(crate) struct PositionReader {
    source: Arc<dyn Source>,
    interest: Arc<[TableInterest]>,
    /// A position of the history that the run follows.
    history_position: Position,
    instance: Option<Box<dyn Capture>>,
}

impl PositionReader {
    pub(crate) fn new(source: Arc<dyn Source>, interest: Arc<[TableInterest]>, history_position: Position) -> Self {
        Self { source, interest, history_position, instance: None }
    }

    /// Makes a call; and once more on a fresh instance where the open one has lost its connection since it was used last.
    async fn call<T>(
        &mut self,
        call: impl Fn(&mut dyn Capture) -> BoxFuture<'_, Result<T, StageError>>,
    ) -> Result<T, StageError> {
        if let Some(mut instance) = self.instance.take() {
            match call(&mut *instance).await {
                Err(error) if error.is_retryable() => {}
                answer => {
                    self.instance = answer.is_ok().then_some(instance);
                    return answer;
                }
            }
        }
        let mut instance = self.source.capture(&self.interest).await?;
        // A bare position is of the history that was inspected.
        instance.inspect(Some(&self.history_position)).await?;
        let answer = call(&mut *instance).await?;
        self.instance = Some(instance);
        Ok(answer)
    }

    /// Reads a position.
    pub(crate) async fn parse(&mut self, text: &str) -> Result<Position, StageError> {
        let text: Arc<str> = text.into();
        self.call(|source| {
            let text = Arc::clone(&text);
            Box::pin(async move { source.parse(&text).await })
        })
        .await
    }

    /// A position for a person.
    pub(crate) async fn print(&mut self, position: &Position) -> Result<String, StageError> {
        self.call(|source| {
            let position = position.clone();
            Box::pin(async move { source.print(&position).await })
        })
        .await
    }

    /// Whether one position is at another or past it.
    pub(crate) async fn is_past(&mut self, position: &Position, target: &Position) -> Result<bool, StageError> {
        let order = self.call(|source| {
            let (position, target) = (position.clone(), target.clone());
            Box::pin(async move { source.compare(&position, &target).await })
        });
        Ok(order.await? != Ordering::Less)
    }
}
