//! TODO

pub(crate) mod auth;
pub mod codec;
pub mod pg_types;
pub mod session;
pub mod sql;
pub(crate) mod tls;
pub mod transport;
pub mod wire;
