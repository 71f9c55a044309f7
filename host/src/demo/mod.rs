//! `flusso-host demo`: a database, a small shop in it, and documents that change as rows do. It leaves nothing behind,
//! whether it ends by itself, by Ctrl-C or by an error.

mod install;
mod programs;
mod server;
mod show;
mod user;

use std::path::PathBuf;
use std::process::Command;

use programs::Programs;
use server::Server;
use show::Show;

/// What the demo needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Install PostgreSQL if it is missing.
    pub install: bool,
    /// The plugin that follows PostgreSQL.
    pub plugin: PathBuf,
    /// Where compiled plugins are kept, if not in the usual place.
    pub cache: Option<PathBuf>,
    /// A server to use instead of a throw-away one; the demo makes a database of its own on it.
    pub database_url: Option<String>,
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// PostgreSQL is not on this machine.
    #[error(
        "PostgreSQL's programs (initdb, postgres, psql) are not on this machine; install them with\n\n    {command}\n\n\
         or let the demo do it: flusso-host demo --install. With DATABASE_URL set it uses that server instead"
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

const SHOP: &str = include_str!("shop.sql");

/// A change to show: what it is, its SQL, and how many documents come of it.
const CHANGES: [(&str, &str, usize); 5] = [
    ("An order comes in", "INSERT INTO orders VALUES (1007, 5, 'new', '2026-04-15 10:00:00+00')", 1),
    ("A customer moves", "UPDATE users SET city = 'Cambridge' WHERE name = 'Tony Hoare'", 1),
    ("A price goes down", "UPDATE products SET price = 69.90 WHERE name = 'Hand grinder'", 1),
    ("An item is taken off an order", "DELETE FROM order_items WHERE order_id = 1005 AND product_id = 4", 1),
    (
        "Three rows in one transaction",
        "BEGIN; INSERT INTO order_items VALUES (1007, 1, 1), (1007, 2, 1); UPDATE orders SET status = 'paid' WHERE id = 1007; COMMIT",
        3,
    ),
];

/// Runs the demo to its end. Blocks; `stop` says whether it was asked to end.
pub fn run(options: &Options, stop: &(dyn Fn() -> bool + Sync)) -> Result<()> {
    let mut show = Show::new();
    show.title("flusso-host demo: documents that follow the rows of a database")?;
    let programs = programs(options, &mut show)?;
    let server = match &options.database_url {
        Some(url) => {
            show.step("A database of its own on the server of DATABASE_URL, dropped at the end")?;
            Server::on(url, &programs)?
        }
        None => {
            show.step(&format!("A throw-away {}, gone at the end", programs.version()))?;
            Server::start(&programs, stop)?
        }
    };
    // From here on everything that was made is unmade when it is dropped, in the reverse order.
    show.step("A small shop in it: users, products, orders, order_items")?;
    server.sql(SHOP)?;
    let rows: usize = ["users", "products", "orders", "order_items"].iter().try_fold(0, |sum, table| {
        let count = server.sql(&format!("SELECT count(*) FROM {table}"))?;
        Ok::<_, DemoError>(sum + count.trim().parse::<usize>().unwrap_or(0))
    })?;

    show.step(&format!("flusso-host --plugin {}", options.plugin.display()))?;
    show.say("no configuration: each table with a primary key becomes an index of its own rows")?;
    let host = show::Host::start(options, server.url(), server.folder())?;
    show.documents(&host.next(rows, stop)?)?;

    show.step("Now rows change, and documents follow")?;
    for (what, sql, documents) in CHANGES {
        show::pause(stop)?;
        show.change(what, sql)?;
        server.sql(sql)?;
        show.documents(&host.next(documents, stop)?)?;
    }
    show::pause(stop)?;

    show.step("The end: the host is stopped, its replication slot dropped, the server thrown away")?;
    host.stop()?;
    host_drop(options, &server)?;
    drop(server);
    show.farewell(&options.plugin)?;
    Ok(())
}

fn programs(options: &Options, show: &mut Show) -> Result<Programs> {
    if let Some(programs) = Programs::find() {
        return Ok(programs);
    }
    let command = install::command().ok_or(DemoError::NoPackageManager)?;
    if !options.install {
        return Err(DemoError::NotInstalled { command: command.text });
    }
    show.step(&format!("PostgreSQL is not here yet: {}", command.text))?;
    install::run(&command)?;
    Programs::find().ok_or(DemoError::NotInstalled { command: command.text })
}

/// What a user would do who does not come back.
fn host_drop(options: &Options, server: &Server) -> Result<()> {
    let mut command = show::host_command(options, server.url(), server.folder())?;
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
