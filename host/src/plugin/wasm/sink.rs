//! The engine's sink over a guest.

use std::time::Duration;

use async_trait::async_trait;

use super::convert;
use super::guest::Guest;
use super::plugin::Plugin;
use super::roles::call;
use crate::engine::stage::{self, Documents, Ensured, Flushed, Result, Writer};
use crate::model::{HistoryId, Mapping, Target, Version};

/// A sink plugin as one `[sinks.NAME]` uses it.
#[derive(Clone)]
pub struct GuestSink {
    plugin: Plugin,
}

impl GuestSink {
    /// A sink of a plugin that exports one.
    pub fn new(plugin: Plugin) -> Self {
        Self { plugin }
    }
}

#[async_trait]
impl stage::Sink for GuestSink {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    async fn open(&self) -> Result<Box<dyn Writer>> {
        let guest = self.plugin.spawn(None).await?;
        let settings = self.plugin.settings();
        let opening =
            guest.ask("sink.open", move |live| Box::pin(async move { call!(live, sink.call_open(&settings)) }), Ok);
        opening.await?;
        Ok(Box::new(GuestWriter { guest }))
    }
}

struct GuestWriter {
    guest: Guest,
}

/// A call of the sink interface: its name, its arguments as the generated function wants them, and the check.
macro_rules! ask {
    ($self:ident, $name:literal, $function:ident($($argument:expr),*), $check:expr) => {
        $self.guest.ask(
            $name,
            move |live| Box::pin(async move { call!(live, sink.$function($($argument),*)) }),
            $check,
        ).await
    };
}

#[async_trait]
impl Writer for GuestWriter {
    async fn ensure_index(&mut self, mapping: &Mapping) -> Result<Ensured> {
        let mapping = convert::to_mapping(mapping);
        ask!(self, "sink.ensure-index", call_ensure_index(&mapping), |ensured| {
            Ok(Ensured { target: ensured.target, empty: ensured.empty })
        })
    }

    async fn seeded(&mut self, target: Target) -> Result<Option<HistoryId>> {
        ask!(self, "sink.seeded", call_seeded(target), |history| history.map(convert::history).transpose())
    }

    async fn mark_seeded(&mut self, target: Target, history: &HistoryId) -> Result<()> {
        let history = history.to_string();
        ask!(self, "sink.mark-seeded", call_mark_seeded(target, &history), Ok)
    }

    async fn mark_unseeded(&mut self, target: Target) -> Result<()> {
        ask!(self, "sink.mark-unseeded", call_mark_unseeded(target), Ok)
    }

    async fn write(&mut self, documents: Documents) -> Result<()> {
        ask!(self, "sink.write", call_write(&convert::to_documents(&documents)), Ok)
    }

    async fn clear(&mut self, target: Target, version: Version) -> Result<()> {
        ask!(self, "sink.clear", call_clear(target, version), Ok)
    }

    async fn flush(&mut self, caught_up: bool, deadline: Duration) -> Result<Flushed> {
        // The guest is told of the shorter limit, with a tenth to spare, so that it can answer before it is stopped.
        let limit = self.guest.call_timeout().mul_f64(0.9).min(deadline);
        let deadline_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        ask!(self, "sink.flush", call_flush(caught_up, deadline_ms), |report| Ok(convert::flushed(report)))
    }

    async fn begin_rebuild(&mut self, mapping: &Mapping, resume: bool) -> Result<Target> {
        let mapping = convert::to_mapping(mapping);
        ask!(self, "sink.begin-rebuild", call_begin_rebuild(&mapping, resume), Ok)
    }

    async fn promote(&mut self, target: Target) -> Result<()> {
        ask!(self, "sink.promote", call_promote(target), Ok)
    }

    async fn abandon(&mut self, target: Target) -> Result<()> {
        ask!(self, "sink.abandon", call_abandon(target), Ok)
    }
}
