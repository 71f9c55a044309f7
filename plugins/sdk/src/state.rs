//! A small durable store of the plugin's own, kept by the host. See `wit/state.wit`.

pub use crate::bindings::host::flusso::connector::state::{Mutation, apply, get, scan};
