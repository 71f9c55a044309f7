//! What a guest may call: one file an interface of `wit/`, and WASI 0.2 with `wasi:http`. Each function asks `capability` before it reaches
//! anything, and caps what it takes.

pub(super) mod http;
mod links;
pub(super) mod log;
mod metrics;
pub(super) mod net;
mod reader;
mod secrets;
mod state;
mod stream;
mod tls;
mod tracked_reader;

use wasmtime::component::{HasSelf, Linker};

use super::bindings::EveryRole;
use super::bindings::flusso::connector::types;
use super::context::Context;

impl types::Host for Context {}

/// Offers all of it to every plugin; what is not granted refuses when it is called.
pub(super) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    EveryRole::add_to_linker::<_, HasSelf<_>>(linker, |context| context)
}
