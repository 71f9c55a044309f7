//! A search cluster as somebody else sees it: every document read back, and what can go wrong in front of it.

mod door;
mod message;
mod node;
mod proxy;

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::given;
pub use door::Door;
use message::Message;
pub use node::Node;
pub use proxy::{Held, Moment, Proxy, Trouble};

/// Documents of one page.
const PAGE: usize = 2_000;
/// What an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster, asked directly.
#[derive(Debug, Clone)]
pub struct Search {
    address: String,
}

impl Search {
    /// The one that all tests share.
    ///
    /// # Panics
    /// Without one: tests that need it are ignored unless they are asked for.
    pub fn shared() -> Self {
        Self::at(given("FLUSSO_TEST_OPENSEARCH_URL").trim_start_matches("http://").trim_end_matches('/'))
    }

    /// One at `HOST:PORT`.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// Where it answers, `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it answers, as a setting.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks, and returns the status and what it said.
    pub fn try_ask(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let headers = ["Host: search", "Content-Type: application/json", "Connection: close"];
        Message::new(&format!("{method} {path} HTTP/1.1"), &headers, body).write(&mut stream)?;
        let answer = Message::read(&mut BufReader::new(stream))?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((answer.status(), serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    /// Sends a body of many lines.
    ///
    /// # Panics
    /// If it is not answered.
    pub fn send(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let sent = || {
            let mut stream = TcpStream::connect(&self.address)?;
            let headers = ["Host: search", "Content-Type: application/x-ndjson", "Connection: close"];
            let mut message = Message::new(&format!("POST {path} HTTP/1.1"), &headers, "");
            message.body = body.to_vec();
            message.write(&mut stream)?;
            Message::read(&mut BufReader::new(stream))?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        };
        let answer: Message =
            sent().unwrap_or_else(|error: io::Error| panic!("POST {path} at {}: {error}", self.address));
        (answer.status(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// The same of one that is there. One that is too busy to answer (its memory is that of a test) is asked again.
    ///
    /// # Panics
    /// If it is not.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.try_ask(method, path, body);
            let answer = answer.unwrap_or_else(|error| panic!("{method} {path} at {}: {error}", self.address));
            if answer.0 != 429 || Instant::now() > end {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Every document behind a name, by id, once all that was written is visible; none if there is no such index.
    pub fn documents(&self, index: &str) -> Option<BTreeMap<String, Value>> {
        if self.ask("POST", &format!("/{index}/_refresh"), "").0 == 404 {
            return None;
        }
        self.visible(index)
    }

    /// Every document that a search finds now, by id.
    ///
    /// # Panics
    /// If one is found twice.
    pub fn visible(&self, index: &str) -> Option<BTreeMap<String, Value>> {
        let mut found = BTreeMap::new();
        let first = json!({ "size": PAGE, "sort": ["_doc"] }).to_string();
        let (status, mut page) = self.ask("POST", &format!("/{index}/_search?scroll=1m"), &first);
        if status == 404 {
            return None;
        }
        loop {
            let hits = page.pointer("/hits/hits").and_then(Value::as_array).cloned();
            let hits = hits.unwrap_or_else(|| panic!("no documents of {index}: {page}"));
            let scroll = page.get("_scroll_id").cloned().unwrap_or_default();
            if hits.is_empty() {
                self.ask("DELETE", "/_search/scroll", &json!({ "scroll_id": scroll }).to_string());
                return Some(found);
            }
            for mut hit in hits {
                let id = hit.get("_id").and_then(Value::as_str).unwrap_or_default().to_owned();
                let body = hit.get_mut("_source").map(Value::take).unwrap_or_default();
                assert!(found.insert(id.clone(), body).is_none(), "{index}: document {id} is there twice");
            }
            page = self.ask("POST", "/_search/scroll", &json!({ "scroll": "1m", "scroll_id": scroll }).to_string()).1;
        }
    }

    /// How many documents a search finds now.
    pub fn count(&self, index: &str) -> u64 {
        let (_, found) = self.ask("GET", &format!("/{index}/_count"), "");
        found.get("count").and_then(Value::as_u64).unwrap_or(0)
    }

    /// One document, visible to searches or not.
    pub fn document(&self, index: &str, id: &str) -> Option<Value> {
        let (_, mut found) = self.try_ask("GET", &format!("/{index}/_doc/{id}"), "").ok()?;
        found.get_mut("_source").map(Value::take)
    }

    /// The indexes, not aliases, whose names begin so.
    pub fn indexes(&self, prefix: &str) -> Vec<String> {
        let (_, found) = self.ask("GET", &format!("/{prefix}*/_settings?expand_wildcards=all"), "");
        found.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
    }

    /// Removes every index whose name begins so.
    pub fn clean(&self, prefix: &str) {
        for index in self.indexes(prefix) {
            let _ = self.try_ask("DELETE", &format!("/{index}"), "");
        }
    }
}
