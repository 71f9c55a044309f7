//! Having the source create what resuming needs (a slot, a publication), and waiting until it is ready.

use tokio::time::sleep;

use crate::engine::observer::{Observation, Observer};
use crate::engine::stage::{Capture, Preparation, Prepared, Result};
use crate::limits;
use crate::model::Position;

/// Prepares until the source is ready. Pending is not an error, however long it takes: the reason is observed whenever it
/// changes.
pub(crate) async fn prepare(
    capture: &mut dyn Capture,
    resume: Option<&Position>,
    observer: &dyn Observer,
) -> Result<Prepared> {
    let mut last_reason = String::new();
    loop {
        match capture.prepare(resume).await? {
            Preparation::Ready(prepared) => return Ok(prepared),
            Preparation::Pending(reason) => {
                if reason != last_reason {
                    observer.observe(Observation::Preparing { reason: &reason });
                    last_reason = reason;
                }
                sleep(limits::engine::PENDING_RECHECK_INTERVAL).await;
            }
        }
    }
}
