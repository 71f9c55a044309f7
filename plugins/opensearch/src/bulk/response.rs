//! What an answer to a bulk request makes of its documents: taken, rejected, put off, or sent again in smaller parts.

use std::hash::BuildHasher as _;
use std::time::{Duration, Instant};

use flusso_plugin::{Error, Failure, Result};

use super::amend::Amended;
use super::chunk::Item;
use super::concurrency_limit::backoff;
use super::item_result::{ItemResult, class, item_results};
use super::{Bulk, Chunk, Step};
use crate::client::Client;
use crate::cluster_error::{Cause, ClusterError};
use crate::http::Response;

/// Requests that may fail as a whole, one after the other, before a flush gives up.
const MAX_FAILURES: u32 = 5;
/// Bytes below which no server means it that a document is too large: something in front of the cluster is misconfigured, and
/// is waited for.
const MIN_TOO_LARGE_BYTES: usize = 64 << 10;
/// Bytes that a request is not made smaller than for being late: what is as small and late is not late for its size.
const MIN_REQUEST_BYTES: usize = 64 << 10;

impl Bulk {
    pub(super) fn settle(&mut self, client: &Client, answer: &Response, chunk: Chunk) -> Result<()> {
        if answer.status == 413 {
            return self.too_large(client, chunk);
        }
        if !(200..300).contains(&answer.status) {
            let error = client.refused(answer, "writing documents");
            // Too much at once (a full queue, a breaker of memory): the second time it goes in halves.
            return match answer.status {
                429 if chunk.attempt > 0 => self.late(client, chunk, error),
                _ => self.failed(client, chunk, error),
            };
        }
        let wanted = chunk.items.iter().map(|item| self.names.get(&item.target).map_or("", String::as_str));
        let said = item_results(&answer.body, wanted).map_err(|nonsense| {
            Error::transient(format!("the answer of {} to documents makes no sense: {}", client.address(), nonsense.0))
        })?;
        self.failures = 0;
        if !chunk.shows {
            self.dirty.extend(chunk.items.iter().map(|item| item.target));
        }
        let Some(said) = said else {
            chunk.items.iter().for_each(|item| self.changes.applied(item));
            self.concurrency.taken();
            return Ok(());
        };
        let (mut busy, mut again) = (Vec::new(), chunk.empty());
        for (place, (item_result, item)) in said.into_iter().zip(&chunk.items).enumerate() {
            match item_result {
                ItemResult::Applied => self.changes.applied(item),
                ItemResult::Busy(_) | ItemResult::Refused(_) if chunk.is_superseded(place) => {}
                ItemResult::Busy(cause) => {
                    if busy.is_empty() {
                        self.busy = cause.text();
                    }
                    busy.push(place);
                }
                ItemResult::Refused(cause) => self.amend(&chunk, item, &cause, &mut again),
                ItemResult::Gone(cause) => {
                    let text = format!(
                        "index {} is gone, or cannot be found by that name: {}; it is looked for again",
                        chunk.write_alias,
                        cause.text()
                    );
                    return Err(Error::transient(text));
                }
                ItemResult::Astray(other) => {
                    let text = format!(
                        "documents for {} were written to index {other}, because another client moved that alias; they are written again once it is put back",
                        chunk.write_alias
                    );
                    return Err(Error::transient(text));
                }
                ItemResult::Blocked(cause) => return Err(Error::transient(cause.text())),
                ItemResult::Forbidden(status, cause) => {
                    let error = ClusterError { status, cause, retry_after: None };
                    return Err(client.explain(&error, "writing documents"));
                }
            }
        }
        if !again.items.is_empty() {
            self.waiting.push((Instant::now(), again));
        }
        if busy.is_empty() {
            self.concurrency.taken();
        } else {
            self.put_off(&chunk, busy);
        }
        Ok(())
    }

    /// A document that is refused for what it holds goes again in a form that the cluster may take; else it is rejected, with
    /// the reason that it was first refused for.
    fn amend(&mut self, chunk: &Chunk, item: &Item, cause: &Cause, again: &mut Chunk) {
        let before = item.amended.as_deref();
        let body = chunk.body(item).filter(|_| !self.strict);
        let fields = self.fields.get(&item.target).cloned().unwrap_or_default();
        match body.and_then(|body| Amended::of(body, before, cause, &fields.objects)) {
            Some((amended, body)) => again.take(chunk, item, amended, &body),
            None => {
                let failure = before.map(Amended::failure);
                let own = || Failure { class: class(cause), reason: cause.text(), extra: None };
                self.reject_for(item.target, &item.id, failure.unwrap_or_else(own));
            }
        }
    }

