//! `log`: a guest's own log lines.

use std::time::Instant;

use crate::limits;
use crate::plugin::plain::plain;
use crate::plugin::wasm::bindings::flusso::connector::log::{self, Level};
use crate::plugin::wasm::context::Context;
use crate::plugin::wasm::fault::Origin;
use crate::plugin::wasm::guest_output::write;

impl log::Host for Context {
    async fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let bytes = |text: &str| text.len().min(limits::guest::TEXT_BYTES);
        let fields_bytes: usize =
            fields.iter().take(limits::guest::LOG_FIELDS).map(|(name, value)| bytes(name) + bytes(value)).sum();
        let (granted, dropped) = self.log_rate.take(bytes(&message) + fields_bytes, Instant::now());
        if let Some(lines) = dropped {
            let Origin { plugin, instance, .. } = &*self.origin;
            tracing::warn!(target: "flusso::plugin", plugin, instance, lines, "log lines dropped: more than 200 a second, of 512 bytes each");
        }
        if granted {
            let fields: Vec<_> = fields
                .iter()
                .take(limits::guest::LOG_FIELDS)
                .map(|(name, value)| {
                    format!(
                        "{}={}",
                        plain(name, limits::guest::LOG_FIELD_NAME_BYTES),
                        plain(value, limits::guest::LOG_FIELD_BYTES)
                    )
                })
                .collect();
            let (message, fields) = (plain(&message, limits::guest::TEXT_BYTES), fields.join(" "));
            if self.setup.log_dedup.is_new(self.number, &format!("{message}\0{fields}"), Instant::now()) {
                write(&self.origin, level, &message, &fields);
            }
        }
        Ok(())
    }
}
