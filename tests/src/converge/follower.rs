//! The host under test: started, killed, ended, started again. What it prints goes into the indexes, what it logs into a
//! file a start.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::index::Indexes;
use crate::Host;

/// How long an ending host may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The host, running or not.
pub(super) struct Follower {
    host: Host,
    indexes: Arc<Indexes>,
    /// How many were started.
    pub(super) starts: u32,
    live: Option<Live>,
}

struct Live {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    log: PathBuf,
    seeding: Arc<Mutex<BTreeSet<String>>>,
}

/// How a host ended.
#[derive(Debug)]
pub(super) struct End {
    /// Its exit code; none if a signal ended it.
    pub(super) code: Option<i32>,
    /// The end of its log.
    pub(super) log: String,
}

impl Follower {
    pub(super) fn new(host: Host, indexes: Arc<Indexes>) -> Self {
        Self { host, indexes, starts: 0, live: None }
    }

    /// Starts it; it does not run.
    pub(super) fn start(&mut self, words: &[&str]) {
        self.starts += 1;
        let number = self.starts;
        let log = self.host.folder().join(format!("host-{number}.log"));
        let mut child = self
            .host
            .command(&[&["--log-format", "json"], words].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("the host does not start: {error}"));
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let indexes = Arc::clone(&self.indexes);
            readers.push(std::thread::spawn(move || lines(stdout, |line| indexes.take(number, line))));
        }
        let seeding = Arc::new(Mutex::new(BTreeSet::new()));
        if let Some(stderr) = child.stderr.take() {
            let (seeding, log) = (Arc::clone(&seeding), log.clone());
            readers.push(std::thread::spawn(move || {
                let mut file = std::fs::File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
                lines(stderr, |line| {
                    let _ = writeln!(file, "{line}");
                    let mut seeding = seeding.lock().unwrap_or_else(PoisonError::into_inner);
                    note(&mut seeding, line);
                });
            }));
        }
        self.live = Some(Live { child, readers, log, seeding });
    }

    /// Whether an index is being seeded, as far as its log tells.
    pub(super) fn is_seeding(&self) -> bool {
        let seeding = self.live.as_ref().map(|live| live.seeding.lock().unwrap_or_else(PoisonError::into_inner));
        seeding.is_some_and(|seeding| !seeding.is_empty())
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut live) = self.live.take() {
            let _ = live.child.kill();
            live.end();
        }
    }

    /// Sends a signal, such as `STOP`.
    pub(super) fn signal(&self, name: &str) {
        if let Some(live) = &self.live {
            let _ = Command::new("kill").args([&format!("-{name}"), &live.child.id().to_string()]).status();
        }
    }

    /// SIGTERM, and waits for its end.
    pub(super) fn terminate(&mut self) -> Option<End> {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> Option<End> {
        self.live.take().map(Live::wait)
    }

    /// How it ended, if it did by itself.
    pub(super) fn ended(&mut self) -> Option<End> {
        let ended = self.live.as_mut().is_some_and(|live| matches!(live.child.try_wait(), Ok(Some(_))));
        if ended { self.wait() } else { None }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Live {
    fn wait(mut self) -> End {
        let end = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.child.kill();
                let told = self.end();
                return End { code: None, log: format!("it did not end within {PATIENCE:?}\n{}", told.log) };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.end()
    }

    fn end(mut self) -> End {
        let status = self.child.wait();
        for reader in self.readers {
            let _ = reader.join();
        }
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(12).collect();
        let code = status.ok().and_then(|status| status.signal().is_none().then(|| status.code()).flatten());
        End { code, log: format!("{}\n{}", self.log.display(), last.into_iter().rev().collect::<Vec<_>>().join("\n")) }
    }
}

/// Whole lines; one that a kill tore is none.
fn lines(stream: impl Read, mut take: impl FnMut(&str)) {
    let mut stream = BufReader::with_capacity(256 << 10, stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) && line.ends_with(b"\n") {
        take(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

fn note(seeding: &mut BTreeSet<String>, line: &str) {
    let Ok(entry) = serde_json::from_str::<Value>(line) else { return };
    let Some(index) = entry.get("index").and_then(Value::as_str) else { return };
    match entry.get("message").and_then(Value::as_str) {
        Some("seeding") => seeding.insert(index.to_owned()),
        Some("seeded") => seeding.remove(index),
        _ => false,
    };
}
