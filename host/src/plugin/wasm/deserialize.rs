//! The one `unsafe` of the component host: native code that an earlier run of this host compiled is taken as it is.
#![expect(unsafe_code, reason = "wasmtime cannot check precompiled code; see the safety argument at the call")]

use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::Verified;

/// Turns a verified cache entry back into a component.
pub(super) fn deserialize(engine: &Engine, entry: &Verified) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks for bytes that came from `Component::serialize` of this wasmtime and were not
    // changed since. A `Verified` is made only by `cache`, of a file in a folder that only this user can open or write
    // (mode 0700, which `cache` sets and checks), whose digest stands at its head and matches. Whoever could forge one runs
    // as this user already. That version, target and configuration fit is checked by wasmtime itself, and is part of the
    // file's name.
    unsafe { Component::deserialize(engine, entry.code()) }
}
