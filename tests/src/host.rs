//! The built program, started with a clean environment in a folder of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Line, given};

/// The longest any one run of the program may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the program is started: an environment and a folder that survive from one run to the next.
#[derive(Debug)]
pub struct Host {
    folder: PathBuf,
    /// Removes the folder, unless it is somebody else's.
    _temporary: Option<tempfile::TempDir>,
    environment: BTreeMap<String, String>,
}

impl Host {
    /// A host that knows nothing but where plugins are.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let made = Self::at(folder.path());
        Self { _temporary: Some(folder), ..made }
    }

    /// The same in a folder that exists and stays.
    pub fn at(folder: &Path) -> Self {
        let home = folder.join("home").display().to_string();
        let mut environment = BTreeMap::from([
            ("HOME".to_owned(), home),
            ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default()),
            ("FLUSSO_PLUGIN_DIR".to_owned(), given("FLUSSO_TEST_PLUGINS")),
            // Hosts of many tests run at a time; who wants to ask one says where.
            ("FLUSSO_PUBLIC_ADDRESS".to_owned(), String::new()),
        ]);
        if let Ok(cache) = std::env::var("FLUSSO_TEST_CACHE") {
            environment.insert("FLUSSO_CACHE_DIR".to_owned(), cache);
        }
        Self { folder: folder.to_path_buf(), _temporary: None, environment }
    }

    /// A host whose `DATABASE_URL` is this.
    pub fn on(url: &str) -> Self {
        Self::new().with("DATABASE_URL", url)
    }

    /// The same with a variable more.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable for those that are started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// The folder it is started in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file into the folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        }
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// What would start it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(given("FLUSSO_TEST_HOST"));
        command.args(words).env_clear().envs(&self.environment).current_dir(self.folder());
        command
    }

    /// Starts it.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut child = self
            .command(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("the host does not start: {error}"));
        let stdout = child.stdout.take().map(Gathered::start);
        let stderr = child.stderr.take().map(Gathered::start);
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else { panic!("the host has no output") };
        Running { child, stdout, stderr }
    }

    /// Runs it to its end.
    pub fn run(&self, words: &[&str]) -> Ended {
        self.start(words).wait()
    }

    /// Runs it to its end and wants success; returns the documents.
    pub fn documents(&self, words: &[&str]) -> Vec<Line> {
        self.run(words).succeeded().documents()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

/// The lines of one stream so far.
#[derive(Debug)]
struct Gathered {
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Gathered {
    fn start(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let shared = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            // A last line without its end is torn by a kill and is no line.
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) && line.ends_with(b"\n") {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                shared.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                shared.1.notify_all();
                line.clear();
            }
        });
        Self { lines, reader: Some(reader) }
    }

    fn now(&self) -> Vec<String> {
        self.lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait_for(&self, wanted: impl Fn(&str) -> bool, patience: Duration) -> Option<String> {
        let end = Instant::now() + patience;
        let mut lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            if let Some(found) = lines.iter().skip(seen).find(|line| wanted(line)) {
                return Some(found.clone());
            }
            seen = lines.len();
            let left = end.checked_duration_since(Instant::now())?;
            lines = self.lines.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn end(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        std::mem::take(&mut *self.lines.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A program that is running. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Gathered,
    stderr: Gathered,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines on standard output so far.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.now()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The lines on standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.stderr.now()
    }

    /// Waits for a line on standard output.
    ///
    /// # Panics
    /// If none comes.
    pub fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.wait_for(wanted, Duration::from_secs(60)).unwrap_or_else(|| {
            panic!("the line did not come.\nstdout: {:#?}\nstderr: {:#?}", self.stdout.now(), self.stderr.now())
        })
    }

    /// Waits for a line on standard error that holds these words.
    ///
    /// # Panics
    /// If none comes.
    pub fn wait_for_log(&self, words: &str) -> String {
        self.stderr
            .wait_for(|line| line.contains(words), Duration::from_secs(60))
            .unwrap_or_else(|| panic!("no log line with {words:?}.\nstderr: {:#?}", self.stderr.now()))
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
    }

    /// `kill -9`, and what it had printed.
    pub fn kill(mut self) -> Ended {
        let _ = self.child.kill();
        self.wait_within(PATIENCE)
    }

    /// Waits for its end.
    pub fn wait(self) -> Ended {
        self.wait_within(PATIENCE)
    }

    /// Waits for its end, so long at most.
    ///
    /// # Panics
    /// If it goes on for longer.
    pub fn wait_within(mut self, patience: Duration) -> Ended {
        let end = Instant::now() + patience;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                other => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    panic!("the host did not end within {patience:?} ({other:?}).\nstderr: {:#?}", self.stderr.now());
                }
            }
        };
        Ended { code: status.code(), lines: self.stdout.end(), log: self.stderr.end().join("\n") }
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its lines on standard output.
    pub lines: Vec<String>,
    /// Its standard error.
    pub log: String,
}

impl Ended {
    /// Wants exit code 0.
    ///
    /// # Panics
    /// If it is another.
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.log);
        self
    }

    /// Wants an exit code and, on standard error, all of these words.
    ///
    /// # Panics
    /// If it is another code, or a word is missing.
    pub fn refused(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.log);
        for word in words {
            assert!(self.log.contains(word), "{word:?} is missing in:\n{}", self.log);
        }
        self
    }

    /// The documents on standard output.
    pub fn documents(&self) -> Vec<Line> {
        self.lines.iter().map(|line| Line::parse(line)).collect()
    }
}
