//! A PostgreSQL of a test's own, for what cannot be done to the one that all tests share.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::given;

/// How long it may take to start; after a crash it reads its log first.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server on `127.0.0.1` and on a unix socket in its folder, where the user `postgres` needs no password. Stopped when
/// dropped.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Makes a cluster in a folder that exists, and starts it with these settings (`wal_level=logical`).
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(folder: &Path, settings: &[&str]) -> Self {
        let open = std::fs::set_permissions(folder, PermissionsExt::from_mode(0o777));
        assert!(open.is_ok(), "{}: {open:?}", folder.display());
        let made = unprivileged("initdb", folder)
            .arg("--pgdata")
            .arg(folder.join("data"))
            .args(["--username=postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"])
            .output()
            .unwrap_or_else(|error| panic!("initdb: {error}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.unwrap_or_else(|error| panic!("no free port: {error}")).port();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { folder: folder.to_path_buf(), port, settings, child: None };
        server.resume();
        server
    }

    /// Its port, of both.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A URL over TCP.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Ends it as a crash would: nothing is written out any more.
    pub fn crash(&mut self) {
        self.end("QUIT");
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("server.log"));
        let log = log.unwrap_or_else(|error| panic!("the server's log: {error}"));
        let mut command = unprivileged("postgres", &self.folder);
        command.arg("-D").arg(self.folder.join("data")).args(["-p", &self.port.to_string()]);
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.display()));
        for setting in
            ["listen_addresses=127.0.0.1", "fsync=off"].into_iter().chain(self.settings.iter().map(String::as_str))
        {
            command.args(["-c", setting]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("postgres: {error}")));
        let end = Instant::now() + PATIENCE;
        while !Command::new(program("pg_isready"))
            .args(["-q", "-h"])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string()])
            .status()
            .is_ok_and(|status| status.success())
        {
            assert!(Instant::now() < end, "the server in {} does not start; see its log", self.folder.display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("INT");
    }
}

fn program(name: &str) -> PathBuf {
    PathBuf::from(given("FLUSSO_TEST_PG_BIN")).join(name)
}

/// PostgreSQL refuses to run as root, so root becomes somebody else.
fn unprivileged(name: &str, folder: &Path) -> Command {
    let said = |words: &[&str]| {
        let output = Command::new("id").args(words).output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut command = if said(&["-u"]).as_deref() == Some("0") {
        let user = if said(&["postgres"]).is_some() { "postgres" } else { "nobody" };
        let group = said(&["-g", user]).unwrap_or_default();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", &group, "--clear-groups", "--"]).arg(program(name));
        command
    } else {
        Command::new(program(name))
    };
    command.current_dir(folder);
    command
}
