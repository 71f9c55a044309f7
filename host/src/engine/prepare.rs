//! Getting a source ready, with patience.

use std::time::Duration;

use tokio::time::sleep;

use super::observer::{Observation, Observer};
use super::stage::{Capture, Preparation, Prepared, Result};
use crate::model::Position;

/// How long until a pending source is asked again.
const AGAIN: Duration = Duration::from_millis(100);

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
