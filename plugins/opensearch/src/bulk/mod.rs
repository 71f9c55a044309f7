//! Writing documents: what is buffered, what is on its way, what was refused for now.
//!
//! Requests go out as soon as they are full and there is room; waiting happens in a flush alone, which has a time limit.
//! Requests that are on their way together never hold the same document, and what waits to be tried again counts as on its
//! way: so of two documents with one id the later wins, however often the earlier is tried.

mod answered;
mod chunk;
mod pace;
mod verdict;

use std::collections::{BTreeSet, VecDeque};
use std::hash::RandomState;
use std::time::{Duration, Instant};

use flusso_plugin::{Document, Error, Failure, Rejection, Result, Target, Version};

use crate::clear::Clear;
use crate::client::{Client, Sent};
use crate::http::Kind;
use crate::indexes::{Generation, Indexes};
use crate::settings::Settings;
use crate::url::encode;
pub(crate) use chunk::{Chunk, Keys};
use pace::Pace;
use verdict::FILTER;

/// How long the oldest answer is waited for before the others are looked at.
const LATE: Duration = Duration::from_millis(20);
/// Bytes after which a request goes out, though more might: what one flush holds is on its way in several at a time.
const ENOUGH: usize = 1 << 20;
/// The longest id, in bytes, by the cluster's rules. One that is longer would have its whole request refused.
const ID: usize = 512;

enum Step {
    Write(Chunk),
    Clear(Clear),
}

/// The writer.
pub(crate) struct Bulk {
    batch_size: usize,
    max_bytes: usize,
    /// Behind the `?` of every request.
    query: String,
    keys: Keys,
    random: RandomState,
    /// Being filled.
    open: Option<Chunk>,
    queue: VecDeque<Step>,
    flying: VecDeque<(Sent, Chunk)>,
    /// To be tried again, and when.
    waiting: Vec<(Instant, Chunk)>,
    pace: Pace,
    /// Requests that failed as a whole since one did not.
    failures: u32,
    rejected: Vec<Rejection>,
    /// Written since their last refresh.
    dirty: BTreeSet<Target>,
}

