//! Plugins that are native libraries, of which the operator said that they may be: no sandbox holds them. They keep the same
//! contract as components do, over the C interface in `plugins/abi`.
//!
//! | file | what it holds |
//! |---|---|
//! | `file` | what a library says about itself, read without loading it |
//! | `library` | loading it and calling it: all of the `unsafe` |
//! | `instance` | one instance: a thread of its own that takes calls, and what it asks of the host meanwhile |
//!
//! A library is never unloaded. A panic in it, an answer that cannot be read and a call that takes too long end the instance, as
//! a trap does; a thread that never comes back from a call is left behind. A crash of the library is a crash of the program.

mod file;
mod instance;
mod library;

pub(in crate::plugin) use file::{ENDING, is_library, manifest, trailer};
pub(in crate::plugin) use instance::{Instance, NativeFault, Step};
pub(in crate::plugin) use library::{Library, LoadError};
