//! Plugins: finding them, reading what they say about themselves, deciding what they may do, and running them.
//!
//! A plugin passes through types that consume one another: [`locate::Found`] → [`wasm::Checked`] → [`wasm::Compiled`] →
//! [`wasm::Prepared`] → [`wasm::Guest`]. What is expensive happens once, in the earlier ones.

mod address;
mod address_pattern;
pub mod build;
pub mod capability;
mod damage;
pub mod finding;
pub mod found;
pub mod links;
pub mod locate;
pub mod manifest;
pub mod metrics;
mod native;
pub mod new_plugin;
pub mod plain;
mod sections;
pub mod settings;
pub mod state;
pub mod stored_index;
pub mod supply;
pub mod wasm;