impl Bulk {
    pub(crate) fn new(settings: &Settings, gates: bool) -> Self {
        let mut query = format!("filter_path={FILTER}");
        if gates {
            query.push_str("&require_alias=true");
        }
        if let Some(pipeline) = &settings.pipeline {
            query.push_str(&format!("&pipeline={}", encode(pipeline)));
        }
        Self {
            batch_size: settings.batch_size.max(1),
            max_bytes: settings.max_bytes,
            query,
            keys: Keys::default(),
            random: RandomState::new(),
            open: None,
            queue: VecDeque::new(),
            flying: VecDeque::new(),
            waiting: Vec::new(),
            pace: Pace::new(settings.requests_in_flight),
            failures: 0,
            rejected: Vec::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// Takes a document.
    pub(crate) fn add(&mut self, generation: &Generation, document: &Document) {
        let Document { target, id, version, body } = document;
        if id.is_empty() || id.len() > ID {
            let reason = format!("its id has {} bytes; the cluster takes ids of 1 to {ID}", id.len());
            self.reject(*target, id, "id", reason);
            return;
        }
        let more = id.len() + generation.gate.len() + body.as_ref().map_or(0, Vec::len) + 128;
        if self.open.as_ref().is_some_and(|open| open.size() + more > self.max_bytes) {
            self.seal();
        }
        let open = self.open.get_or_insert_with(|| Chunk::new(*target, &generation.gate));
        open.add(&self.keys, *target, &generation.gate, id, *version, body.as_deref());
        if open.items.len() >= self.batch_size || open.size() >= ENOUGH {
            self.seal();
        }
    }

    /// Takes the wish that everything before it is removed.
    pub(crate) fn clear(&mut self, target: Target, version: Version) {
        self.seal();
        self.queue.push_back(Step::Clear(Clear::new(target, version)));
    }

    /// Sends what is full, as far as there is room; waits for nothing.
    pub(crate) fn dispatch(&mut self, client: &mut Client) -> Result<()> {
        let now = Instant::now();
        while self.pace.has_room(self.flying.len()) {
            let due = self.waiting.iter().position(|(due, _)| *due <= now);
            let chunk = match (due, self.queue.front()) {
                (Some(place), _) => self.waiting.swap_remove(place).1,
                (None, Some(Step::Write(next))) if !self.is_underway(next) => match self.queue.pop_front() {
                    Some(Step::Write(next)) => next,
                    _ => return Ok(()),
                },
                _ => return Ok(()),
            };
            self.send(client, chunk)?;
        }
        Ok(())
    }

    /// Makes everything durable that was taken, or says what is rejected. `show`: searches had better find it at once.
    pub(crate) fn flush(&mut self, client: &mut Client, indexes: &Indexes, show: bool) -> Result<Vec<Rejection>> {
        self.seal();
        if show {
            self.show_at_once(indexes);
        }
        loop {
            self.dispatch(client)?;
            if !self.flying.is_empty() {
                self.collect(client)?;
            } else if let Some(due) = self.waiting.iter().map(|(due, _)| *due).min() {
                let wait = due.saturating_duration_since(Instant::now());
                if wait >= client.left() {
                    return Err(Error::transient(format!("the cluster at {} is too busy", client.address())));
                }
                std::thread::sleep(wait);
            } else {
                match self.queue.pop_front() {
                    Some(Step::Clear(mut clear)) => {
                        let generation = indexes.get(clear.target)?;
                        if let Some(deletions) = clear.next(client, generation, &self.keys)? {
                            self.queue.push_front(Step::Clear(clear));
                            self.queue.push_front(Step::Write(deletions));
                        }
                    }
                    // It was not sent although nothing is underway: there is always room for one.
                    Some(Step::Write(chunk)) => self.send(client, chunk)?,
                    None => return Ok(std::mem::take(&mut self.rejected)),
                }
            }
        }
    }

    /// What was written and, as far as is known, cannot be found by searches yet.
    pub(crate) fn dirty(&self) -> &BTreeSet<Target> {
        &self.dirty
    }

    /// What was written there can be found.
    pub(crate) fn visible(&mut self, targets: &[Target]) {
        self.dirty.retain(|target| !targets.contains(target));
    }

    /// All there is, in one request, is shown by that request: a lone change does not wait for a second one. The cluster
    /// refreshes the shards that are written to, so nothing may be hidden there from before.
    fn show_at_once(&mut self, indexes: &Indexes) {
        let alone = self.flying.is_empty() && self.waiting.is_empty() && self.queue.len() == 1;
        if let (true, Some(Step::Write(chunk))) = (alone, self.queue.front_mut()) {
            let serves = |target| indexes.get(target).is_ok_and(|one| one.serves) && !self.dirty.contains(&target);
            chunk.shows = chunk.items.iter().all(|item| serves(item.target));
        }
    }

    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.queue.push_back(Step::Write(open));
        }
    }

    fn is_underway(&self, next: &Chunk) -> bool {
        let flying = self.flying.iter().map(|(_, chunk)| chunk);
        flying.chain(self.waiting.iter().map(|(_, chunk)| chunk)).any(|other| other.shares(next))
    }

    fn send(&mut self, client: &mut Client, chunk: Chunk) -> Result<()> {
        let shows = if chunk.shows { "&refresh=true" } else { "" };
        let target = format!("/{}/_bulk?{}{shows}", encode(&chunk.gate), self.query);
        let sent = client.send("POST", &target, Kind::Lines, Some(chunk.bytes()))?;
        self.flying.push_back((sent, chunk));
        Ok(())
    }

    /// Takes the answers that are there. Waits a little for the oldest, and not for ever: one that is late must not keep the
    /// others from being followed by more.
    fn collect(&mut self, client: &mut Client) -> Result<()> {
        let (mut place, mut wait) = (0, LATE);
        while let Some((sent, _)) = self.flying.get_mut(place) {
            match client.look(sent, wait) {
                Ok(None) => place += 1,
                answer => {
                    let Some((sent, chunk)) = self.flying.remove(place) else { return Ok(()) };
                    match answer {
                        Ok(Some(answer)) => {
                            client.keep(sent, &answer);
                            self.settle(client, &answer, chunk)?;
                        }
                        Ok(None) => {}
                        Err(error) if sent.is_late() => self.late(client, chunk, error)?,
                        Err(error) => self.failed(client, chunk, error)?,
                    }
                }
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn reject(&mut self, target: Target, id: &str, class: &str, reason: String) {
        let failure = Failure { class: class.to_owned(), reason, extra: None };
        self.rejected.push(Rejection { target, id: id.to_owned(), failure });
    }
}
