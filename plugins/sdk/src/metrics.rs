//! Numbers about the plugin's own work, published with the host's under the plugin's name.

#[cfg(target_family = "wasm")]
pub use crate::bindings::host::flusso::connector::metrics::{add, set};
#[cfg(not(target_family = "wasm"))]
pub use crate::native::imports::metrics::{add, set};
