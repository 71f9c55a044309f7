//! Plugins that are WebAssembly components: checking, compiling, linking, running.
//!
//! One task owns each store and takes messages ([`Guest`]); a trap, a time-out or a caller that went away ends the task
//! and the store with it. Nothing of a guest is trusted: what it returns is counted and measured in `convert`, the only
//! place where the contract's types meet the model.

mod bindings;
mod builder;
mod cache;
mod checked;
mod context;
mod convert;
mod deserialize;
mod diagnosis;
mod folders;
mod guest;
mod imports;
mod inventory;
pub mod limits;
mod plugin;
mod reader;
mod runtime;
mod said;
mod sink;
mod source;

pub use builder::{GuestBuilder, Request};
pub use checked::{Checked, Digest};
pub use context::{Origin, Setup};
pub use diagnosis::examine;
pub use guest::{Fault, Guest, GuestError};
pub use inventory::{holdings, remove};
pub use limits::Limits;
pub use plugin::Plugin;
pub use runtime::{Compiled, PrepareError, Prepared, Runtime, default_cache};
pub use said::Said;
pub use sink::GuestSink;
pub use source::GuestSource;
