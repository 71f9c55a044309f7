//! A database of a test's own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::given;

/// A database. Dropped with everything that hangs on it: connections, slots, roles.
#[derive(Debug)]
pub struct Postgres {
    server: String,
    name: String,
    roles: Vec<String>,
}

impl Postgres {
    /// Makes a database.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = given("FLUSSO_TEST_DATABASE_URL");
        let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = Self { server, name, roles: Vec::new() };
        made.on_server(&format!("CREATE DATABASE {}", made.name));
        made
    }

    /// Makes a database and runs some statements in it.
    pub fn with(sql: &str) -> Self {
        let made = Self::new();
        made.sql(sql);
        made
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A URL for the superuser.
    pub fn url(&self) -> String {
        let base = self.server.rsplit_once('/').map_or(self.server.as_str(), |(base, _)| base);
        format!("{base}/{}", self.name)
    }

    /// A URL for somebody else over TCP, everything percent-encoded by the caller.
    pub fn url_as(&self, user: &str, password: &str, rest: &str) -> String {
        format!("postgres://{user}:{password}@{}/{}{rest}", self.address(), self.name)
    }

    /// `HOST:PORT` of the server.
    pub fn address(&self) -> String {
        let start = self.server.find('@').map_or(0, |at| at + 1);
        let rest = self.server.get(start..).unwrap_or_default();
        rest.split('/').next().unwrap_or_default().to_owned()
    }

    /// The server's port.
    pub fn port(&self) -> String {
        self.address().rsplit(':').next().unwrap_or_default().to_owned()
    }

    /// Makes a role that is dropped with the database. `what` goes behind `CREATE ROLE name`.
    pub fn role(&mut self, what: &str) -> String {
        let name = format!("r_{}_{}", self.name, self.roles.len());
        self.sql(&format!("CREATE ROLE {name} {what}"));
        self.roles.push(name.clone());
        name
    }

    /// Runs statements, each its own transaction, and returns what they print: rows on lines, columns split by `|`.
    ///
    /// # Panics
    /// When one fails.
    pub fn sql(&self, sql: &str) -> String {
        run(&self.url(), sql)
    }

    /// Starts to run statements and does not wait for them.
    pub fn sql_in_background(&self, sql: &str) -> std::thread::JoinHandle<()> {
        let (url, sql) = (self.url(), sql.to_owned());
        std::thread::spawn(move || {
            run(&url, &sql);
        })
    }

    /// How many slots of this database there are.
    pub fn slots(&self) -> usize {
        let count = self.sql(&format!("SELECT count(*) FROM pg_replication_slots WHERE database = '{}'", self.name));
        count.trim().parse().unwrap_or(usize::MAX)
    }

    /// How many publications there are.
    pub fn publications(&self) -> usize {
        self.sql("SELECT count(*) FROM pg_publication").trim().parse().unwrap_or(usize::MAX)
    }

    fn on_server(&self, sql: &str) -> String {
        run(&self.server, sql)
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let name = &self.name;
        let roles: String =
            self.roles.iter().map(|role| format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role};")).collect();
        // The walsender of a host that was killed lets go of its slot a moment after it is told to.
        let slots = format!(
            "DO $$ BEGIN FOR i IN 1..100 LOOP
                 PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{name}' AND active;
                 EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE database = '{name}' AND active);
                 PERFORM pg_sleep(0.05);
             END LOOP; END $$;
             SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{name}';"
        );
        // A test that is failing already must say so itself, so nothing here panics.
        let _ = try_run(&self.server, &slots);
        let _ = try_run(&self.url(), &roles);
        let _ = try_run(&self.server, &format!("DROP DATABASE {name} WITH (FORCE)"));
    }
}

fn run(url: &str, sql: &str) -> String {
    try_run(url, sql).unwrap_or_else(|message| panic!("{message}\nin {}", sql.chars().take(400).collect::<String>()))
}

fn try_run(url: &str, sql: &str) -> Result<String, String> {
    let psql = PathBuf::from(given("FLUSSO_TEST_PG_BIN")).join("psql");
    let mut child = Command::new(psql)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("psql does not start: {error}"))?;
    let mut input = child.stdin.take().ok_or("psql has no input")?;
    let text = sql.to_owned();
    let writer = std::thread::spawn(move || {
        let _ = input.write_all(text.as_bytes());
        let _ = input.write_all(b"\n");
    });
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let _ = writer.join();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("psql failed: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
