//! Writing documents: those that are buffered, in flight, and waiting to be tried again.
//!
//! A request goes out as soon as it is full and the concurrency limit allows it; only a flush waits, and it has a time limit.
//! Requests in flight never hold the same document, and a chunk that waits to be tried again counts as in flight: so of two
//! documents with one id the later wins, however often the earlier is tried.
//!
//! | file | what it holds |
//! |---|---|
//! | `chunk` | the body of one bulk request |
//! | `item_result` | the result of each document in a response |
//! | `amend` | what a document that is refused for what it holds is sent again as |
//! | `rewrite`, `tokens` | a body with other field names, or mended; the tokens of a JSON text |
//! | `changes` | which documents were not written as they were built, counted and said once |
//! | `response` | what a response makes of its chunk: done, rejected, tried again |
//! | `concurrency_limit` | how many requests may be in flight, and the back-off of busy documents |

mod amend;
mod changes;
mod chunk;
mod concurrency_limit;
pub(crate) mod item_result;
mod response;
mod rewrite;
mod tokens;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::RandomState;
use std::rc::Rc;
use std::time::{Duration, Instant};

use flusso_plugin::{Document, Error, Failure, Rejection, Result, Target, Version};

use crate::clear::Clear;
use crate::client::{Client, Sent};
use crate::field_names::FieldNames;
use crate::http::Kind;
use crate::indexes::{Generation, Indexes};
use crate::settings::Settings;
use crate::url::encode;
use changes::Changes;
pub(crate) use chunk::{Chunk, Keys};
use concurrency_limit::ConcurrencyLimit;
use item_result::FILTER;
pub(crate) use rewrite::UNINDEXED;
use rewrite::{Rules, rewrite};

/// How long the oldest response is waited for before the others are read.
const OLDEST_RESPONSE_WAIT: Duration = Duration::from_millis(20);
/// Bytes at which a request goes out although it could hold more, so that one flush has several requests in flight.
const REQUEST_BYTES: usize = 1 << 20;

enum Step {
    Write(Chunk),
    Clear(Clear),
}

/// The bulk writer of one sink.
pub(crate) struct Bulk {
    batch_size: usize,
    max_bytes: usize,
    /// Behind the `?` of every request.
    query: String,
    keys: Keys,
    random: RandomState,
    /// The chunk that is being filled.
    open: Option<Chunk>,
    queue: VecDeque<Step>,
    in_flight: VecDeque<(Sent, Chunk)>,
    /// Chunks to be tried again, and when.
    waiting: Vec<(Instant, Chunk)>,
    concurrency: ConcurrencyLimit,
    /// Consecutive requests that failed as a whole.
    failures: u32,
    rejected: Vec<Rejection>,
    /// Whether a document that is refused for what it holds stays refused.
    strict: bool,
    changes: Changes,
    /// The fields of each target's documents.
    fields: BTreeMap<Target, Rc<FieldNames>>,
    /// Targets that were written to since their last refresh.
    dirty: BTreeSet<Target>,
    /// The indexes of the targets that were written to.
    names: BTreeMap<Target, String>,
    /// What the cluster said last of documents that it was too busy for.
    busy: String,
}

impl Bulk {
    pub(crate) fn new(settings: &Settings, write_aliases: bool) -> Self {
        let mut query = format!("filter_path={FILTER}");
        if write_aliases {
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
            in_flight: VecDeque::new(),
            waiting: Vec::new(),
            concurrency: ConcurrencyLimit::new(settings.requests_in_flight),
            failures: 0,
            rejected: Vec::new(),
            strict: settings.strict,
            changes: Changes::default(),
            fields: BTreeMap::new(),
            dirty: BTreeSet::new(),
            names: BTreeMap::new(),
            busy: String::new(),
        }
    }

    /// Buffers a document.
    pub(crate) fn add(&mut self, generation: &Generation, document: &Document) {
        let Document { target, id, version, body } = document;
        self.name(generation);
        let fields = &generation.field_names;
        self.fields.entry(*target).or_insert_with(|| Rc::clone(fields));
        let renamed = body
            .as_ref()
            .filter(|_| !fields.level.is_empty())
            .and_then(|body| rewrite(body, &Rules { names: Some(&fields.level), ..Rules::default() }));
        let body = renamed.map(|(body, _)| body).map(Cow::Owned).or(body.as_deref().map(Cow::Borrowed));
        let more = id.len() + generation.write_alias.len() + body.as_ref().map_or(0, |body| body.len()) + 128;
        if self.open.as_ref().is_some_and(|open| open.size() + more > self.max_bytes) {
            self.seal();
        }
        let open = self.open.get_or_insert_with(|| Chunk::new(*target, &generation.write_alias));
        open.add(&self.keys, *target, &generation.write_alias, id, *version, body.as_deref());
        if open.items.len() >= self.batch_size || open.size() >= REQUEST_BYTES {
            self.seal();
        }
    }

