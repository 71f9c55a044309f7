//! `secrets`: a plugin's own, by name.

use crate::plugin::wasm::bindings::flusso::connector::secrets;
use crate::plugin::wasm::context::Context;

impl secrets::Host for Context {
    async fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.setup.secrets.get(&name).cloned())
    }
}
