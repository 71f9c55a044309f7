//! `log`: a guest's own log lines.

use std::time::Instant;

use crate::plugin::wasm::bindings::flusso::connector::log::{self, Level};
use crate::plugin::wasm::context::Context;
use crate::plugin::wasm::fault::Origin;
use crate::plugin::wasm::guest_output::write;
use crate::plugin::wasm::limits::{TEXT, plain};

/// Fields of a line.
const MAX_FIELDS: usize = 32;
/// Bytes of a field's name, and of its value.
const MAX_FIELD_NAME: usize = 64;
const MAX_FIELD: usize = 1 << 10;

impl log::Host for Context {
    async fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let (granted, dropped) = self.log_rate.take(Instant::now());
        if let Some(lines) = dropped {
            let Origin { plugin, instance, .. } = &*self.origin;
            tracing::warn!(target: "flusso::plugin", plugin, instance, lines, "log lines dropped: more than 200 a second");
        }
        if granted {
            let fields: Vec<_> = fields
                .iter()
                .take(MAX_FIELDS)
                .map(|(name, value)| format!("{}={}", plain(name, MAX_FIELD_NAME), plain(value, MAX_FIELD)))
                .collect();
            let (message, fields) = (plain(&message, TEXT), fields.join(" "));
            if self.setup.log_dedup.is_new(self.number, &format!("{message}\0{fields}"), Instant::now()) {
                write(&self.origin, level, &message, &fields);
            }
        }
        Ok(())
    }
}
