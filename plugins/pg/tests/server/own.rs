//! A server of a test's own, for what cannot be done to the one that all tests share.

use flusso_pg::settings::Settings;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server of a test's own, stopped and removed when it is dropped.
pub struct Server {
    bin: PathBuf,
    pub home: PathBuf,
    pub port: u16,
}

impl Server {
    pub fn start() -> Option<Self> {
        let Some(bin) = newest_binaries() else {
            eprintln!("skipped: no PostgreSQL binaries under /usr/lib/postgresql");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let home = std::env::temp_dir().join(format!("flusso-pg-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&home));
        }
        let server = Self { bin, home, port };
        run(server
            .tool("initdb")
            .args(["-U", "postgres", "--auth=trust", "--no-sync", "-D"])
            .arg(server.home.join("data")));
        let hba = "local all postgres trust\nlocal all all scram-sha-256\nhost all md5er all md5\nhost all clear all password\nhost all scrammer all scram-sha-256\nhost all all all trust\n";
        std::fs::write(server.home.join("data/pg_hba.conf"), hba).unwrap();
        server.control("start", "logical");
        Some(server)
    }

    fn tool(&self, name: &str) -> Command {
        if !is_root() {
            return Command::new(self.bin.join(name));
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(self.bin.join(name)).current_dir("/");
        command
    }

    pub fn control(&self, what: &str, wal_level: &str) {
        let options = format!(
            "-c port={} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c wal_level={wal_level} -c fsync=off -c max_replication_slots=1",
            self.port,
            self.home.display()
        );
        run(self
            .tool("pg_ctl")
            .arg("-D")
            .arg(self.home.join("data"))
            .args(["-w", "-m", "fast", "-l"])
            .arg(self.home.join("log"))
            .args(["-o", &options, what]));
    }

    pub fn settings(&self, login: &str) -> Settings {
        settings(&format!("postgres://{login}@127.0.0.1:{}/postgres", self.port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ =
            self.tool("pg_ctl").arg("-D").arg(self.home.join("data")).args(["-w", "-m", "immediate", "stop"]).output();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn newest_binaries() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("FLUSSO_TEST_PG_BIN") {
        return Some(named.into());
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self").metadata().is_ok_and(|me| me.uid() == 0)
}

fn run(command: &mut Command) {
    // Not captured: pg_ctl's server would keep the pipe open.
    let status = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

/// Settings that name a database.
pub fn settings(url: &str) -> Settings {
    Settings::from_json(serde_json::json!({ "connection_url": url })).unwrap()
}
