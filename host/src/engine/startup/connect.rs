//! Opening builder and source, before anything is created.

use std::sync::Arc;

use crate::engine::error::{EngineError, StageError};
use crate::engine::observer::{Observation, Observer};
use crate::engine::options::Options;
use crate::engine::retry::Retry;
use crate::engine::stage::{Builder, Capture, Description, Source};
use crate::model::TableInterest;

/// A builder and a source that answer, before anything is created.
pub struct Connected {
    pub(in crate::engine) builder: Arc<dyn Builder>,
    pub(in crate::engine) observer: Arc<dyn Observer>,
    pub(in crate::engine) options: Options,
    pub(in crate::engine) description: Description,
    pub(in crate::engine) source: OpenSource,
    identity: String,
}

/// Opens the builder and the source and asks what they are. Waits for one that is away, as long as the options say.
///
/// # Errors
///
/// The run's error when a stage cannot be used.
pub async fn connect(
    source: Arc<dyn Source>,
    builder: Arc<dyn Builder>,
    observer: Arc<dyn Observer>,
    options: Options,
) -> Result<Connected, EngineError> {
    let stage = format!("builder {:?}", builder.name());
    let description = Retry::new(&*stage, &options, &*observer).run(|| builder.describe()).await?;
    let description = checked(&stage, description)?;
    let mut source = OpenSource::new(source, description.interest.clone().into());
    let mut retry = Retry::new(source.stage(), &options, &*observer);
    let identity = source
        .call(&mut retry, |mut capture| async move {
            let identity = capture.identity().await;
            (capture, identity)
        })
        .await?;
    drop(retry);
    observer.observe(Observation::Connected { identity: &identity });
    Ok(Connected { source, builder, observer, options, description, identity })
}

/// What a builder offers is not trusted: every index must have one root, and every number must mean something.
fn checked(builder: &str, description: Description) -> Result<Description, EngineError> {
    let Description { mappings, scopes, interest } = &description;
    let wrong = |message: String| Err(EngineError::stage(builder, StageError::Fatal(message)));
    for (number, mapping) in mappings.iter().enumerate() {
        let roots = scopes.iter().filter(|scope| scope.index as usize == number);
        let roots = roots.filter(|scope| (scope.root as usize) < interest.len()).count();
        if roots != 1 {
            return wrong(format!("index {:?} has {roots} root tables; it must have one", mapping.index));
        }
        if mappings.iter().filter(|other| other.index == mapping.index).count() > 1 {
            return wrong(format!("it offers two indexes called {:?}; give one of them another name", mapping.index));
        }
    }
    Ok(description)
}

impl Connected {
    /// The source's name for its store and its cursor on it, fit for a file name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What the builder offers.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Removes everything that the source keeps outside, and says what.
    ///
    /// # Errors
    ///
    /// The source's.
    pub async fn discard(mut self) -> Result<Vec<String>, EngineError> {
        let mut retry = Retry::new(self.source.stage(), &self.options, &*self.observer);
        self.source
            .call(&mut retry, |mut capture| async move {
                let removed = capture.discard().await;
                (capture, removed)
            })
            .await
    }
}

/// A source and its open instance for the live capture. After a failed call the instance is dropped, and the next call opens
/// a fresh one.
pub(crate) struct OpenSource {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) interest: Arc<[TableInterest]>,
    capture: Option<Box<dyn Capture>>,
}

impl OpenSource {
    fn new(source: Arc<dyn Source>, interest: Arc<[TableInterest]>) -> Self {
        Self { source, interest, capture: None }
    }

    /// The source as messages name it.
    pub(crate) fn stage(&self) -> String {
        format!("source {:?}", self.source.name())
    }

    /// Makes a call until it succeeds, after each failure on a fresh instance. The call gives the instance back.
    pub(crate) async fn call<T, F>(
        &mut self,
        retry: &mut Retry<'_>,
        mut call: impl FnMut(Box<dyn Capture>) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = (Box<dyn Capture>, Result<T, StageError>)>,
    {
        loop {
            match self.try_call(&mut call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => retry.failed(error).await?,
            }
        }
    }

    async fn try_call<T, F>(&mut self, call: &mut impl FnMut(Box<dyn Capture>) -> F) -> Result<T, StageError>
    where
        F: Future<Output = (Box<dyn Capture>, Result<T, StageError>)>,
    {
        let capture = match self.capture.take() {
            Some(capture) => capture,
            None => self.source.capture(&self.interest).await?,
        };
        let (capture, answer) = call(capture).await;
        self.capture = answer.is_ok().then_some(capture);
        answer
    }

    /// The instance, once it is prepared.
    pub(crate) fn into_parts(self) -> (Arc<dyn Source>, Arc<[TableInterest]>, Option<Box<dyn Capture>>) {
        (self.source, self.interest, self.capture)
    }
}
