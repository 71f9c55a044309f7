//! The indexes, as a reader of the documents' lines has them: the last line of an id holds, a clear voids what came before.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How many of a document's last lines are remembered, to tell how a difference came about.
const REMEMBERED: usize = 6;

/// The indexes of one run, filled by whoever reads the host's output.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By index, then by id.
    pub(super) documents: BTreeMap<String, BTreeMap<String, Document>>,
    /// Lines so far.
    pub(super) lines: u64,
    /// Lines that make no sense.
    pub(super) nonsense: Vec<String>,
}

/// A document's body: as it was printed, or as it was read back. What was read is not printed to be read again, which a
/// number would not survive.
#[derive(Debug)]
pub(super) enum Body {
    Text(Box<str>),
    Read(Value),
}

impl Body {
    /// Its value.
    pub(super) fn value(&self) -> serde_json::Result<Cow<'_, Value>> {
        match self {
            Self::Text(text) => serde_json::from_str(text).map(Cow::Owned),
            Self::Read(value) => Ok(Cow::Borrowed(value)),
        }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Read(value) => value.fmt(f),
        }
    }
}

/// What is known of one document.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Its body, while it is there.
    pub(super) body: Option<Body>,
    /// Its last lines: the host that wrote it, the line's number, what it did.
    pub(super) history: VecDeque<String>,
}

impl Document {
    fn becomes(&mut self, body: Option<Body>, told: String) {
        self.body = body;
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back(told);
    }
}

impl Indexes {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a document as it is.
    pub(super) fn put(&self, index: &str, id: String, body: Value) {
        self.lock().documents.entry(index.to_owned()).or_default().entry(id).or_default().body = Some(Body::Read(body));
    }

    /// Takes a whole line that the host with this number wrote.
    pub(super) fn take(&self, host: u32, line: &str) {
        let mut state = self.lock();
        state.lines += 1;
        if state.apply(host, line).is_none() {
            state.nonsense.push(line.chars().take(300).collect());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until a document is there; false if it does not come.
    pub(super) fn wait_for(&self, index: &str, id: &str, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            let found = state.documents.get(index).and_then(|documents| documents.get(id));
            if found.is_some_and(|document| document.body.is_some()) {
                return true;
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else { return false };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn apply(&mut self, host: u32, line: &str) -> Option<()> {
        // The body is not read here: it may be large, and most bodies are replaced before anybody asks.
        let (head, body) = match line.split_once(",\"document\":") {
            Some((head, body)) => (format!("{head}}}"), Some(body.strip_suffix('}')?)),
            None => (line.to_owned(), None),
        };
        let head: Value = serde_json::from_str(&head).ok()?;
        let (op, index) = (head.get("op")?.as_str()?, head.get("index")?.as_str()?);
        let number = self.lines;
        let documents = self.documents.entry(index.to_owned()).or_default();
        match (op, body) {
            ("clear", None) => {
                for document in documents.values_mut() {
                    document.becomes(None, format!("host {host}, line {number}: clear"));
                }
            }
            ("upsert", Some(_)) | ("delete", None) => {
                let id = head.get("id")?.as_str()?;
                let told = format!("host {host}, line {number}: {op} of {} bytes", body.map_or(0, str::len));
                documents.entry(id.to_owned()).or_default().becomes(body.map(|body| Body::Text(body.into())), told);
            }
            _ => return None,
        }
        Some(())
    }
}
