//! The PostgreSQL wire protocol, from bytes to rows. Knows nothing of tables that are followed or of documents.
//!
//! ```text
//! session ─▶ wire ─▶ transport ─▶ the host's `net` (a guest) or a socket (a native build)
//!   │          └───▶ tls, auth     while a connection is made
//!   └──────▶ sql                   names and literals, quoted
//! codec ───▶ pg_types              the server's text of a value ⇄ the contract's `Value`
//! ```

pub(crate) mod auth;
pub mod codec;
pub mod pg_types;
pub mod session;
pub mod sql;
pub(crate) mod tls;
pub mod transport;
pub mod wire;
