//! How it ends.

use std::time::Duration;

use flusso_tests::{Host, Postgres};

#[test]
fn sigterm_drains_confirms_and_exits_with_zero() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY, s text)");
    let host = Host::on(&database.url());
    let running = host.start(&["--plugin", "pg.wasm"]);
    running.wait_for_log("ready");
    let writer =
        database.sql_in_background("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g");
    running.wait_for_line(|_| true);
    running.signal("TERM");
    let first = running.wait_within(Duration::from_secs(30)).succeeded();
    writer.join().unwrap();
    for words in ["stopping", &format!("flusso_{}", database.name()), "flusso-host drop"] {
        assert!(first.log.contains(words), "{words:?} is missing in {}", first.log);
    }
    // What was drained was confirmed, unless it was a part of the transaction only; nothing is missing in the end.
    let second = host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
    let mut ids: Vec<_> = first.documents().into_iter().chain(second.documents()).map(|line| line.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20_000);
    // And what is confirmed does not come again.
    assert_eq!(host.documents(&["--plugin", "pg.wasm", "--once"]), []);
}

#[test]
fn sigint_on_an_idle_host_ends_it_at_once() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let running = Host::on(&database.url()).start(&["--plugin", "pg.wasm"]);
    running.wait_for_log("ready");
    running.signal("INT");
    running.wait_within(Duration::from_secs(5)).succeeded();
    // The orderly end lets go of the slot.
    let active =
        database.sql("SELECT count(*) FROM pg_replication_slots WHERE active AND database = current_database()");
    assert_eq!(active.trim(), "0");
}

#[test]
fn a_signal_while_the_server_is_away_ends_it_too() {
    let host = Host::on("postgres://postgres@127.0.0.1:1/none");
    let running = host.start(&["--plugin", "pg.wasm"]);
    running.wait_for_log("trying again");
    running.signal("TERM");
    running.wait_within(Duration::from_secs(10)).succeeded();
}
