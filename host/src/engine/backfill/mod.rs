//! TODO

pub(super) mod range_reader;
pub(super) mod schedule;
