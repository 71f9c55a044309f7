//! A small durable store of the plugin's own, kept by the host. See `wit/state.wit`.

#[cfg(target_family = "wasm")]
pub use crate::bindings::host::flusso::connector::state::{Mutation, apply, get, scan};
#[cfg(not(target_family = "wasm"))]
pub use crate::native::imports::state::{Mutation, apply, get, scan};
