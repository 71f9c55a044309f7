//! A server whose `wal_level` is not logical. It cannot be changed while a server runs, so this test has one of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flusso_tests::{Host, given};

struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// PostgreSQL refuses to run as root, so root becomes somebody else.
fn unprivileged(program: PathBuf) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let user = if Command::new("id").arg("postgres").output().is_ok_and(|output| output.status.success()) {
        "postgres"
    } else {
        "nobody"
    };
    let group = Command::new("id").args(["-g", user]).output().unwrap();
    let group = String::from_utf8(group.stdout).unwrap();
    command.args(["--reuid", user, "--regid", group.trim(), "--clear-groups", "--"]).arg(program);
    command
}

impl Server {
    fn start() -> Self {
        let programs = PathBuf::from(given("FLUSSO_TEST_PG_BIN"));
        let folder = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let data = folder.path().join("data");
        let made = unprivileged(programs.join("initdb"))
            .arg("--pgdata")
            .arg(&data)
            .args(["--username=postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let child = unprivileged(programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-c", "wal_level=replica", "-c", "fsync=off", "-c", "listen_addresses=", "-p", "5432", "-c"])
            .arg(format!("unix_socket_directories={}", folder.path().display()))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, folder };
        let end = Instant::now() + Duration::from_secs(30);
        while !Command::new(programs.join("pg_isready"))
            .args(["-q", "-h"])
            .arg(server.folder.path())
            .status()
            .unwrap()
            .success()
        {
            assert!(Instant::now() < end, "the server did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

#[test]
fn the_setting_and_the_restart_are_named() {
    let server = Server::start();
    let place = server.folder.path().display().to_string().replace('/', "%2F");
    let host = Host::on(&format!("postgres://postgres@{place}:5432/postgres"));
    host.run(&["--plugin", "pg.wasm", "--once", "--timeout", "2s"])
        .refused(2, &["wal_level", "logical", "ALTER SYSTEM SET wal_level", "restart"]);
}
