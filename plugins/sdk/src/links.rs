//! The link table that the host keeps for builders. See `wit/links.wit`.

pub use crate::bindings::host::flusso::connector::links::{add, clock, parents, recorded_relations};
