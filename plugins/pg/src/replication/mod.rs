//! TODO

pub mod capture;
pub mod pgoutput;
pub mod position;
pub(crate) mod publication;
pub mod relation;
pub(crate) mod replica_identity;
pub(crate) mod slot;
pub(crate) mod slot_names;
pub mod source;
pub mod stream;
pub mod visibility;
