//! TODO

pub(super) mod batch;
pub(super) mod build;
pub(super) mod capture;
pub(super) mod live_writes;
pub(super) mod queue;
pub(super) mod worker;