    /// Remembers which index a target is.
    fn name(&mut self, generation: &Generation) {
        self.names.entry(generation.target).or_insert_with(|| generation.name.clone());
    }

    /// Buffers a clear: everything before it is removed.
    pub(crate) fn clear(&mut self, target: Target, version: Version) {
        self.seal();
        self.queue.push_back(Step::Clear(Clear::new(target, version)));
    }

    /// Sends full chunks as far as the concurrency limit allows; does not wait.
    pub(crate) fn dispatch(&mut self, client: &mut Client) -> Result<()> {
        let now = Instant::now();
        while self.concurrency.has_room(self.in_flight.len()) {
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

    /// Makes every buffered document durable, and returns what is rejected. `show`: documents should be visible at once.
    pub(crate) fn flush(&mut self, client: &mut Client, indexes: &Indexes, show: bool) -> Result<Vec<Rejection>> {
        self.seal();
        if show {
            self.show_at_once(indexes);
        }
        loop {
            self.dispatch(client)?;
            if !self.in_flight.is_empty() {
                self.collect(client)?;
            } else if let Some(due) = self.waiting.iter().map(|(due, _)| *due).min() {
                let wait = due.saturating_duration_since(Instant::now());
                if wait >= client.left() {
                    let reason = if self.busy.is_empty() { String::new() } else { format!(": {}", self.busy) };
                    return Err(Error::transient(format!("the cluster at {} is too busy{reason}", client.address())));
                }
                std::thread::sleep(wait);
            } else {
                match self.queue.pop_front() {
                    Some(Step::Clear(mut clear)) => {
                        let generation = indexes.get(clear.target)?;
                        self.name(generation);
                        if let Some(deletions) = clear.next(client, generation, &self.keys)? {
                            self.queue.push_front(Step::Clear(clear));
                            self.queue.push_front(Step::Write(deletions));
                        }
                    }
                    // Nothing is in flight, so the limit allows one request.
                    Some(Step::Write(chunk)) => self.send(client, chunk)?,
                    None => {
                        self.changes.say(indexes);
                        return Ok(std::mem::take(&mut self.rejected));
                    }
                }
            }
        }
    }

    /// Targets with documents that searches may not find yet.
    pub(crate) fn dirty(&self) -> &BTreeSet<Target> {
        &self.dirty
    }

    /// Everything that was written to these targets is visible now.
    pub(crate) fn set_visible(&mut self, targets: &[Target]) {
        self.dirty.retain(|target| !targets.contains(target));
    }

    /// A lone request refreshes what it writes, so that a lone change does not wait for a second request. The cluster refreshes
    /// the shards that are written to, so no earlier document may be invisible there.
    fn show_at_once(&mut self, indexes: &Indexes) {
        let alone = self.in_flight.is_empty() && self.waiting.is_empty() && self.queue.len() == 1;
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
        let in_flight = self.in_flight.iter().map(|(_, chunk)| chunk);
        in_flight.chain(self.waiting.iter().map(|(_, chunk)| chunk)).any(|other| other.shares(next))
    }

    fn send(&mut self, client: &mut Client, chunk: Chunk) -> Result<()> {
        let shows = if chunk.shows { "&refresh=true" } else { "" };
        let target = format!("/{}/_bulk?{}{shows}", encode(&chunk.write_alias), self.query);
        let sent = client.send("POST", &target, Kind::Lines, Some(chunk.bytes()))?;
        self.in_flight.push_back((sent, chunk));
        Ok(())
    }

    /// Takes the responses that have arrived. Waits a little for the oldest: one that is late must not keep the others from
    /// being followed by more requests.
    fn collect(&mut self, client: &mut Client) -> Result<()> {
        let (mut place, mut wait) = (0, OLDEST_RESPONSE_WAIT);
        while let Some((sent, _)) = self.in_flight.get_mut(place) {
            match client.look(sent, wait) {
                Ok(None) => place += 1,
                answer => {
                    let Some((sent, chunk)) = self.in_flight.remove(place) else { return Ok(()) };
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
        self.reject_for(target, id, Failure { class: class.to_owned(), reason, extra: None });
    }

    fn reject_for(&mut self, target: Target, id: &str, failure: Failure) {
        self.rejected.push(Rejection { target, id: id.to_owned(), failure });
    }
}
