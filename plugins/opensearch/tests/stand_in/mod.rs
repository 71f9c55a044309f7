//! A stand-in for a cluster that says what a real one cannot be made to say on demand. It holds documents, knows one index,
//! and lets a test answer bulk requests as it likes.
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
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flusso_opensearch::OpenSearch;
use flusso_plugin::{Document, Error, Mapping, Report, Settings, Sink as _};
use serde_json::{Value, json};

/// A line of a bulk request, as the stand-in understands it.
#[derive(Clone, Debug)]
pub struct Line {
    pub id: String,
    pub version: u64,
    pub body: Option<Value>,
}

/// What becomes of a bulk request.
pub enum Reply {
    /// Every document is applied.
    Apply,
    /// Of each document: its status and the type of its error; applied where the status is a success.
    Each(Vec<(u16, &'static str)>),
    /// Nothing is applied.
    Refuse(u16, &'static str),
    /// Nothing is applied, and should be tried again after so many seconds.
    Later(u16, u32),
    /// Everything is applied, and the connection is cut before the answer.
    ApplyAndCut,
    /// Everything is applied, and answered much later than anybody should wait.
    Late,
}

type Script = dyn FnMut(usize, &[Line]) -> Reply + Send;

/// Documents by their ids: the version, and the body of one that is not deleted.
pub type Held = BTreeMap<String, (u64, Option<Value>)>;

pub struct StandIn {
    pub address: String,
    pub documents: Arc<Mutex<Held>>,
    /// The bulk requests that came, by their ids.
    pub requests: Arc<Mutex<Vec<Vec<String>>>>,
    /// How often it was refreshed, and by a bulk request.
    pub refreshes: Arc<Mutex<(usize, usize)>>,
}

impl StandIn {
    /// Answers the n-th bulk request, from 0, as the script says.
    pub fn new(script: impl FnMut(usize, &[Line]) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let one = Self { address, documents: Arc::default(), requests: Arc::default(), refreshes: Arc::default() };
        let (documents, requests, refreshes) = (one.documents.clone(), one.requests.clone(), one.refreshes.clone());
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let served = (documents.clone(), requests.clone(), refreshes.clone(), script.clone());
                std::thread::spawn(move || serve(stream, &served.0, &served.1, &served.2, &served.3));
            }
        });
        one
    }

    pub fn open(&self, settings: Value) -> OpenSearch {
        // The names of its indexes are those of the mapping's hash alone.
        let mut all = json!({ "url": format!("http://{}", self.address), "text_analysis": "builtin" });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        OpenSearch::open(Settings::from_json(all.to_string())).expect("open")
    }

    /// Writes documents `0..count` and flushes.
    pub fn write(&self, settings: Value, count: u64, deadline: u64) -> (Result<Report, Error>, OpenSearch) {
        let mut sink = self.open(settings);
        let target = sink.ensure_index(mapping()).unwrap().target;
        let documents = (0..count).map(|n| document(target, &n.to_string(), 1, n)).collect();
        let written = sink.write(documents).and_then(|()| sink.flush(false, deadline));
        (written, sink)
    }

    pub fn ids(&self) -> Vec<String> {
        let documents = self.documents.lock().unwrap();
        documents.iter().filter(|(_, (_, body))| body.is_some()).map(|(id, _)| id.clone()).collect()
    }

    pub fn sent(&self) -> Vec<Vec<String>> {
        self.requests.lock().unwrap().clone()
    }
}

pub fn mapping() -> Mapping {
    Mapping { index: "users".into(), hash: "aaaaaaaa".into(), fields: Vec::new(), prefix: String::new(), extra: None }
}

pub fn document(target: u32, id: &str, version: u64, n: u64) -> Document {
    Document { target, id: id.to_owned(), version, body: Some(format!("{{\"n\":{n}}}").into_bytes()) }
}

