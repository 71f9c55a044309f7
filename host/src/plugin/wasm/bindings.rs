//! Generated from `wit/`, and nothing else: the host's side of the world `every-role`. Exported interfaces are loaded one
//! by one through their own `GuestIndices`, so that a plugin exports only the roles it has.
#![expect(missing_docs, reason = "generated code; wit/ documents it")]
#![allow(clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "flusso:connector/every-role",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "flusso:connector/net.connection": crate::plugin::wasm::imports::net::Connection,
    },
    additional_derives: [PartialEq],
});
