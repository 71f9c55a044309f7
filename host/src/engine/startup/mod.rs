//! TODO

pub(super) mod connect;
pub(super) mod prepare;
pub(super) mod reconcile;
pub(super) mod seed_marks;