fn serve(
    stream: TcpStream,
    documents: &Mutex<BTreeMap<String, (u64, Option<Value>)>>,
    requests: &Mutex<Vec<Vec<String>>>,
    refreshes: &Mutex<(usize, usize)>,
    script: &Mutex<Box<Script>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap().to_owned();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let place = path.split('?').next().unwrap();
        let mut after = String::new();
        let answer = if place.ends_with("/_bulk") {
            let lines = read(&String::from_utf8(body).unwrap());
            let number = {
                let mut requests = requests.lock().unwrap();
                requests.push(lines.iter().map(|line| line.id.clone()).collect());
                requests.len() - 1
            };
            if path.contains("refresh=true") {
                refreshes.lock().unwrap().1 += 1;
            }
            let reply = (script.lock().unwrap())(number, &lines);
            match reply {
                Reply::Apply => (200, apply(documents, &lines, &vec![(200, ""); lines.len()])),
                Reply::Each(each) => (200, apply(documents, &lines, &each)),
                Reply::Refuse(status, kind) => (status, json!({ "error": { "type": kind, "reason": "because" } })),
                Reply::Later(status, seconds) => {
                    after = format!("Retry-After: {seconds}\r\n");
                    (status, json!({}))
                }
                Reply::ApplyAndCut => {
                    apply(documents, &lines, &vec![(200, ""); lines.len()]);
                    return;
                }
                Reply::Late => {
                    std::thread::sleep(std::time::Duration::from_secs(10));
                    (200, apply(documents, &lines, &vec![(200, ""); lines.len()]))
                }
            }
        } else {
            if place.ends_with("_refresh") {
                refreshes.lock().unwrap().0 += 1;
            }
            (200, other(place))
        };
        let text = answer.1.to_string();
        let head = format!("HTTP/1.1 {} x\r\n{after}Content-Length: {}\r\n\r\n", answer.0, text.len());
        if writer.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

/// There is one index, and it serves.
fn other(place: &str) -> Value {
    match place {
        "/" => json!({ "version": { "number": "2.19.1", "distribution": "opensearch" } }),
        "/users" | "/users_aaaaaaaa_*,users_aaaaaaaa,users" => json!({ "users_aaaaaaaa_1": {
            "aliases": { "users": {}, "users_aaaaaaaa": {}, "users_aaaaaaaa_1_write": {} },
            "settings": { "index": { "uuid": "u-1" } },
            "mappings": { "_meta": { "flusso": { "index": "users", "hash": "aaaaaaaa" } } },
        } }),
        place if place.ends_with("_count") => json!({ "count": 0 }),
        _ => json!({}),
    }
}

fn read(text: &str) -> Vec<Line> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let action: Value = serde_json::from_str(line).unwrap();
        let (word, what) = action.as_object().unwrap().iter().next().unwrap();
        let body = (word == "index").then(|| serde_json::from_str(lines.next().unwrap()).unwrap());
        found.push(Line { id: what["_id"].as_str().unwrap().into(), version: what["version"].as_u64().unwrap(), body });
    }
    found
}

fn apply(
    documents: &Mutex<BTreeMap<String, (u64, Option<Value>)>>,
    lines: &[Line],
    each: &[(u16, &'static str)],
) -> Value {
    let mut documents = documents.lock().unwrap();
    let mut errors = false;
    let items = lines.iter().zip(each).map(|(line, (status, kind))| {
        let newer = documents.get(&line.id).is_some_and(|(version, _)| *version > line.version);
        if *status < 300 && !newer {
            documents.insert(line.id.clone(), (line.version, line.body.clone()));
            return json!({ "index": { "_index": "users_aaaaaaaa_1", "status": status } });
        }
        errors = true;
        let (status, kind) = if newer { (409, "version_conflict_engine_exception") } else { (*status, *kind) };
        json!({ "index": { "status": status, "error": { "type": kind, "reason": "because" } } })
    });
    let items: Vec<Value> = items.collect();
    json!({ "errors": errors, "items": items })
}
