//! Generated from `wit/`, and nothing else: the host's side of the world `every-role`. Exported interfaces are loaded one
//! by one through their own `GuestIndices`, so that a plugin exports only the roles it has.
#![allow(clippy::all, reason = "generated code; wit/ documents it")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "flusso:connector/every-role",
    imports: { default: async | trappable },
    exports: { default: async },
    // What only goes into a guest is borrowed, so that bodies are not copied on their way to a sink.
    ownership: Borrowing { duplicate_if_necessary: false },
    with: {
        "flusso:connector/net.connection": crate::plugin::wasm::imports::net::Connection,
    },
    additional_derives: [PartialEq, flusso_abi::Encode, flusso_abi::Decode],
});
