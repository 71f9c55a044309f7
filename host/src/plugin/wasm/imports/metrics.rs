//! `metrics`: numbers about a plugin's own work.

use crate::plugin::wasm::bindings::flusso::connector::metrics;
use crate::plugin::wasm::context::Context;

impl metrics::Host for Context {
    async fn add(&mut self, name: String, amount: u64, labels: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.metrics.add(name, amount, labels);
        Ok(())
    }

    async fn set(&mut self, name: String, value: f64, labels: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.metrics.set(name, value, labels);
        Ok(())
    }
}
