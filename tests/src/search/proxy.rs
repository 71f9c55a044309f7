//! What can go wrong between a program and a real cluster: a proxy in front of it that answers some documents with 429 and
//! keeps them back, answers whole requests with 503, closes connections when the server has done what it was asked, and lets
//! answers be late. A thread a connection.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::message::Message;

/// How long a late answer is late.
const LATE: Duration = Duration::from_secs(10);
/// How long something that is waited for may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What goes wrong, each as a share of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trouble {
    /// Documents of bulk requests that are answered 429 and never reach the server.
    pub busy: u64,
    /// Requests that are answered 503 with `Retry-After: 1` and never reach the server.
    pub away: u64,
    /// Requests that the server does and whose connection is closed instead of an answer.
    pub lost: u64,
    /// Requests that the server does and whose answer comes 10 s later.
    pub late: u64,
}

/// When a request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server never sees it.
    Before,
    /// The server has done it, and whoever asked does not know.
    After,
}

/// A request that is to be held.
#[derive(Debug)]
pub struct Held {
    came: Receiver<()>,
    /// Lets it go when dropped.
    _go: SyncSender<()>,
}

impl Held {
    /// Waits until it is there. Its connection is closed when this is dropped.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait(&self) {
        assert!(self.came.recv_timeout(PATIENCE).is_ok(), "the request that is to be held did not come");
    }
}

struct Trap {
    words: Vec<String>,
    moment: Moment,
    came: SyncSender<()>,
    go: Receiver<()>,
}

/// The proxy. Its threads end with the process; its connections end with those who made them.
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    trouble: Trouble,
    random: u64,
    trap: Option<Trap>,
    counts: BTreeMap<&'static str, u64>,
    authorization: Option<String>,
    requests: u64,
    /// The bodies of bulk requests, where they are wanted.
    recorded: Option<Vec<Vec<u8>>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, request: &Message) {
        let mut state = self.state();
        state.requests += 1;
        if let Some(recorded) = state.recorded.as_mut().filter(|_| request.start.contains("/_bulk")) {
            recorded.push(request.body.clone());
        }
        state.authorization = request.header("authorization").map(str::to_owned);
    }

    /// Whether something of this likelihood happens now; counted if so.
    fn happens(&self, what: &'static str, share: impl Fn(&Trouble) -> u64) -> bool {
        let mut state = self.state();
        let yes = state.draw() % 1_000 < share(&state.trouble);
        if yes {
            *state.counts.entry(what).or_default() += 1;
        }
        yes
    }

    /// Waits where this request is to be held; whether it was.
    fn hold(&self, start: &str, moment: Moment) -> bool {
        let wanted = |trap: &Trap| trap.moment == moment && trap.words.iter().all(|word| start.contains(word.as_str()));
        let mut state = self.state();
        let trap = if state.trap.as_ref().is_some_and(wanted) { state.trap.take() } else { None };
        drop(state);
        if let Some(trap) = &trap {
            let _ = trap.came.send(());
            let _ = trap.go.recv();
        }
        trap.is_some()
    }
}

impl State {
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }
}

impl Proxy {
    /// In front of `HOST:PORT`. Nothing goes wrong yet.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn before(server: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no free port: {error}"));
        let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let state = Mutex::new(State { random: seed.wrapping_mul(2) | 1, ..State::default() });
        let shared = Arc::new(Shared { server: server.to_owned(), state });
        let made = Self { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // Either side may go at any time; whoever is left sees its connection closed.
                    let _ = serve(&shared, client);
                });
            }
        });
        made
    }

    /// Where it answers, as a setting.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What goes wrong from here on.
    pub fn make(&self, trouble: Trouble) {
        self.shared.state().trouble = trouble;
    }

    /// What went wrong so far.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.shared.state().counts.clone()
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// Keeps the bodies of bulk requests from here on.
    pub fn record(&self) {
        self.shared.state().recorded = Some(Vec::new());
    }

    /// The bodies that were kept.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        self.shared.state().recorded.take().unwrap_or_default()
    }

    /// What the last request showed to be let in.
    pub fn authorization(&self) -> Option<String> {
        self.shared.state().authorization.clone()
    }

    /// Holds the next request whose first line has all of these words.
    pub fn hold(&self, words: &[&str], moment: Moment) -> Held {
        let ((came, seen), (go, going)) = (sync_channel(1), sync_channel(1));
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.shared.state().trap = Some(Trap { words, moment, came, go: going });
        Held { came: seen, _go: go }
    }
}

