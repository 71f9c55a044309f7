//! Opening builder and source, before anything is created.

use std::sync::Arc;

use crate::engine::error::{EngineError, StageError};
use crate::engine::observer::{Observation, Observer};
use crate::engine::options::Options;
use crate::engine::startup::prepare::open;
use crate::engine::retry::Retry;
use crate::engine::stage::{Builder, Capture, Description, Source};
use crate::model::TableInterest;

/// A builder and a source that answer, before anything is created.
pub struct Connected {
    pub(in crate::engine) source: Arc<dyn Source>,
    pub(in crate::engine) builder: Arc<dyn Builder>,
    pub(in crate::engine) observer: Arc<dyn Observer>,
    pub(in crate::engine) options: Options,
    pub(in crate::engine) description: Description,
    pub(in crate::engine) interest: Arc<[TableInterest]>,
    pub(in crate::engine) capture: Box<dyn Capture>,
    pub(in crate::engine) identity: String,
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
    let name = format!("builder {:?}", builder.name());
    let mut retry = Retry::new(&name, &options, &*observer);
    let description = loop {
        match builder.describe().await {
            Ok(description) => break checked(&name, description)?,
            Err(error) => retry.failed(error).await?,
        }
    };
    let interest: Arc<[TableInterest]> = description.interest.clone().into();
    let name = format!("source {:?}", source.name());
    let mut retry = Retry::new(&name, &options, &*observer);
    let (capture, identity) = loop {
        match open(&*source, &interest).await {
            Ok(opened) => break opened,
            Err(error) => retry.failed(error).await?,
        }
    };
    observer.observe(Observation::Connected { identity: &identity });
    Ok(Connected { source, builder, observer, options, description, interest, capture, identity })
}

/// What a builder offers is not trusted: every index must have one root, and every number must mean something.
fn checked(builder: &str, description: Description) -> Result<Description, EngineError> {
    let Description { mappings, scopes, interest } = &description;
    let wrong = |what: String| Err(EngineError::stage(builder, StageError::Fatal(what)));
    for (number, mapping) in mappings.iter().enumerate() {
        let roots = scopes.iter().filter(|scope| scope.index as usize == number);
        let known: Vec<_> = roots.filter(|scope| (scope.root as usize) < interest.len()).collect();
        if known.len() != 1 {
            return wrong(format!("index {:?} has {} root tables; it must have one", mapping.index, known.len()));
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
        let name = format!("source {:?}", self.source.name());
        let mut retry = Retry::new(&name, &self.options, &*self.observer);
        loop {
            match self.capture.discard().await {
                Ok(removed) => return Ok(removed),
                Err(error) => {
                    retry.failed(error).await?;
                    match open(&*self.source, &self.interest).await {
                        Ok((capture, _)) => self.capture = capture,
                        Err(error) => retry.failed(error).await?,
                    }
                }
            }
        }
    }
}
