//! The database of the demo: on a throw-away server in a temporary folder, reached by a unix socket that only this user can
//! open, or on a server that is there already.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::programs::Programs;
use super::user::User;
use super::{DemoError, Result, Stop, checked};

/// A database with everything it stands on. Unmade when dropped.
#[derive(Debug)]
pub(super) struct Server {
    psql: PathBuf,
    url: String,
    folder: Folder,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Its own server.
    Own(Child),
    /// A database of its own on the server of this URL.
    Borrowed { server: String, database: String },
}

impl Server {
    /// Starts a server.
    pub(super) fn start(programs: &Programs, stop: Stop<'_>) -> Result<Self> {
        let user = User::for_server();
        let folder = Folder::make(user)?;
        let data = folder.0.join("data");
        let mut initdb = Command::new(programs.path("initdb"));
        initdb.arg("--pgdata").arg(&data).args([
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "--auth=trust",
            "--no-sync",
        ]);
        prepare(&mut initdb, user, &folder.0);
        checked("initdb", &mut initdb)?;

        let mut postgres = Command::new(programs.path("postgres"));
        postgres.arg("-D").arg(&data).args(["-p", "5432", "-c", "listen_addresses="]);
        postgres.arg("-c").arg(format!("unix_socket_directories={}", folder.0.display()));
        for setting in
            ["wal_level=logical", "fsync=off", "max_connections=30", "shared_buffers=32MB", "log_min_messages=fatal"]
        {
            postgres.args(["-c", setting]);
        }
        prepare(&mut postgres, user, &folder.0);
        let log = std::fs::File::create(folder.0.join("server.log"))?;
        // A group of its own: Ctrl-C is for the demo, which then stops everything in order.
        let child = postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn();
        let child =
            child.map_err(|error| DemoError::Program { what: "postgres".to_owned(), why: error.to_string() })?;
        let place = folder.0.display().to_string().replace('%', "%25").replace('/', "%2F");
        let mut server = Self {
            psql: programs.path("psql"),
            url: format!("postgres://postgres@{place}:5432/postgres"),
            folder,
            kind: Kind::Own(child),
        };
        server.wait(stop)?;
        server.sql("CREATE DATABASE shop")?;
        server.url = format!("postgres://postgres@{place}:5432/shop");
        Ok(server)
    }

    /// Makes a database on the server of this URL.
    pub(super) fn on(url: &str, programs: &Programs) -> Result<Self> {
        let database = format!("flusso_demo_{}", std::process::id());
        let (base, parameters) =
            url.split_once('?').map_or((url, String::new()), |(base, rest)| (base, format!("?{rest}")));
        let scheme = base.find("://").map_or(0, |at| at + 3);
        let path = base.get(scheme..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| scheme + at);
        let own = format!("{}/{database}{parameters}", base.get(..path).unwrap_or(base));
        let mut server = Self {
            psql: programs.path("psql"),
            url: url.to_owned(),
            folder: Folder::make(None)?,
            kind: Kind::Borrowed { server: url.to_owned(), database: database.clone() },
        };
        server.sql(&format!("CREATE DATABASE {database}"))?;
        server.url = own;
        Ok(server)
    }

    fn wait(&mut self, stop: Stop<'_>) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let why = match self.sql("SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) => error.to_string(),
            };
            if stop() {
                return Err(DemoError::Stopped);
            }
            let died = match &mut self.kind {
                Kind::Own(child) => !matches!(child.try_wait(), Ok(None)),
                Kind::Borrowed { .. } => false,
            };
            if died || Instant::now() > end {
                let log = std::fs::read_to_string(self.folder.0.join("server.log")).unwrap_or_default();
                return Err(DemoError::Program {
                    what: "the start of postgres".to_owned(),
                    why: format!("{why}\n{log}"),
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs statements, each its own transaction, and returns what they print.
    pub(super) fn sql(&self, sql: &str) -> Result<String> {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url]);
        // One `-c` a statement, so that each is a transaction of its own unless it says BEGIN.
        for statement in sql.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            command.args(["-c", statement]);
        }
        checked("psql", &mut command)
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A folder that goes away with it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Own(child) => {
                // A fast shutdown; if it does not come to an end, the hard one.
                let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
                let end = Instant::now() + Duration::from_secs(10);
                while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(20));
                }
                let _ = child.kill();
                let _ = child.wait();
            }
            Kind::Borrowed { server, database } => {
                self.url.clone_from(server);
                // The walsender of a host that was killed lets go of its slot a moment after it is told to.
                let free = format!(
                    "DO $$ BEGIN FOR i IN 1..50 LOOP \
                     PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{database}' AND active; \
                     EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE database = '{database}' AND active); \
                     PERFORM pg_sleep(0.1); END LOOP; END $$"
                );
                let slots = format!(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{database}'"
                );
                let database = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
                for statement in [free, slots, database] {
                    if let Err(error) = self.sql(&statement) {
                        tracing::warn!("the demo could not clean up ({statement}): {error}");
                    }
                }
            }
        }
    }
}

fn prepare(command: &mut Command, user: Option<User>, folder: &Path) {
    // PostgreSQL's programs complain about a working folder that their user cannot read.
    command.current_dir(folder);
    if let Some(user) = user {
        user.runs(command);
    }
}
