//! The source: polls the log in bounded pieces, checks every confirmation, divides tables into ranges.

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::run::{Inner, World};
use super::store::{NAMES, Slot, key};
use super::{number, position};
use crate::engine::StageError;
use crate::engine::stage::{
    Capture, Continuity, Division, Inspection, Page, Poll, Preparation, Prepared, Result, Snapshot, Source,
};
use crate::model::{Checkpoint, Event, Position, TableInterest, TableNumber};

pub(super) struct Sources {
    pub(super) world: Arc<World>,
    pub(super) incarnation: u64,
}

#[async_trait]
impl Source for Sources {
    fn name(&self) -> &str {
        "store"
    }

    async fn capture(&self, _: &[TableInterest]) -> Result<Box<dyn Capture>> {
        if let Some(lost) = self.world.gate(self.incarnation, "source.open").await? {
            return Err(lost);
        }
        Ok(Box::new(Following {
            world: Arc::clone(&self.world),
            incarnation: self.incarnation,
            at: None,
            told: None,
            poisoned: false,
        }))
    }

    async fn snapshot(&self, _: &[TableInterest]) -> Result<Box<dyn Snapshot>> {
        if let Some(lost) = self.world.gate(self.incarnation, "snapshot.open").await? {
            return Err(lost);
        }
        Ok(Box::new(Reading { world: Arc::clone(&self.world), incarnation: self.incarnation, at: None }))
    }
}

struct Following {
    world: Arc<World>,
    incarnation: u64,
    /// Whole transactions handed out, and events of the next one.
    at: Option<(u64, usize)>,
    told: Option<u64>,
    /// An error was answered: whoever calls again has not thrown the instance away.
    poisoned: bool,
}

impl Following {
    async fn gate(&mut self, call: &str) -> Result<Option<StageError>> {
        if self.poisoned {
            self.world.lock().wrong.push(format!("{call} on an instance that had failed"));
        }
        let answer = self.world.gate(self.incarnation, call).await;
        if !matches!(answer, Ok(None)) {
            self.poisoned = true;
        }
        answer
    }

    fn confirm(&mut self, confirmed: Option<&Position>) {
        let Some(confirmed) = confirmed.map(number) else { return };
        let mut inner = self.world.lock();
        if self.at.is_some_and(|(handed_out, _)| handed_out < confirmed) {
            inner.wrong.push(format!("an opening that is at {:?} was told {confirmed}", self.at));
        }
        if self.told.is_some_and(|told| told > confirmed) {
            inner.wrong.push(format!("confirmed {confirmed} after {:?} in one epoch", self.told));
        }
        if self.told != Some(confirmed) {
            inner.told.push(confirmed);
            check(&mut inner, confirmed);
        }
        self.told = Some(confirmed);
        if let Some(slot) = &mut inner.store.slot {
            slot.confirmed = slot.confirmed.max(confirmed);
        }
    }
}

/// I1 and I2, seen from the source: of every document that a transaction before `confirmed` touches, every sink durably
/// holds a build that is not older, or the quarantine has it.
fn check(inner: &mut Inner, confirmed: u64) {
    let Some(start) = inner.store.slot.as_ref().map(|slot| slot.start) else { return };
    for at in inner.touched_to.max(start)..confirmed {
        let Some(transaction) = inner.store.log.get(at as usize) else {
            inner.wrong.push(format!("confirmed {confirmed}, which was never handed out"));
            return;
        };
        // What a builder is not told it need not build, unless a build of it has seen the item there.
        let left = |touch: &&(u32, i64)| inner.builder.was_untold && transaction.left.contains(*touch);
        for touch in transaction.touches.iter().filter(|touch| !left(touch)) {
            inner.touched.insert(*touch, at + 1);
        }
    }
    inner.touched_to = inner.touched_to.max(confirmed);
    match inner.state.get("source").map(|record| serde_json::from_slice::<serde_json::Value>(record)) {
        Some(Ok(record)) => {
            let bytes: Vec<u8> = serde_json::from_value(record["position"].clone()).unwrap_or_default();
            let remembered = number(&Position::new(bytes));
            if remembered < confirmed {
                inner.wrong.push(format!("the source was told {confirmed}, the host remembers {remembered}"));
            }
        }
        other => inner.wrong.push(format!("the source was told {confirmed}, the host remembers {other:?}")),
    }
    let mut wrong = Vec::new();
    for (name, sink) in &inner.sinks {
        for ((index, at), since) in &inner.touched {
            if *since > confirmed {
                continue;
            }
            let (index, id) = (NAMES[*index as usize], at.to_string());
            let aside = |by: &str| inner.state.contains_key(&format!("quarantine/{by}/{index}/{id}"));
            let durable = sink.durable(index, &id);
            // A seed cleared its entry, and that generation was given up: the index is seeded again, as it is not seeded.
            let seeded_again = sink.seeded(index).is_none() && sink.rejected.contains(&(index.to_owned(), id.clone()));
            if durable < *since && !aside(name) && !aside("builder") && !seeded_again {
                let now = inner.store.document((index == NAMES[1]).into(), *at);
                let what = format!("{index} {id} of transaction {since} is at {durable} in {name}, should be {now:?}");
                wrong.push(format!("confirmed {confirmed}: {what}"));
            }
        }
    }
    inner.wrong.extend(wrong);
}

