//! Byte streams to other machines, as granted. See `wit/net.wit`.

pub use crate::bindings::host::flusso::connector::net::{
    ClientIdentity, Connection, NetError, TlsOptions, Verification, connect,
};
