//! Opening a source and getting it ready, with patience.

use std::time::Duration;

use tokio::time::sleep;

use super::observer::{Observation, Observer};
use super::stage::{Capture, Preparation, Prepared, Result, Source};
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
