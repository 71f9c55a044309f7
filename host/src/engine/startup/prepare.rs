//! Opening a source and getting it ready, with patience.

use std::time::Duration;

use tokio::time::sleep;

use crate::engine::error::EngineError;
use crate::engine::observer::{Observation, Observer};
use crate::engine::retry::Retry;
use crate::engine::stage::{Capture, Preparation, Prepared, Result, Source};
use crate::model::{Position, TableInterest};

/// How long until a pending source is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// Opens an instance and asks what it is.
pub(crate) async fn open(source: &dyn Source, interest: &[TableInterest]) -> Result<(Box<dyn Capture>, String)> {
    let mut capture = source.capture(interest).await?;
    let identity = capture.identity().await?;
    Ok((capture, identity))
}

/// Prepares until the source is ready. Pending is not an error, however long: the reason is observed whenever it changes.
pub(crate) async fn prepare(
    capture: &mut dyn Capture,
    resume: Option<&Position>,
    observer: &dyn Observer,
) -> Result<Prepared> {
    let mut said = String::new();
    loop {
        match capture.prepare(resume).await? {
            Preparation::Ready(prepared) => return Ok(prepared),
            Preparation::Pending(reason) => {
                if reason != said {
                    observer.observe(Observation::Preparing { reason: &reason });
                    said = reason;
                }
                sleep(AGAIN).await;
            }
        }
    }
}

/// A fresh instance, as soon as there is one.
pub(crate) async fn reopen(
    source: &dyn Source,
    interest: &[TableInterest],
    retry: &mut Retry<'_>,
) -> std::result::Result<Box<dyn Capture>, EngineError> {
    loop {
        match open(source, interest).await {
            Ok((capture, _)) => return Ok(capture),
            Err(error) => retry.failed(error).await?,
        }
    }
}

/// A fresh instance that has looked at the source, as the contract wants before `prepare`.
pub(crate) async fn looked(
    source: &dyn Source,
    interest: &[TableInterest],
    resume: Option<&Position>,
    retry: &mut Retry<'_>,
) -> std::result::Result<Box<dyn Capture>, EngineError> {
    loop {
        let mut capture = reopen(source, interest, retry).await?;
        match capture.inspect(resume).await {
            Ok(_) => return Ok(capture),
            Err(error) => retry.failed(error).await?,
        }
    }
}
