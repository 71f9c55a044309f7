//! TODO

pub(super) mod commands;
pub(super) mod position_reader;
