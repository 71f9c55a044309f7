//! A loader with nothing in front of it: the bulk requests that the host made, sent again to an index of the same kind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flusso_tests::search::Search;
use serde_json::{Value, json};

/// Requests at a time, as the sink sends them.
const AT_A_TIME: usize = 4;

/// Bodies and the index they are for.
pub(crate) struct Loader {
    bodies: Vec<Vec<u8>>,
    documents: u64,
    index: String,
}

impl Loader {
    /// Of an index that is as it should be, and what was sent for it.
    pub(crate) fn of(search: &Search, index: &str, bodies: Vec<Vec<u8>>) -> Self {
        let get = |what: &str| {
            let (_, answer) = search.ask("GET", &format!("/{index}/{what}"), "");
            answer.as_object().and_then(|all| all.values().next().cloned()).unwrap_or_default()
        };
        let mapping = get("_mapping").get("mappings").cloned().unwrap_or_default();
        let analysis = get("_settings").pointer("/settings/index/analysis").cloned().unwrap_or_default();
        let settings = json!({
            "index": { "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1" }, "analysis": analysis,
        });
        let index_body = json!({ "settings": settings, "mappings": mapping }).to_string();
        Self { bodies, documents: search.count(index), index: index_body }
    }

    pub(crate) fn requests(&self) -> usize {
        self.bodies.len()
    }

    /// From making the index until a search finds every document.
    pub(crate) fn load(&self, search: &Search, index: &str) -> Duration {
        search.clean(index);
        let started = Instant::now();
        let made = search.ask("PUT", &format!("/{index}"), &self.index);
        assert_eq!(made.0, 200, "{}", made.1);
        self.send(search, index, &self.bodies);
        assert_eq!(search.count(index), self.documents, "every document once");
        started.elapsed()
    }

    /// The first bodies once more, over what [`Loader::load`] has left: the time, and how many documents they hold.
    pub(crate) fn again(&self, search: &Search, index: &str, documents: usize) -> (Duration, usize) {
        let mut held = 0;
        let enough = self.bodies.iter().position(|body| {
            held += count(body);
            held >= documents
        });
        let bodies = self.bodies.get(..=enough.unwrap_or(self.bodies.len() - 1)).unwrap_or_default();
        let started = Instant::now();
        self.send(search, index, bodies);
        (started.elapsed(), held)
    }

    /// Some bodies, until a search finds what is in them.
    fn send(&self, search: &Search, index: &str, bodies: &[Vec<u8>]) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let (status, answer) = search.send(&format!("/{index}/_bulk?filter_path=errors"), body);
                        assert!(status == 200 && answer.get("errors") == Some(&Value::Bool(false)), "{answer}");
                    }
                });
            }
        });
        search.ask("POST", &format!("/{index}/_refresh"), "");
    }
}

/// The documents in a body: two lines each.
fn count(body: &[u8]) -> usize {
    body.iter().filter(|byte| **byte == b'\n').count() / 2
}
