//! `flusso-host demo`: a small shop, documents of several of its tables in a search index, and searches that change as rows do. Without
//! any server, or from a throw-away PostgreSQL, or into an OpenSearch cluster. It leaves nothing behind, whether it ends by itself, by
//! Ctrl-C or by an error.

mod folder;
mod install;
mod programs;
mod server;
mod shop;
mod show;
mod user;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use folder::Folder;
use programs::Programs;
use server::Server;
use shop::{CHANGES, SCHEMA, Shop};
use show::{Host, Show};

/// What the demo needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The shop is in a database; `None`: in files.
    pub database: Option<Database>,
    /// The search index is in the cluster of `OPENSEARCH_URL`; else in a folder.
    pub opensearch: bool,
    /// The plugins, by their names.
    pub plugins: Vec<(&'static str, PathBuf)>,
    /// Where compiled plugins are kept, if not in the usual place.
    pub cache: Option<PathBuf>,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub struct Database {
    /// Install PostgreSQL if it is missing.
    pub install: bool,
    /// A server to use instead of a throw-away one; the demo makes a database of its own on it.
    pub url: Option<String>,
}

impl Options {
    /// The plugins that it takes, and whether each is a native library.
    pub fn wanted(database: bool, opensearch: bool) -> Vec<(&'static str, bool)> {
        let source: &[_] = if database { &[("pg", false)] } else { &[("files", false), ("schema-builder", false)] };
        let sink = if opensearch { ("opensearch", false) } else { ("tantivy", true) };
        source.iter().copied().chain([sink]).collect()
    }

    fn sink(&self) -> &'static str {
        if self.opensearch { "opensearch" } else { "tantivy" }
    }
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// PostgreSQL is not on this machine.
    #[error(
        "PostgreSQL's programs (initdb, postgres, psql) are not on this machine; install them with\n\n    {command}\n\n\
         or let the demo do it: flusso-host demo --postgres --install. With DATABASE_URL set it uses that server instead; without \
         --postgres the demo needs no server"
    )]
    NotInstalled {
        /// What would install it.
        command: String,
    },
    /// This machine's package manager is none of those the demo knows.
    #[error(
        "PostgreSQL is not on this machine, and no package manager is that the demo knows; install PostgreSQL 14 or later, or set DATABASE_URL"
    )]
    NoPackageManager,
    /// A program failed.
    #[error("{what} failed: {why}")]
    Program {
        /// What was tried.
        what: String,
        /// What it said.
        why: String,
    },
    /// The documents that a change should bring did not come.
    #[error("the documents did not come: {0}")]
    NoDocuments(String),
    /// Ctrl-C was pressed.
    #[error("stopped")]
    Stopped,
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

/// Whether the demo was asked to end.
type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// What becomes of a step.
type Result<T> = std::result::Result<T, DemoError>;

/// Documents that the shop has at first.
const ORDERS: u64 = 6;

/// Runs the demo to its end. Blocks; `stop` says whether it was asked to end.
///
/// # Errors
///
/// What is missing, and what went wrong; nothing is left behind.
pub fn run(options: &Options, stop: &(dyn Fn() -> bool + Sync)) -> Result<()> {
    let mut show = Show::new();
    let sink = if options.opensearch { "an OpenSearch cluster" } else { "a search index" };
    show.title(&format!("flusso-host demo: documents of four tables in {sink}, and searches that follow the rows"))?;
    let shop = shop(options, &mut show, stop)?;
    // From here on everything that was made is unmade when it is dropped, in the reverse order.
    let plugins: Vec<(&str, &Path)> = options.plugins.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let prefix = options.opensearch.then(|| format!("flusso-demo-{}-", std::process::id()));
    shop.set_up(options.sink(), prefix.as_deref(), &plugins)?;
    let lines = SCHEMA.lines().count();
    show.step(&format!("flusso-host, with a schema of {lines} lines that says what an order's document is made of"))?;
    let started = Instant::now();
    let mut host = Host::start(options, &shop)?;
    let first = host.search(options, &shop, "*", ORDERS, stop)?;
    show.say(&format!("{ORDERS} orders are found after {:.1} s; one of them:", started.elapsed().as_secs_f64()))?;
    show.document(&first)?;

    show.step("Rows change, and searches find what they are now")?;
    for change in &CHANGES {
        show::pause(stop)?;
        show.change(change.what)?;
        let before = show::search(options, &shop, change.query)?;
        show.count(change.query, before.total())?;
        show.lines(&shop.shown(change))?;
        let changed = Instant::now();
        shop.make(change)?;
        let after = host.search(options, &shop, change.query, change.found, stop)?;
        show.found(change.query, &after, changed.elapsed())?;
    }
    show::pause(stop)?;

    show.step(match options.database {
        Some(_) => "The end: the host is stopped, its replication slot dropped, everything thrown away",
        None => "The end: the host is stopped, everything thrown away",
    })?;
    host.stop()?;
    clean_up(options, &shop)?;
    drop(shop);
    show.farewell(options)?;
    Ok(())
}

/// The shop, not set up yet.
fn shop(options: &Options, show: &mut Show, stop: Stop<'_>) -> Result<Shop> {
    let Some(database) = &options.database else {
        show.step("A small shop in four files: users.csv, products.csv, orders.ndjson, order_items.csv")?;
        return Ok(Shop::Files(Folder::make(None)?));
    };
    let programs = programs(database, show)?;
    let server = match &database.url {
        Some(url) => {
            show.step("A database of its own on the server of DATABASE_URL, dropped at the end")?;
            Server::on(url, &programs)?
        }
        None => {
            show.step(&format!("A throw-away {}, gone at the end", programs.version()))?;
            Server::start(&programs, stop)?
        }
    };
    show.say("with a small shop in it: users, products, orders, order_items")?;
    Ok(Shop::Database(server))
}

fn programs(database: &Database, show: &mut Show) -> Result<Programs> {
    if let Some(programs) = Programs::find() {
        return Ok(programs);
    }
    let command = install::command().ok_or(DemoError::NoPackageManager)?;
    if !database.install {
        return Err(DemoError::NotInstalled { command: command.text });
    }
    show.step(&format!("PostgreSQL is not here yet: {}", command.text))?;
    install::run(&command)?;
    Programs::find().ok_or(DemoError::NotInstalled { command: command.text })
}

/// What a user would do who does not come back: slot and publication go, and what the cluster holds.
fn clean_up(options: &Options, shop: &Shop) -> Result<()> {
    if options.opensearch {
        for name in show::stored(options, shop)? {
            let mut command = show::host_command(options, shop)?;
            checked("flusso-host indexes remove", command.args(["indexes", "remove", &name, "--force"]))?;
        }
    }
    let mut command = show::host_command(options, shop)?;
    checked("flusso-host drop", command.arg("drop")).map(drop)
}

/// Runs a program to its end and returns what it printed.
fn checked(what: &str, command: &mut Command) -> Result<String> {
    let failed = |why: String| DemoError::Program { what: what.to_owned(), why };
    let output = command.stdin(std::process::Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let text = [output.stdout, output.stderr].concat();
        Err(failed(format!("{}\n{}", output.status, String::from_utf8_lossy(&text).trim())))
    }
}
