//! A cluster to test against, and a prefix of a test's own in it. It is asked over a plain socket, by code that shares
//! nothing with the plugin.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "shared by tests, which stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use flusso_opensearch::OpenSearch;
use flusso_plugin::{Field, Mapping, Result, Settings, Sink as _};
use serde_json::{Value, json};

pub struct Cluster {
    address: String,
    prefix: String,
}

pub fn field(path: &str, word: &str) -> Field {
    Field {
        path: path.into(),
        type_: word.into(),
        nullable: true,
        array: false,
        options: "{}".into(),
        variants: None,
        map_values: None,
        extra: None,
    }
}

pub fn mapping(index: &str, hash: &str, fields: Vec<Field>) -> Mapping {
    // The prefix ends at the second underscore: that of a test.
    let prefix: String = index.split_inclusive('_').take(2).collect();
    Mapping { index: index.into(), hash: hash.into(), fields, prefix, extra: None }
}

impl Cluster {
    pub fn of(test: &str) -> Self {
        let url = std::env::var("FLUSSO_TEST_OPENSEARCH_URL").expect("FLUSSO_TEST_OPENSEARCH_URL is not set");
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let cluster = Self { address, prefix: format!("{test}_{}_", std::process::id()) };
        cluster.clean();
        cluster
    }

    pub fn name(&self, index: &str) -> String {
        format!("{}{index}", self.prefix)
    }

    pub fn mapping(&self, index: &str, hash: &str) -> Mapping {
        mapping(&self.name(index), hash, vec![field("n", "long"), field("t", "text")])
    }

    pub fn open(&self, settings: Value) -> OpenSearch {
        self.try_open(settings).expect("open")
    }

    pub fn try_open(&self, settings: Value) -> Result<OpenSearch> {
        OpenSearch::open(self.settings(settings))
    }

    pub fn settings(&self, settings: Value) -> Settings {
        // The names of indexes are those of the mapping's hash alone.
        let url = format!("http://{}", self.address);
        let mut all = json!({ "url": url, "number_of_replicas": 0, "text_analysis": "builtin" });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        Settings::from_json(all.to_string())
    }

    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(&self.address).expect("connect");
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Every document that a search finds now, by id.
    pub fn documents(&self, index: &str) -> BTreeMap<String, Value> {
        let (status, found) = self.ask("GET", &format!("/{}/_search?size=10000", self.name(index)), None);
        assert_eq!(status, 200, "{found}");
        let hits = found["hits"]["hits"].as_array().expect("hits");
        hits.iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone())).collect()
    }

    pub fn count(&self, index: &str, query: &Value) -> u64 {
        let path = format!("/{}/_count", self.name(index));
        let (status, found) = self.ask("POST", &path, Some(&json!({ "query": query })));
        assert_eq!(status, 200, "{found}");
        found["count"].as_u64().unwrap()
    }

    /// A setting of the one index behind a name.
    pub fn setting(&self, index: &str, name: &str) -> String {
        let (_, found) = self.ask("GET", &format!("/{}/_settings", self.name(index)), None);
        let all = found.as_object().unwrap();
        assert_eq!(all.len(), 1);
        all.values().next().unwrap()["settings"]["index"][name].as_str().unwrap_or_default().to_owned()
    }

    pub fn set(&self, index: &str, settings: Value) {
        assert_eq!(
            self.ask("PUT", &format!("/{}/_settings", self.name(index)), Some(&json!({ "index": settings }))).0,
            200
        );
    }

    pub fn make(&self, index: &str) {
        assert_eq!(self.ask("PUT", &format!("/{}", self.name(index)), Some(&json!({}))).0, 200);
    }

    /// The indexes that begin with a name.
    fn beginning(&self, name: &str) -> Vec<String> {
        let (_, found) = self.ask("GET", &format!("/{name}*"), None);
        found.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
    }

    pub fn generations(&self, index: &str) -> usize {
        self.beginning(&format!("{}_", self.name(index))).len()
    }

    /// Removes every generation, as an operator might.
    pub fn remove(&self, index: &str) {
        for name in self.beginning(&format!("{}_", self.name(index))) {
            assert_eq!(self.ask("DELETE", &format!("/{name}"), None).0, 200);
        }
    }

    fn clean(&self) {
        for name in self.beginning(&self.prefix) {
            self.ask("DELETE", &format!("/{name}"), None);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clean();
        }
    }
}
