//! The C interface between flusso-host and a plugin that is a native library. It carries the same contract as WebAssembly
//! components do (`wit/`): a function of an interface is called by its name, its arguments and its result are bytes.
//!
//! | file | what it holds |
//! |---|---|
//! | `include/flusso_plugin.h` | the interface in C, for plugins in any language; its text is the specification |
//! | `table` | the same in Rust |
//! | `encoding` | how the contract's types are written as bytes |
//!
//! Nothing of Rust crosses: no type of its own layout, no allocator, no panic.

mod encoding;
mod table;

pub use encoding::{Decode, DecodeError, Encode, Input, decode, encode};
pub use flusso_abi_macros::{Decode, Encode};
pub use table::{Buffer, Bytes, Entry, Host, MANIFEST_SECTION, Plugin, SYMBOL, Status, VERSION};
