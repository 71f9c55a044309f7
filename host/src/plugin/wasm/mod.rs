//! Plugins that are WebAssembly components: checking, compiling, linking, running.
//!
//! ```text
//! file ─▶ artifact (Checked) ─▶ runtime: Compiled ─▶ Prepared ─▶ plugin ─spawn─▶ guest (a task that owns a store)
//!         manifest, digest      cache, deserialize    roles       settings, grants   │ calls, one at a time
//!                                                                                    ▼
//!         engine traits ◀─ source, builder, sink ◀─ convert (checks what comes back) ◀ instance ─▶ imports
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `artifact`, `runtime`, `engine`, `compiler`, `cache`, `deserialize` | from a file to a linked component, compiled in a process of its own; `deserialize` alone has `unsafe` |
//! | `roles` | the table of the contract's roles: which interface, and what says whether a plugin has it |
//! | `native_call`, `host_functions` | the same calls of plugins that are native libraries (`plugin/native`) |
//! | `plugin`, `context`, `limiter`, `folders`, `write_gate` | a component as the configuration uses it: settings, grants, limits |
//! | `guest`, `fault` | the task that owns a store, and what can go wrong in it (I9) |
//! | `source`, `builder`, `sink`, `diagnosis`, `inventory`, `search` | the engine's traits, over guests |
//! | `tracked`, `pool` | the engine's builder over guests that only build, and whose reads are followed |
//! | `reader`, `row_reader` | rows for a builder's guest, from a guest of the source plugin |
//! | `imports`, `guest_output`, `log_dedup` | what a guest may call, and what becomes of what it writes (I10) |
//! | `convert` | the only place where the contract's types meet the model: what a guest returns is untrusted |
//! | `bindings` | generated code, nothing else |
//!
//! One task owns each store and takes messages ([`Guest`]); a trap, a time-out or a cancelled caller ends the task and the store
//! with it.

mod artifact;
mod bindings;
mod bodies;
mod builder;
mod cache;
mod compiler;
mod context;
mod convert;
mod declared_reads;
mod deserialize;
mod diagnosis;
mod engine;
mod fault;
mod folders;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guest;
mod guest_output;
mod host_functions;
mod imports;
mod inventory;
pub mod limiter;
mod log_dedup;
mod native_call;
mod plugin;
mod pool;
mod reader;
mod roles;
mod row_reader;
mod runtime;
mod search;
mod sink;
mod source;
mod tracked;
mod untold_links;
mod write_gate;

pub use artifact::{Checked, Digest};
pub use builder::{GuestBuilder, Request};
pub use compiler::{COMMAND as COMPILE_COMMAND, CompileError, CompileLimits, compile_by, compile_component};
pub use context::Setup;
pub use diagnosis::{examine, examine_sink};
pub use fault::{Fault, GuestError, Origin};
pub use guest::Guest;
pub use inventory::{remove, stored_indexes};
pub use limiter::Limits;
pub use log_dedup::LogDedup;
pub use plugin::Plugin;
pub use runtime::{Compiled, PrepareError, Prepared, Runtime, default_cache};
pub use search::search;
pub use sink::GuestSink;
pub use source::GuestSource;
pub use tracked::TrackedBuilder;
