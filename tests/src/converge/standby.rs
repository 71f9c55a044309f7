//! A standby that the database waits for, and that is slow. A commit is in the log, and so in the host's stream, long before
//! it is confirmed; until then no other session sees it. What takes microseconds on a single server takes tens of
//! milliseconds here, so whoever reads too early is seen to.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Server, Session, given};

/// How long it stands still, and how long it works.
const STILL: Duration = Duration::from_millis(25);
const WORKING: Duration = Duration::from_millis(10);

/// The standby. The database waits for it while it lives.
pub(super) struct Standby {
    child: Child,
    over: Arc<AtomicBool>,
    ticking: Option<JoinHandle<()>>,
    port: u16,
}

impl Standby {
    /// Starts it, and makes the database wait for it from here on.
    pub(super) fn start(folder: &Path, server: &Server) -> io::Result<Self> {
        let log = folder.join("standby");
        std::fs::create_dir(&log)?;
        let port = server.port();
        let child = Command::new(PathBuf::from(given("FLUSSO_TEST_PG_BIN")).join("pg_receivewal"))
            .args(["--synchronous", "--directory"])
            .arg(log)
            .args(["--dbname", &format!("host=127.0.0.1 port={port} user=postgres application_name=standby")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let over = Arc::new(AtomicBool::new(false));
        let mut standby = Self { child, over, ticking: None, port };
        let mut session = Session::open(port, "postgres")?;
        while session
            .rows("SELECT FROM pg_stat_replication WHERE application_name = 'standby' AND state = 'streaming'")?
            .is_empty()
        {
            if let Some(status) = standby.child.try_wait()? {
                return Err(io::Error::other(format!("pg_receivewal ended: {status}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        session.rows("ALTER SYSTEM SET synchronous_standby_names = 'standby'")?;
        session.rows("SELECT pg_reload_conf()")?;
        let (id, over) = (standby.child.id().to_string(), Arc::clone(&standby.over));
        standby.ticking = Some(std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                signal("STOP", &id);
                std::thread::sleep(STILL);
                signal("CONT", &id);
                std::thread::sleep(WORKING);
            }
        }));
        Ok(standby)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(ticking) = self.ticking.take() {
            let _ = ticking.join();
        }
        // Nobody waits for it any more.
        let _ = Session::open(self.port, "postgres").and_then(|mut session| {
            session.rows("ALTER SYSTEM RESET synchronous_standby_names")?;
            session.rows("SELECT pg_reload_conf()")
        });
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(name: &str, id: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), id]).status();
}