    /// Documents that the cluster was too busy for wait a little.
    fn put_off(&mut self, chunk: &Chunk, busy: Vec<usize>) {
        // A part of it (one shard of many, say) is slowed down by its own waiting; most of it is the whole cluster.
        if busy.len() * 2 >= chunk.items.len() {
            self.concurrency.refused();
        }
        let is_part = busy.len() < chunk.items.len();
        let mut again = chunk.part(busy);
        if is_part {
            // Some of it was taken: that is no reason to wait longer each time.
            again.attempt = 0;
        }
        let wait = backoff(again.attempt, self.random.hash_one((again.size(), Instant::now())));
        again.attempt += 1;
        // What is left of several goes again in one: few requests, whatever was left of each.
        let mut left = Some(again);
        for (_, chunk) in &mut self.waiting {
            left = left.and_then(|again| chunk.merge(again, self.batch_size, self.max_bytes));
        }
        self.waiting.extend(left.map(|again| (Instant::now() + wait, again)));
    }

    /// A request failed as a whole. Now and then that happens to one of many, and giving up the others for it would get
    /// nowhere: it goes again.
    pub(super) fn failed(&mut self, client: &Client, mut chunk: Chunk, error: Error) -> Result<()> {
        let wait = self.wait(client, &chunk, error)?;
        chunk.attempt += 1;
        self.waiting.push((Instant::now() + wait, chunk));
        Ok(())
    }

    /// How long to wait after a request that failed as a whole. Where nothing succeeds in between, or the server names a
    /// longer time than there is, the cluster is away, and that is the host's to wait out.
    fn wait(&mut self, client: &Client, chunk: &Chunk, error: Error) -> Result<Duration> {
        let Error::Transient(transient) = &error else { return Err(error) };
        let named = Duration::from_millis(transient.retry_after_ms.unwrap_or(0));
        let wait = named.max(backoff(chunk.attempt, self.random.hash_one((chunk.size(), Instant::now()))));
        self.failures += 1;
        if self.failures > MAX_FAILURES || wait >= client.left() {
            return Err(error);
        }
        self.concurrency.refused();
        Ok(wait)
    }

    /// Half of it may do; a document that is too large alone is rejected.
    fn too_large(&mut self, client: &Client, chunk: Chunk) -> Result<()> {
        if let ([item], size) = (chunk.items.as_slice(), chunk.size()) {
            if size < MIN_TOO_LARGE_BYTES {
                let text = format!("{} answered 413 (too large) to a request of {size} bytes", client.address());
                return self.failed(client, chunk, Error::transient(text));
            }
            let reason =
                format!("it has {size} bytes with its address, more than {} takes in one request", client.address());
            self.reject(item.target, &item.id, "too-large", reason);
            return Ok(());
        }
        self.halve(chunk, 1_024, Instant::now());
        Ok(())
    }

    /// A request was too much at once, or took longer than it may: less may do. What the cluster is still doing of it does
    /// no harm.
    pub(super) fn late(&mut self, client: &Client, chunk: Chunk, error: Error) -> Result<()> {
        if chunk.items.len() < 2 {
            return self.failed(client, chunk, error);
        }
        let wait = self.wait(client, &chunk, error)?;
        self.halve(chunk, MIN_REQUEST_BYTES, Instant::now() + wait);
        Ok(())
    }

    /// Two requests of one. From now on no chunk is as large as it was, down to `least` bytes.
    fn halve(&mut self, chunk: Chunk, least: usize, due: Instant) {
        let count = chunk.items.len();
        self.max_bytes = self.max_bytes.min((chunk.size() / 2).max(least));
        let [mut first, second] = [chunk.part(0..count / 2), chunk.part(count / 2..count)];
        first.attempt += 1;
        // One after the other: the same document may be in both. The second comes before everything that was written later.
        self.queue.push_front(Step::Write(second));
        self.waiting.push((due, first));
    }
}
