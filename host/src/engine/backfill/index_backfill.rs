//! A backfill as the worker sees it.

use crate::engine::delivery::lane::SinkSet;
use crate::model::TableNumber;

/// The backfill of an index, until all its ranges are read.
pub(crate) struct IndexBackfill {
    pub(super) attempt: u64,
    pub(super) sinks: SinkSet,
    pub(super) root: TableNumber,
    /// Ranges that are not read to their end; none until they are planned.
    pub(super) parts_left: Option<usize>,
}
