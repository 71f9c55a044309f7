//! The shop, and both programs over it: `users` documents three joins deep, and an `orders` index beside them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flusso_tests::{Ancestor, Host, Postgres, given};

use crate::tail::Tail;
use crate::timed::{resident, say, seconds, timed};

/// The database, and the folders of both.
pub(crate) struct Shop {
    pub(crate) database: Postgres,
    pub(crate) users: usize,
    pub(crate) host: Host,
}

/// A program that follows the shop.
pub(crate) enum Running {
    Ours(Child),
    Theirs(Ancestor),
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Ours,
    Theirs,
    /// Ours as it was: another build of this program, with its own plugins.
    Before,
}

const USERS: &str = "[[index]]\nname = \"users\"\nschema = \"users.schema.yml\"\nenabled = true\n";
const ORDERS: &str = "[[index]]\nname = \"orders\"\nschema = \"orders.schema.yml\"\nenabled = true\n";

impl Shop {
    /// Fills it.
    pub(crate) fn open(users: usize) -> Self {
        let tables = include_str!("../../../shop/tables.sql").replace("{users}", &users.to_string());
        let database = Postgres::with(&format!("{tables}\nVACUUM ANALYZE; CHECKPOINT;"));
        let host = Host::on(&database.url());
        let state = host.folder().join("state").display().to_string();
        let host = host.with("FLUSSO_STATE_DIR", &state);
        host.file("users.schema.yml", include_str!("../../../shop/users.schema.yml"));
        host.file("orders.schema.yml", include_str!("../../../shop/orders.schema.yml"));
        Self { database, users, host }
    }

    /// With or without the index beside.
    pub(crate) fn indexes(&self, orders: bool) {
        let beside = if orders { ORDERS } else { "" };
        self.host.file(
            "flusso.toml",
            &format!("[source]\ntype = \"postgres\"\n[sinks.out]\ntype = \"stdout\"\n{USERS}{beside}"),
        );
    }

    pub(crate) fn out(&self, which: Which) -> PathBuf {
        self.host.folder().join(match which {
            Which::Ours => "ours",
            Which::Theirs => "theirs",
            Which::Before => "before",
        })
    }

    /// What would start ours, or the build before it.
    pub(crate) fn command(&self, which: Which, words: &[&str]) -> Command {
        let mut command = self.host.command(words);
        if which == Which::Before {
            let mut before = Command::new(given("FLUSSO_TEST_BEFORE"));
            before.args(words).env_clear().current_dir(self.host.folder());
            before.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            before.env("FLUSSO_PLUGIN_DIR", given("FLUSSO_TEST_BEFORE_PLUGINS"));
            command = before;
        }
        command.env("FLUSSO_LOG_LEVEL", std::env::var("FLUSSO_MEASURE_LOG").unwrap_or_else(|_| "error".to_owned()));
        let managed = std::env::var("FLUSSO_MEASURE_IDENTITY").is_ok_and(|identity| identity == "full");
        command.args(["--plugin", if managed { "pg.wasm,manage_replica_identity=true" } else { "pg.wasm" }]);
        command
    }

    /// The server's own way: one psql, the same documents as JSON.
    pub(crate) fn copy(&self) -> Duration {
        let psql = PathBuf::from(given("FLUSSO_TEST_PG_BIN")).join("psql");
        let sql = format!("COPY ({}) TO STDOUT", include_str!("../../../shop/users.sql").trim());
        let mut command = Command::new(psql);
        command.args(["-X", "-d", &self.database.url(), "-c", &sql]);
        timed(&mut command, &self.host.folder().join("copied")).0
    }

    /// Seeds once, from starting the program to its last document, and the most memory it had.
    pub(crate) fn seed(&self, which: Which) -> (Duration, u64) {
        let out = self.out(which);
        let measured = match which {
            Which::Ours | Which::Before => timed(&mut self.command(which, &["--once"]), &out),
            Which::Theirs => {
                let started = Instant::now();
                let mut ancestor = Ancestor::start(self.host.folder(), &self.database.url(), &out);
                ancestor.wait_until_seeded();
                let took = started.elapsed();
                let peak = resident(ancestor.id()).0;
                ancestor.stop();
                (took, peak)
            }
        };
        self.forget();
        measured
    }

    /// Compiles the plugin, once a machine, and says what that takes.
    pub(crate) fn warm(&self) {
        self.indexes(false);
        let (took, peak) = self.seed(Which::Ours);
        let text = format!("{peak} MiB (in {})", seconds(took));
        say("peak resident memory of the very first run", &text, "below 200 MiB; compiles the plugin");
    }

    /// Follows changes and seeds nothing.
    pub(crate) fn follow(&self, which: Which) -> (Running, Tail) {
        let out = self.out(which);
        let running = match which {
            Which::Ours | Which::Before => {
                let file = File::create(&out).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
                let mut command = self.command(which, &["--skip-backfill"]);
                let child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::inherit()).spawn();
                Running::Ours(child.unwrap_or_else(|error| panic!("the host does not start: {error}")))
            }
            Which::Theirs => Running::Theirs(Ancestor::follow(self.host.folder(), &self.database.url(), &out)),
        };
        let mut tail = Tail::of(&out);
        // It follows when it shows a change that was made while it ran.
        let end = Instant::now() + Duration::from_secs(60);
        while self.database.slots() == 0 {
            assert!(Instant::now() < end, "nobody made a slot");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(500));
        self.barrier(&mut tail);
        (running, tail)
    }

    /// A change that is the last there is, and the time until its line is there.
    pub(crate) fn barrier(&self, tail: &mut Tail) -> Duration {
        let word = format!("barrier {:?}", Instant::now());
        let word: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
        tail.forget();
        let started = Instant::now();
        self.database.sql(&format!("UPDATE users SET name = '{word}' WHERE id = {}", self.users));
        tail.wait_for(&word, 1);
        started.elapsed()
    }

    /// Ends it, and removes what it leaves at the server.
    pub(crate) fn end(&self, running: Running) {
        match running {
            Running::Ours(mut child) => {
                let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
                let _ = child.wait();
            }
            Running::Theirs(ancestor) => ancestor.stop(),
        }
        self.forget();
    }

    fn forget(&self) {
        let mut drop = self.host.command(&["drop", "--plugin", "pg.wasm"]);
        let _ = drop.env("FLUSSO_LOG_LEVEL", "error").stdout(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(self.host.folder().join("state"));
        self.database.sql(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database();
             DROP PUBLICATION IF EXISTS flusso;
             DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relreplident = 'f' AND relnamespace = 'public'::regnamespace LOOP
                 EXECUTE format('ALTER TABLE %I REPLICA IDENTITY DEFAULT', t); END LOOP; END $$;
             CHECKPOINT",
        );
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Ours(child) => child.id(),
            Self::Theirs(ancestor) => ancestor.id(),
        }
    }
}

/// The lines of a file of documents, by index and id.
pub(crate) fn count(path: &Path) -> usize {
    std::fs::read(path).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}
