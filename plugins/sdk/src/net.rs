//! Byte streams to other machines, as granted. See `wit/net.wit`.

#[cfg(target_family = "wasm")]
pub use crate::bindings::host::flusso::connector::net::{
    ClientIdentity, Connection, NetError, TlsOptions, Verification, connect,
};
#[cfg(not(target_family = "wasm"))]
pub use crate::native::imports::net::{ClientIdentity, Connection, NetError, TlsOptions, Verification, connect};
