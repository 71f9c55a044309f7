//! A server whose `wal_level` is not logical. It cannot be changed while a server runs, so this test has one of its own.

use flusso_tests::{Host, Server};

#[test]
fn the_setting_and_the_restart_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["wal_level=replica"]);
    let place = folder.path().display().to_string().replace('/', "%2F");
    let host = Host::on(&format!("postgres://postgres@{place}:{}/postgres", server.port()));
    host.run(&["--plugin", "pg.wasm", "--once", "--timeout", "2s"])
        .refused(2, &["wal_level", "logical", "ALTER SYSTEM SET wal_level", "restart"]);
}