#[async_trait]
impl Capture for Following {
    async fn identity(&mut self) -> Result<String> {
        match self.gate("source.identity").await? {
            Some(lost) => Err(lost),
            None => Ok("store".to_owned()),
        }
    }

    async fn inspect(&mut self, resume: Option<&Position>) -> Result<Inspection> {
        if let Some(lost) = self.gate("source.inspect").await? {
            return Err(lost);
        }
        let mut inner = self.world.lock();
        let history = inner.store.slot.as_ref().map(|slot| slot.history.as_str().into());
        let continuity = match (&inner.store.slot, resume.map(number)) {
            (None, None) => Continuity::Fresh,
            (None, Some(_)) => Continuity::Lost("the slot is gone".to_owned()),
            (Some(slot), Some(resume)) if slot.confirmed > resume => {
                Continuity::Lost(format!("the slot is at {}, the host at {resume}", slot.confirmed))
            }
            (Some(_), _) => Continuity::Continuous,
        };
        let unrecorded = std::mem::take(&mut inner.store.unrecorded);
        Ok(Inspection { history, continuity, unrecorded })
    }

    async fn prepare(&mut self, resume: Option<&Position>) -> Result<Preparation> {
        let lost = self.gate("source.prepare").await;
        if let Err(StageError::Unsupported(reason)) = lost {
            self.poisoned = false;
            return Ok(Preparation::Pending(reason));
        }
        let lost = lost?;
        let mut inner = self.world.lock();
        if resume.is_none() {
            // A new slot: what sinks call seeded under an older history must have been forgotten by now (I7).
            let marked = inner.sinks.iter().find(|(_, sink)| NAMES.iter().any(|index| sink.seeded(index).is_some()));
            let marked = marked.map(|(name, _)| format!("sink {name} is marked seeded while a new slot is made"));
            inner.wrong.extend(marked);
            inner.store.histories += 1;
            let (history, start) = (format!("history {}", inner.store.histories), inner.store.visible as u64);
            inner.store.slot = Some(Slot { history, start, confirmed: start });
            inner.touched.clear();
            inner.touched_to = start;
        }
        let Some(slot) = inner.store.slot.clone() else {
            return Err(StageError::HistoryLost("the slot is gone".to_owned()));
        };
        let at = resume.map_or(slot.start, number);
        self.at = Some((at, 0));
        let resources = vec!["a slot".to_owned()];
        let prepared = Prepared { history: slot.history.into(), position: position(at), version: at, resources };
        match lost {
            Some(lost) => Err(lost),
            None => Ok(Preparation::Ready(prepared)),
        }
    }

    async fn poll(&mut self, poll: Poll) -> Result<Vec<Event>> {
        let lost = self.gate(if poll.max == 0 { "source.keep" } else { "source.poll" }).await?;
        self.confirm(poll.confirmed.as_ref());
        if let Some(lost) = lost {
            return Err(lost);
        }
        if poll.max == 0 {
            return Ok(Vec::new());
        }
        let until = Instant::now() + poll.wait;
        let world = Arc::clone(&self.world);
        loop {
            let changed = world.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let events = self.next(poll.max as usize)?;
            if !events.is_empty() || timeout_at(until, changed).await.is_err() {
                return Ok(events);
            }
        }
    }

    async fn head(&mut self) -> Result<Position> {
        match self.gate("source.head").await? {
            Some(lost) => Err(lost),
            None => Ok(position(self.world.lock().store.log.len() as u64)),
        }
    }

    async fn compare(&mut self, a: &Position, b: &Position) -> Result<Ordering> {
        Ok(number(a).cmp(&number(b)))
    }

    async fn parse(&mut self, text: &str) -> Result<Position> {
        text.parse().map(position).map_err(|_| StageError::Configuration(format!("`{text}` is no position")))
    }

