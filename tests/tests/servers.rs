//! What a server of its own can do that the shared one must not: crash, come back from a backup, change its timeline, throw
//! away what a slot needs, listen elsewhere.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use flusso_tests::{Host, Server, Session};

const ONCE: [&str; 3] = ["--plugin", "pg.wasm", "--once"];

fn start(folder: &Path, settings: &[&str]) -> (Server, Host) {
    let server = Server::start(folder, &[&["wal_level=logical"], settings].concat());
    sql(&server, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    let host = Host::on(&server.url("postgres"));
    (server, host)
}

fn sql(server: &Server, sql: &str) -> Vec<Vec<Option<String>>> {
    Session::open(server.port(), "postgres").and_then(|mut session| session.rows(sql)).unwrap()
}

/// Copies a folder with owners and times, in the place of what was there.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn a_database_that_crashed_is_followed_again_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, host) = start(folder.path(), &[]);
    let running = host.start(&["--plugin", "pg.wasm"]);
    running.wait_for_line(|line| line.contains(r#""id":"2""#));
    sql(&server, "INSERT INTO t VALUES (3)");
    running.wait_for_line(|line| line.contains(r#""id":"3""#));
    server.crash();
    running.wait_for_log("trying again");
    server.resume();
    sql(&server, "INSERT INTO t VALUES (4)");
    running.wait_for_line(|line| line.contains(r#""id":"4""#));
    running.signal("TERM");
    let ended = running.wait().succeeded();
    let seeded = ended.lines.iter().filter(|line| line.contains(r#""id":"1""#)).count();
    assert_eq!(seeded, 1, "nothing is seeded again: {:#?}", ended.lines);
}

#[test]
fn a_database_restored_from_a_backup_is_another_history() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, host) = start(folder.path(), &[]);
    assert_eq!(host.documents(&ONCE).len(), 2);
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    server.crash();
    copy(&data, &backup);
    server.resume();
    sql(&server, "INSERT INTO t VALUES (3)");
    assert_eq!(host.documents(&ONCE).len(), 1);
    server.crash();
    copy(&backup, &data);
    server.resume();
    // The same slot in the same server, but what was seen of it is no more.
    sql(&server, "INSERT INTO t VALUES (4)");
    host.run(&ONCE).refused(6, &["history", "--reseed"]);
    let again = host.documents(&[&ONCE[..], &["--reseed"]].concat());
    assert_eq!(again.first().map(|line| line.op.as_str()), Some("clear"), "{again:?}");
    let there: BTreeSet<_> = again.iter().map(|line| line.id.as_str()).filter(|id| !id.is_empty()).collect();
    assert_eq!(there, BTreeSet::from(["1", "2", "4"]), "{again:?}");
}

#[test]
fn a_new_timeline_is_the_same_history_while_nothing_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, host) = start(folder.path(), &["restore_command=false"]);
    assert_eq!(host.documents(&ONCE).len(), 2);
    server.crash();
    // Recovery to the end of its own log and a promotion: what a failover does, with the slot still there.
    let signal = folder.path().join("data/recovery.signal");
    std::fs::write(&signal, "").unwrap();
    server.resume();
    while sql(&server, "SELECT pg_is_in_recovery()") == [[Some("t".to_owned())]] {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    sql(&server, "INSERT INTO t VALUES (3)");
    assert_eq!(sql(&server, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 8, 1)"), [[Some("2".to_owned())]]);
    let lines: Vec<_> = host.documents(&ONCE).into_iter().map(|line| (line.op, line.id)).collect();
    assert_eq!(lines, [("upsert".to_owned(), "3".to_owned())]);
}

#[test]
fn a_slot_whose_log_was_thrown_away_is_a_lost_history() {
    let folder = tempfile::tempdir().unwrap();
    let (server, host) =
        start(folder.path(), &["max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB"]);
    assert_eq!(host.documents(&ONCE).len(), 2);
    for _ in 0..6 {
        sql(&server, "CREATE TABLE IF NOT EXISTS other (id int)");
        sql(&server, "INSERT INTO other SELECT generate_series(1, 1000)");
        sql(&server, "SELECT pg_switch_wal()");
    }
    sql(&server, "CHECKPOINT");
    assert_eq!(sql(&server, "SELECT wal_status FROM pg_replication_slots"), [[Some("lost".to_owned())]]);
    host.run(&ONCE).refused(6, &["history", "max_slot_wal_keep_size", "--reseed"]);
    assert_eq!(host.documents(&[&ONCE[..], &["--reseed"]].concat()).len(), 3);
}

#[test]
fn another_server_behind_the_address_is_another_history() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, host) = start(one.path(), &[]);
    // The state stands beside the file, whatever the address is.
    host.file("flusso.toml", "[source]\nplugin = \"pg\"\nconnection_url = { env = \"DATABASE_URL\" }\n");
    assert_eq!(host.documents(&["--once"]).len(), 2);
    drop(first);
    let (second, _) = start(two.path(), &[]);
    let host = host.with("DATABASE_URL", &second.url("postgres"));
    host.run(&["--once"]).refused(6, &["history", "--reseed"]);
    assert_eq!(
        sql(&second, "SELECT count(*) FROM pg_replication_slots"),
        [[Some("0".to_owned())]],
        "nothing is created before it is decided"
    );
}

#[test]
fn an_address_of_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, host) = start(folder.path(), &["listen_addresses=127.0.0.1,::1"]);
    let host = host.with("DATABASE_URL", &format!("postgres://postgres@[::1]:{}/postgres", server.port()));
    assert_eq!(host.documents(&ONCE).len(), 2);
}
