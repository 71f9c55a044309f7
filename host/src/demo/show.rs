//! What the demo prints, and the host whose documents it searches.

use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::shop::Shop;
use super::{DemoError, Options, Result, Stop, checked};

use crate::limits;

/// Characters of a line of a document.
const WIDTH: usize = 110;

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

    /// What happens.
    pub(super) fn change(&self, what: &str) -> Result<()> {
        self.print(&format!("\n   {what}:"))
    }

    /// How rows change.
    pub(super) fn lines(&self, lines: &[String]) -> Result<()> {
        lines.iter().try_for_each(|line| self.print(&format!("     {}", self.paint("33", line))))
    }

    fn searched(&self, query: &str) -> String {
        self.paint("2", &format!("flusso-host search orders '{query}'"))
    }

    /// How many documents a query finds.
    pub(super) fn count(&self, query: &str, total: u64) -> Result<()> {
        self.print(&format!("     {}  → {total} found", self.searched(query)))
    }

    /// What a query finds now.
    pub(super) fn found(&self, query: &str, answer: &Answer, after: Duration) -> Result<()> {
        let (total, seconds) = (answer.total(), after.as_secs_f64());
        self.print(&format!("     {}  → {total} found, {seconds:.1} s later", self.searched(query)))?;
        for hit in answer.hits() {
            let text = |pointer: &str| hit.pointer(pointer).and_then(Value::as_str).unwrap_or("nobody").to_owned();
            let items = hit.pointer("/document/items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let names: Vec<_> = items.iter().filter_map(|item| item.pointer("/product/name")?.as_str()).collect();
            let (id, name, city) = (text("/id"), text("/document/customer/name"), text("/document/customer/city"));
            let city = if city == "nobody" { String::new() } else { format!(" of {city}") };
            self.print(&format!("       {}", self.paint("32", &format!("{id}  {name}{city}: {}", names.join(", ")))))?;
        }
        Ok(())
    }

    /// The first document that was found.
    pub(super) fn document(&self, answer: &Answer) -> Result<()> {
        let Some(document) = answer.hits().first().and_then(|hit| hit.get("document")) else { return Ok(()) };
        let text = document.to_string();
        // Between two members, so that each line stays readable.
        let mut line = String::new();
        let members: Vec<&str> = text.split(",\"").collect();
        for (at, member) in members.iter().enumerate() {
            let quote = if at == 0 { "" } else { "\"" };
            let comma = if at + 1 == members.len() { "" } else { "," };
            if line.len() + member.len() > WIDTH {
                self.print(&format!("   {}", self.paint("32", &line)))?;
                line = "  ".to_owned();
            }
            line.push_str(&[quote, member, comma].concat());
        }
        self.print(&format!("   {}", self.paint("32", &line)))
    }

    pub(super) fn farewell(&self, options: &Options) -> Result<()> {
        let program = std::env::current_exe()?;
        let program = program.display();
        if options.database.is_none() {
            self.print("\nThe same by hand: examples/quickstart. From a throw-away PostgreSQL instead of files:\n")?;
            return self.print(&format!("   {program} demo --postgres --install\n"));
        }
        self.print("\nYour own database next (PostgreSQL 14 or later, wal_level = logical), each table an index of its rows:\n")?;
        let plugin = options.plugins.iter().find(|(name, _)| *name == "pg").map(|(_, path)| path.display().to_string());
        let command = format!("{program} --plugin {}", plugin.unwrap_or_default());
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

/// This very program, about to follow the shop.
pub(super) fn host_command(options: &Options, shop: &Shop) -> Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    // Nothing of the caller's own set-up: the demo shows what happens without any.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLUSSO_") {
            command.env_remove(name);
        }
    }
    command.args(["--state-dir", "state", "--log-level", "warn"]);
    // A port is nobody's business here, and may be another host's.
    command.args(["--public-address", ""]);
    if let Some(cache) = &options.cache {
        command.arg("--cache-dir").arg(std::path::absolute(cache)?);
    }
    if let Some(url) = shop.url() {
        command.env("DATABASE_URL", url);
    }
    command.stdin(Stdio::null()).current_dir(shop.folder());
    Ok(command)
}

/// What a search found, as `flusso-host search --format json` prints it.
#[derive(Debug)]
pub(super) struct Answer(Value);

impl Answer {
    pub(super) fn total(&self) -> u64 {
        self.0.get("total").and_then(Value::as_u64).unwrap_or_default()
    }

    fn hits(&self) -> &[Value] {
        self.0.get("hits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Searches the orders.
pub(super) fn search(options: &Options, shop: &Shop, query: &str) -> Result<Answer> {
    let mut command = host_command(options, shop)?;
    let text = checked("flusso-host search", command.args(["search", "orders", query, "--format", "json"]))?;
    let failed =
        |error: serde_json::Error| DemoError::Program { what: "flusso-host search".to_owned(), why: error.to_string() };
    serde_json::from_str(&text).map(Answer).map_err(failed)
}

/// The names of what the sink holds.
pub(super) fn stored(options: &Options, shop: &Shop) -> Result<Vec<String>> {
    let mut command = host_command(options, shop)?;
    let text = checked("flusso-host indexes", command.args(["indexes", "--format", "json"]))?;
    let read: Value = serde_json::from_str(&text).unwrap_or_default();
    let sinks = read.get("sinks").and_then(Value::as_array).into_iter().flatten();
    let all = sinks.filter_map(|sink| sink.get("holds")?.as_array()).flatten();
    Ok(all.filter_map(|one| one.get("name")?.as_str()).map(str::to_owned).collect())
}

/// A host that follows the shop. Killed when dropped.
#[derive(Debug)]
pub(super) struct Host(Child);

impl Host {
    pub(super) fn start(options: &Options, shop: &Shop) -> Result<Self> {
        let mut command = host_command(options, shop)?;
        let child = command.stdout(Stdio::null()).process_group(0).spawn();
        child.map(Self).map_err(|error| DemoError::Program { what: "flusso-host".to_owned(), why: error.to_string() })
    }

    /// Searches until so many documents are found.
    pub(super) fn search(
        &mut self,
        options: &Options,
        shop: &Shop,
        query: &str,
        wanted: u64,
        stop: Stop<'_>,
    ) -> Result<Answer> {
        let end = Instant::now() + limits::program::DEMO_TIMEOUT;
        loop {
            if stop() {
                return Err(DemoError::Stopped);
            }
            // Before the host has made the index, there is none to search.
            let why = match search(options, shop, query) {
                Ok(answer) if answer.total() == wanted => return Ok(answer),
                Ok(answer) => format!("{:?} finds {} of {wanted}", query, answer.total()),
                Err(error) => error.to_string(),
            };
            if Instant::now() > end {
                let seconds = limits::program::DEMO_TIMEOUT.as_secs();
                return Err(DemoError::NoDocuments(format!("after {seconds} s {why}")));
            }
            // A host that has ended brings no more; what it said stands above.
            if !matches!(self.0.try_wait(), Ok(None)) {
                return Err(DemoError::NoDocuments("the host ended; what it said stands above".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks it to end and waits until it has.
    pub(super) fn stop(mut self) -> Result<()> {
        checked("kill", Command::new("kill").args(["-TERM", &self.0.id().to_string()]))?;
        let end = self.0.wait();
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
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).stderr(Stdio::null()).status();
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
