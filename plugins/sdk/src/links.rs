//! The link table that the host keeps for builders. See `wit/links.wit`.

#[cfg(target_family = "wasm")]
pub use crate::bindings::host::flusso::connector::links::{add, clock, parents, recorded_relations};
#[cfg(not(target_family = "wasm"))]
pub use crate::native::imports::links::{add, clock, parents, recorded_relations};
