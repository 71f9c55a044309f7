//! TODO

pub(super) mod index_targets;
pub(super) mod lane;
pub(super) mod sink_task;
