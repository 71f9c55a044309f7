//! What the demo prints, and the host whose documents it prints.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::{DemoError, Options, Result, Stop, checked};

use crate::limits;

/// Standard output, with a little colour on a terminal.
#[derive(Debug)]
pub(super) struct Show {
    colour: bool,
    steps: usize,
}

impl Show {
    pub(super) fn new() -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: io::stdout().is_terminal() && !quiet, steps: 0 }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn print(&self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
        Ok(())
    }

    pub(super) fn title(&self, text: &str) -> Result<()> {
        self.print(&self.paint("1", text))
    }

    pub(super) fn step(&mut self, text: &str) -> Result<()> {
        self.steps += 1;
        self.print(&format!("\n{} {}", self.paint("1;36", &format!("{}.", self.steps)), self.paint("1", text)))
    }

    pub(super) fn say(&self, text: &str) -> Result<()> {
        self.print(&format!("   {text}"))
    }

    pub(super) fn change(&self, what: &str, sql: &str) -> Result<()> {
        self.print(&format!("\n   {what}:"))?;
        self.print(&format!("   {}", self.paint("33", sql)))
    }

    /// The lines; of many, the first two of each index.
    pub(super) fn documents(&self, lines: &[String]) -> Result<()> {
        let index =
            |line: &str| line.split("\"index\":").nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned);
        let mut seen = std::collections::BTreeMap::new();
        let mut shown = 0;
        for line in lines {
            let count = seen.entry(index(line)).or_insert(0);
            *count += 1;
            if lines.len() > 8 && *count > 2 {
                continue;
            }
            shown += 1;
            let code = if line.starts_with("{\"op\":\"delete\"") { "31" } else { "32" };
            self.print(&format!("   → {}", self.paint(code, line)))?;
        }
        match lines.len().saturating_sub(shown) {
            0 => Ok(()),
            more => self.say(&format!("  … and {more} more")),
        }
    }

    pub(super) fn farewell(&self, plugin: &Path) -> Result<()> {
        self.print("\nYour own database next (PostgreSQL 14 or later, wal_level = logical):\n")?;
        let program = std::env::current_exe()?;
        let command = format!("{} --plugin {}", program.display(), plugin.display());
        self.print(&format!("   DATABASE_URL=postgres://user:password@host/database {command}\n"))
    }
}

/// A short wait, so that a person can read.
pub(super) fn pause(stop: Stop<'_>) -> Result<()> {
    let end = Instant::now() + Duration::from_millis(600);
    while Instant::now() < end {
        if stop() {
            return Err(DemoError::Stopped);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// This very program, about to follow a database.
pub(super) fn host_command(options: &Options, url: &str, folder: &Path) -> Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    let state = folder.join("state");
    // Nothing of the caller's own set-up: the demo shows what happens without any.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLUSSO_") {
            command.env_remove(name);
        }
    }
    command.arg("--plugin").arg(absolute(&options.plugin)).arg("--state-dir").arg(state).args(["--log-level", "warn"]);
    // A port is nobody's business here, and may be another host's.
    command.args(["--public-address", ""]);
    if let Some(cache) = &options.cache {
        command.arg("--cache-dir").arg(absolute(cache));
    }
    command.env("DATABASE_URL", url).current_dir(folder);
    Ok(command)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A host that follows the database of the demo. Killed when dropped.
#[derive(Debug)]
pub(super) struct Host {
    child: Child,
    lines: Receiver<String>,
}

impl Host {
    pub(super) fn start(options: &Options, url: &str, folder: &Path) -> Result<Self> {
        let mut command = host_command(options, url, folder)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| DemoError::Program { what: "flusso-host".to_owned(), why: error.to_string() })?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(io::Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, lines })
    }

    /// Its next lines, so many.
    pub(super) fn next(&self, count: usize, stop: Stop<'_>) -> Result<Vec<String>> {
        let end = Instant::now() + limits::program::DEMO_TIMEOUT;
        let mut lines = Vec::new();
        while lines.len() < count {
            if stop() {
                return Err(DemoError::Stopped);
            }
            match self.lines.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(DemoError::NoDocuments(format!(
                        "{} of {count} in {} s",
                        lines.len(),
                        limits::program::DEMO_TIMEOUT.as_secs()
                    )));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(DemoError::NoDocuments("the host ended; what it said stands above".to_owned()));
                }
            }
        }
        Ok(lines)
    }

    /// Asks it to end and waits until it has.
    pub(super) fn stop(mut self) -> Result<()> {
        checked("kill", Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let end = self.child.wait();
        match end {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(DemoError::Program { what: "stopping flusso-host".to_owned(), why: status.to_string() }),
            Err(error) => Err(DemoError::Program { what: "stopping flusso-host".to_owned(), why: error.to_string() }),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // After an error: the orderly way first, so that the slot is let go.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