    async fn print(&mut self, position: &Position) -> Result<String> {
        Ok(number(position).to_string())
    }

    async fn lag(&mut self) -> Result<Option<u64>> {
        let inner = self.world.lock();
        let confirmed = inner.store.slot.as_ref().map_or(0, |slot| slot.confirmed);
        Ok(Some(inner.store.log.len() as u64 - confirmed))
    }

    async fn close(&mut self, confirmed: Option<&Position>) -> Result<()> {
        let lost = self.gate("source.close").await?;
        self.confirm(confirmed);
        lost.map_or(Ok(()), Err)
    }

    async fn discard(&mut self) -> Result<Vec<String>> {
        let lost = self.gate("source.discard").await?;
        let slot = self.world.lock().store.slot.take();
        lost.map_or(Ok(slot.map(|_| "a slot".to_owned()).into_iter().collect()), Err)
    }
}

impl Following {
    fn next(&mut self, max: usize) -> Result<Vec<Event>> {
        let inner = self.world.lock();
        let Some((mut at, mut offset)) = self.at else {
            return Err(StageError::Fatal("polled before it was prepared".to_owned()));
        };
        if inner.store.slot.is_none() {
            return Err(StageError::HistoryLost("the slot is gone".to_owned()));
        }
        let most = max.min(inner.poll_most);
        let mut events = Vec::new();
        while events.len() < most && (at as usize) < inner.store.visible {
            let transaction = &inner.store.log[at as usize];
            if let Some(event) = transaction.events.get(offset) {
                events.push(event.clone());
                offset += 1;
            } else {
                at += 1;
                offset = 0;
                let committed_at = Some(at * 1_000);
                events.push(Event::Checkpoint(Checkpoint { position: position(at), version: at, committed_at }));
            }
        }
        self.at = Some((at, offset));
        Ok(events)
    }
}

/// Ranges are `from..to` of keys; a cursor is the last key that was read.
struct Reading {
    world: Arc<World>,
    incarnation: u64,
    at: Option<(TableNumber, i64, i64)>,
}

/// Reads a range: both ends as two big-endian numbers.
pub(super) fn range(range: &[u8], cursor: Option<&[u8]>) -> (i64, i64) {
    let number = |bytes: &[u8]| i64::from_be_bytes(bytes.try_into().unwrap());
    let (from, to) = range.split_at(8);
    (cursor.map_or(number(from), |cursor| number(cursor) + 1), number(to))
}

#[async_trait]
impl Snapshot for Reading {
    async fn split(&mut self, table: TableNumber, parts: u32) -> Result<Division> {
        if let Some(lost) = self.world.gate(self.incarnation, "snapshot.split").await? {
            return Err(lost);
        }
        let inner = self.world.lock();
        let rows = &inner.store.rows[table as usize];
        let mut ends: Vec<i64> = rows.keys().copied().collect();
        ends = ends.chunks(ends.len().div_ceil(parts as usize).max(1)).map(|keys| keys[0]).skip(1).collect();
        let froms = std::iter::once(i64::MIN).chain(ends.iter().copied());
        let tos = ends.iter().copied().chain([i64::MAX]);
        let ranges = froms.zip(tos).map(|(from, to)| [from.to_be_bytes(), to.to_be_bytes()].concat()).collect();
        Ok(Division { ranges, estimated_rows: Some(rows.len() as u64) })
    }

    async fn begin(&mut self, table: TableNumber, bytes: &[u8], cursor: Option<&[u8]>) -> Result<()> {
        if let Some(lost) = self.world.gate(self.incarnation, "snapshot.begin").await? {
            return Err(lost);
        }
        let (from, to) = range(bytes, cursor);
        self.at = Some((table, from, to));
        Ok(())
    }

    async fn next(&mut self, max: u32) -> Result<Page> {
        let lost = self.world.gate(self.incarnation, "snapshot.next").await?;
        let Some((table, from, to)) = self.at else {
            return Err(StageError::Fatal("next before begin".to_owned()));
        };
        let inner = self.world.lock();
        let rows = inner.store.rows[table as usize].range(from..to);
        let keys: Vec<i64> = rows.map(|(key, _)| *key).take(max as usize).collect();
        let last = keys.last().copied().filter(|_| keys.len() == max as usize);
        self.at = last.map(|last| (table, last + 1, to));
        let cursor = last.map(|last| last.to_be_bytes().to_vec());
        let page = Page { keys: keys.into_iter().map(key).collect(), cursor };
        lost.map_or(Ok(page), Err)
    }
}
