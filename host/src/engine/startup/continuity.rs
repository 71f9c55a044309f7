//! Whether the source's history goes on where the host left off. Decided here for the start of a run and for each time the
//! source is opened again while the run goes on.

use crate::engine::stage::{Continuity, Inspection};
use crate::model::HistoryId;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resumption {
    /// The host remembers a position, and everything after it can still be had.
    Resume,
    /// The host remembers no position: a new history begins.
    Begin,
    /// The host remembers a position that cannot be resumed, and why.
    Lost(String),
}

/// Compares what an inspection found with the history of the position that the host remembers; none: it remembers none.
pub(crate) fn resumption(inspection: &Inspection, remembered: Option<&HistoryId>) -> Resumption {
    match (&inspection.continuity, remembered) {
        (Continuity::Lost(reason), _) => Resumption::Lost(reason.clone()),
        (Continuity::Continuous | Continuity::Fresh, None) => Resumption::Begin,
        (Continuity::Fresh, Some(_)) => Resumption::Lost("what the source kept for this host is gone".to_owned()),
        (Continuity::Continuous, Some(history)) if inspection.history.as_ref() == Some(history) => Resumption::Resume,
        (Continuity::Continuous, Some(_)) => {
            Resumption::Lost("the source follows another history than the host remembers".to_owned())
        }
    }
}
