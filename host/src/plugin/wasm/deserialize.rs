//! The one `unsafe` of the component host: native code that this host compiled, now or in an earlier run, is taken as it is.
#![expect(unsafe_code, reason = "wasmtime cannot check precompiled code; see the safety argument at the call")]

use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::OwnCode;

/// Turns native code back into a component.
pub(super) fn deserialize(engine: &Engine, code: &OwnCode) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks for bytes that came from the compiler of this wasmtime and were not changed since.
    // An `OwnCode` is made in two places. `compiler` reads it from a process of this program that it started itself. `cache` reads it
    // from a file whose code (HMAC) matches under a key that only this user can read (mode 0700, which `cache` sets and checks).
    // Whoever could forge one runs as this user already. That version, target and configuration fit is checked by wasmtime itself,
    // and is part of the file's name.
    unsafe { Component::deserialize(engine, code.code()) }
}
