//! The engine's source over guests: each opening, live or snapshot, is an instance of its own.

use std::cmp::Ordering;

use async_trait::async_trait;

use super::bindings::exports::flusso::connector::source::PollRequest;
use super::convert;
use super::guest::Guest;
use super::plugin::Plugin;
use super::roles::call;
use crate::engine::stage::{self, Capture, Division, Inspection, Page, Poll, Preparation, Result, Snapshot};
use crate::limits;
use crate::model::{Event, Position, TableInterest, TableNumber};

/// A source plugin as `[source]` uses it.
#[derive(Clone)]
pub struct GuestSource {
    plugin: Plugin,
}

impl GuestSource {
    /// A source of a plugin that exports one.
    pub fn new(plugin: Plugin) -> Self {
        Self { plugin }
    }
}

#[async_trait]
impl stage::Source for GuestSource {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    async fn capture(&self, interest: &[TableInterest]) -> Result<Box<dyn Capture>> {
        let guest = self.plugin.spawn(None).await?;
        let settings = self.plugin.settings();
        let interest: Vec<_> = interest.iter().map(convert::to_interest).collect();
        let tables = interest.len();
        let opening = guest.ask(
            "source.open",
            move |live| {
                Box::pin(async move {
                    let interest: Vec<_> = interest.iter().collect();
                    call!(live, source.call_open(&settings, &interest))
                })
            },
            Ok,
        );
        opening.await?;
        Ok(Box::new(GuestCapture { guest, tables }))
    }

    async fn snapshot(&self, interest: &[TableInterest]) -> Result<Box<dyn Snapshot>> {
        let guest = self.plugin.spawn(None).await?;
        let settings = self.plugin.settings();
        let interest: Vec<_> = interest.iter().map(convert::to_interest).collect();
        let opening = guest.ask(
            "snapshot.open",
            move |live| {
                Box::pin(async move {
                    let interest: Vec<_> = interest.iter().collect();
                    call!(live, snapshot.call_open(&settings, &interest))
                })
            },
            Ok,
        );
        opening.await?;
        Ok(Box::new(GuestSnapshot { guest }))
    }
}

struct GuestCapture {
    guest: Guest,
    tables: usize,
}

fn bytes(position: Option<&Position>) -> Option<Vec<u8>> {
    position.map(|position| position.as_bytes().to_vec())
}

/// A call of the source interface: its name, its arguments as the generated function wants them, and the check.
macro_rules! ask {
    ($self:ident, $name:literal, $interface:ident.$function:ident($($argument:expr),*), $check:expr) => {
        $self.guest.ask(
            $name,
            move |live| Box::pin(async move { call!(live, $interface.$function($($argument),*)) }),
            $check,
        ).await
    };
}

#[async_trait]
impl Capture for GuestCapture {
    async fn identity(&mut self) -> Result<String> {
        ask!(self, "source.identity", source.call_identity(), convert::identity)
    }

    async fn inspect(&mut self, resume: Option<&Position>) -> Result<Inspection> {
        let resume = bytes(resume);
        ask!(self, "source.inspect", source.call_inspect(resume.as_ref()), convert::inspection)
    }

    async fn prepare(&mut self, resume: Option<&Position>) -> Result<Preparation> {
        let resume = bytes(resume);
        ask!(self, "source.prepare", source.call_prepare(resume.as_ref()), convert::preparation)
    }

    async fn poll(&mut self, poll: Poll) -> Result<Vec<Event>> {
        let tables = self.tables;
        let confirmed = bytes(poll.confirmed.as_ref());
        let wait_ms = u32::try_from(poll.wait.as_millis()).unwrap_or(u32::MAX);
        let (max, max_bytes) = (poll.max, poll.max_bytes);
        let check = |events| {
            let asked = usize::try_from(max).unwrap_or(usize::MAX);
            let most = asked.saturating_mul(limits::guest::EVENTS_TIMES_ASKED).max(limits::guest::EVENTS_AT_LEAST);
            let events = convert::counted(events, most, "events")?;
            events.into_iter().map(|event| convert::event(event, tables)).collect()
        };
        let polling = self.guest.ask(
            "source.poll",
            move |live| {
                Box::pin(async move {
                    let confirmed = confirmed.as_ref();
                    let request = PollRequest { confirmed, max, max_bytes, wait_ms, extra: None };
                    call!(live, source.call_poll(request))
                })
            },
            check,
        );
        polling.await
    }

    async fn head(&mut self) -> Result<Position> {
        ask!(self, "source.head", source.call_head(), convert::position)
    }

    async fn compare(&mut self, a: &Position, b: &Position) -> Result<Ordering> {
        let (a, b) = (a.as_bytes().to_vec(), b.as_bytes().to_vec());
        ask!(self, "source.compare", source.call_compare(&a, &b), |sign| Ok(sign.cmp(&0)))
    }

    async fn parse(&mut self, text: &str) -> Result<Position> {
        let text = text.to_owned();
        ask!(self, "source.parse", source.call_parse(&text), convert::position)
    }

    async fn print(&mut self, position: &Position) -> Result<String> {
        let position = position.as_bytes().to_vec();
        ask!(self, "source.print", source.call_print(&position), convert::printed)
    }

    async fn lag(&mut self) -> Result<Option<u64>> {
        ask!(self, "source.lag", source.call_lag(), Ok)
    }

    async fn close(&mut self, confirmed: Option<&Position>) -> Result<()> {
        let confirmed = bytes(confirmed);
        ask!(self, "source.close", source.call_close(confirmed.as_ref()), Ok)
    }

    async fn discard(&mut self) -> Result<Vec<String>> {
        ask!(self, "source.discard", source.call_discard(), convert::lines)
    }
}

struct GuestSnapshot {
    guest: Guest,
}

#[async_trait]
impl Snapshot for GuestSnapshot {
    async fn split(&mut self, table: TableNumber, parts: u32) -> Result<Division> {
        ask!(self, "snapshot.split", snapshot.call_split(table, parts), |division| convert::division(division, parts))
    }

    async fn begin(&mut self, table: TableNumber, range: &[u8], cursor: Option<&[u8]>) -> Result<()> {
        let (range, cursor) = (range.to_vec(), cursor.map(<[u8]>::to_vec));
        ask!(self, "snapshot.begin", snapshot.call_begin(table, &range, cursor.as_ref()), Ok)
    }

    async fn next(&mut self, max: u32) -> Result<Page> {
        ask!(self, "snapshot.next", snapshot.call_next(max), |page| convert::page(page, max))
    }
}
