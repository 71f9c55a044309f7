//! The ancestor, flusso 0.15, as a program beside ours: what it writes is what ours is compared with.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::given;

/// The longest it may take to seed.
const PATIENCE: Duration = Duration::from_secs(600);

/// `flusso run`, writing to a file. Killed when dropped.
#[derive(Debug)]
pub struct Ancestor {
    child: Child,
    status: String,
}

impl Drop for Ancestor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ancestor {
    /// Starts the program of `FLUSSO_TEST_ANCESTOR` in a folder with a `flusso.toml`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(folder: &Path, url: &str, out: &Path) -> Self {
        Self::run(folder, url, out, &[])
    }

    /// The same, following changes without seeding.
    ///
    /// # Panics
    /// If it does not start.
    pub fn follow(folder: &Path, url: &str, out: &Path) -> Self {
        Self::run(folder, url, out, &["--skip-backfill"])
    }

    fn run(folder: &Path, url: &str, out: &Path, words: &[&str]) -> Self {
        let (public, private) = (free_address(), free_address());
        let create = |path: &Path| File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let child = Command::new(given("FLUSSO_TEST_ANCESTOR"))
            .arg("run")
            .args(words)
            .env_clear()
            .env("DATABASE_URL", url)
            .env("FLUSSO_PUBLIC_ADDRESS", &public)
            .env("FLUSSO_PRIVATE_ADDRESS", private)
            .env("RUST_LOG", "warn")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(create(out))
            .stderr(create(&out.with_extension("log")))
            .spawn()
            .unwrap_or_else(|error| panic!("the ancestor does not start: {error}"));
        Self { child, status: public }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that every index is seeded.
    ///
    /// # Panics
    /// If it ends before, or takes too long.
    pub fn wait_until_seeded(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the ancestor ended before it had seeded: {status}");
            }
            let status = self.status();
            let indexes = status.as_ref().and_then(|status| status.get("indexes")?.as_object());
            if indexes.is_some_and(|indexes| !indexes.is_empty() && indexes.values().all(|state| state == "seeded")) {
                return;
            }
            assert!(Instant::now() < end, "the ancestor did not seed within {PATIENCE:?}: {status:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its `/status`, if it answers.
    fn status(&self) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(&self.status).ok()?;
        stream.write_all(b"GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Ends it as an operator does.
    pub fn stop(mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end && !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn free_address() -> String {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.unwrap_or_else(|error| panic!("no free port: {error}")).to_string()
}