fn serve(shared: &Shared, client: TcpStream) -> io::Result<()> {
    let mut to_client = client.try_clone()?;
    let mut from_client = BufReader::new(client);
    let mut server: Option<BufReader<TcpStream>> = None;
    while let Some(request) = Message::read(&mut from_client)? {
        shared.note(&request);
        if shared.hold(&request.start, Moment::Before) {
            return Ok(());
        }
        if shared.happens("away", |trouble| trouble.away) {
            let body = json!({ "error": { "type": "unavailable", "reason": "the proxy said so" }, "status": 503 });
            let headers = ["Content-Type: application/json", "Retry-After: 1"];
            Message::new("HTTP/1.1 503 Service Unavailable", &headers, &body.to_string()).write(&mut to_client)?;
            continue;
        }
        let answer = if request.start.contains("/_bulk") {
            bulk(shared, &mut server, request.clone())?
        } else {
            forward(shared, &mut server, &request)?
        };
        if shared.hold(&request.start, Moment::After) || shared.happens("lost", |trouble| trouble.lost) {
            return to_client.shutdown(Shutdown::Both);
        }
        if shared.happens("late", |trouble| trouble.late) {
            std::thread::sleep(LATE);
        }
        answer.write(&mut to_client)?;
    }
    Ok(())
}

fn forward(shared: &Shared, server: &mut Option<BufReader<TcpStream>>, request: &Message) -> io::Result<Message> {
    let mut stream = match server.take() {
        Some(stream) => stream,
        None => BufReader::new(TcpStream::connect(&shared.server)?),
    };
    request.write(stream.get_mut())?;
    let answer = Message::read(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    *server = Some(stream);
    Ok(answer)
}

/// Some documents are kept back; the answer says 429 in their places.
fn bulk(shared: &Shared, server: &mut Option<BufReader<TcpStream>>, mut request: Message) -> io::Result<Message> {
    let mut kept = Vec::new();
    let mut passed = Vec::new();
    let body = std::mem::take(&mut request.body);
    let mut lines = body.split_inclusive(|byte| *byte == b'\n');
    while let Some(line) = lines.next() {
        let deletes = line.starts_with(b"{\"delete\"");
        let body = if deletes { None } else { lines.next() };
        let busy = shared.happens("busy", |trouble| trouble.busy);
        kept.push((busy, deletes));
        if !busy {
            passed.extend_from_slice(line);
            passed.extend_from_slice(body.unwrap_or_default());
        }
    }
    if kept.iter().all(|(busy, _)| !busy) {
        request.body = body;
        return forward(shared, server, &request);
    }
    let mut answer = Message::new("HTTP/1.1 200 OK", &["Content-Type: application/json"], "{}");
    if !passed.is_empty() {
        request.body = passed;
        answer = forward(shared, server, &request)?;
    }
    let mut said: Value = serde_json::from_slice(&answer.body)?;
    let Some(said) = said.as_object_mut().filter(|_| answer.status() == 200) else { return Ok(answer) };
    let items = said.remove("items").unwrap_or_else(|| json!([]));
    let mut items = items.as_array().cloned().unwrap_or_default().into_iter();
    let all: Vec<Value> = kept
        .into_iter()
        .filter_map(|(busy, deletes)| match busy {
            true => Some(json!({ if deletes { "delete" } else { "index" }: {
                "status": 429, "error": { "type": "es_rejected_execution_exception", "reason": "the proxy said so" } } })),
            false => items.next(),
        })
        .collect();
    said.insert("items".to_owned(), Value::Array(all));
    said.insert("errors".to_owned(), Value::Bool(true));
    answer.body = serde_json::to_vec(said)?;
    Ok(answer)
}
