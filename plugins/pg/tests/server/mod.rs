//! A database of its own for a test, on the server that `FLUSSO_TEST_DATABASE_URL` names (a superuser; wal_level=logical).
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "shared by tests, which stop at the first surprise"
)]

pub mod links;
pub mod own;

use flusso_pg::catalog::shape_store::{ShapeStore, StoredShape, StoredShapes};
use flusso_pg::protocol::session::{Mode, Session};
use flusso_pg::replication::source::PgSource;
use flusso_pg::settings::{Connection, Settings};
use flusso_plugin::Source as _;
use flusso_plugin::{Change, Event, PollRequest, Preparation, TableInterest, TableName, Value};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub struct Database {
    pub name: String,
    admin: Connection,
}

impl Database {
    /// `None`, and a line that says so, when there is no server to test against.
    pub fn create(name: &str) -> Option<Self> {
        let Ok(url) = std::env::var("FLUSSO_TEST_DATABASE_URL") else {
            eprintln!("skipped: set FLUSSO_TEST_DATABASE_URL to run it");
            return None;
        };
        let admin = Settings::from_json(serde_json::json!({ "connection_url": url }))
            .expect("FLUSSO_TEST_DATABASE_URL")
            .connection;
        let database = Self { name: format!("flusso_pg_{name}_{}", std::process::id()), admin };
        let mut session = database.admin();
        session.simple(&format!("CREATE DATABASE {}", database.name)).expect("create database");
        Some(database)
    }

    pub fn admin(&self) -> Session {
        Session::open(&self.admin, Mode::Sql).expect("connect")
    }

    pub fn connection(&self) -> Connection {
        Connection { database: self.name.clone(), ..self.admin.clone() }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            connection: self.connection(),
            slot: None,
            publication: "flusso".into(),
            manage_publication: true,
            manage_replica_identity: false,
            look_every: Duration::from_secs(30),
        }
    }

    pub fn session(&self) -> Session {
        let mut session = Session::open(&self.connection(), Mode::Sql).expect("connect");
        session.within(Duration::from_secs(120));
        session
    }

    pub fn slot(&self) -> String {
        format!("flusso_{}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Ok(mut session) = Session::open(&self.admin, Mode::Sql) else { return };
        let _ = session.simple(&format!("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{}' AND active_pid IS NOT NULL", self.name));
        for _ in 0..50 {
            let dropped = session.simple(&format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{}'",
                self.name
            ));
            if dropped.is_ok() && session.simple(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).is_ok()
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What a host remembers of tables from one source to the next.
#[derive(Default, Clone)]
pub struct Kept(Rc<RefCell<StoredShapes>>);

impl ShapeStore for Kept {
    fn load(&mut self) -> flusso_pg::error::Result<StoredShapes> {
        Ok(self.0.borrow().clone())
    }

    fn store(&mut self, changes: Vec<(String, Option<StoredShape>)>) -> flusso_pg::error::Result<()> {
        for (name, remembered) in changes {
            match remembered {
                Some(remembered) => drop(self.0.borrow_mut().insert(name, remembered)),
                None => drop(self.0.borrow_mut().remove(&name)),
            }
        }
        Ok(())
    }
}

pub fn interest(table: &str, key: &[&str]) -> TableInterest {
    TableInterest {
        table: TableName { schema: "public".into(), name: table.into() },
        key: key.iter().map(ToString::to_string).collect(),
        links: Vec::new(),
        reads: None,
        wants_changed: false,
        extra: None,
    }
}

/// A source that is ready, and where it begins.
pub fn ready(
    database: &Database,
    interest: Vec<TableInterest>,
    resume: Option<&[u8]>,
) -> (PgSource, flusso_plugin::Prepared) {
    let mut source = PgSource::start(database.settings(), interest).expect("open");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match source.prepare(resume.map(<[u8]>::to_vec)).expect("prepare") {
            Preparation::Ready(prepared) => return (source, prepared),
            Preparation::Pending(reason) => assert!(Instant::now() < until, "{reason}"),
        }
    }
}

pub fn ask(max: u32, wait_ms: u32, confirmed: Option<Vec<u8>>) -> PollRequest {
    PollRequest { confirmed, max, max_bytes: 1 << 20, wait_ms, extra: None }
}

/// Everything up to a position at or past what is committed now.
pub fn drain(source: &mut PgSource) -> Vec<Event> {
    let head = flusso_pg::replication::position::LogPosition::from_bytes(&source.head().expect("head")).expect("head");
    let mut all = Vec::new();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < until, "the head was not reached");
        all.extend(source.poll(ask(1000, 100, None)).expect("poll"));
        if let Some(Event::Checkpoint(checkpoint)) = all.last() {
            let place =
                flusso_pg::replication::position::LogPosition::from_bytes(&checkpoint.position).expect("position");
            if place.lsn >= head.lsn {
                return all;
            }
        }
    }
}

pub fn changes(events: Vec<Event>) -> Vec<Change> {
    events.into_iter().filter_map(|event| if let Event::Change(change) = event { Some(change) } else { None }).collect()
}

pub fn integers(key: &[Value]) -> Vec<i64> {
    key.iter().map(|value| if let Value::Integer(number) = value { *number } else { panic!("{value:?}") }).collect()
}
