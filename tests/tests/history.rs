//! What happens when the database no longer has what the host left off with.

use flusso_tests::{Host, Line, Postgres};

const ITEMS: &str = "
    CREATE TABLE items (id int PRIMARY KEY, name text);
    INSERT INTO items VALUES (1, 'one'), (2, 'two');";

fn slot(database: &Postgres) -> String {
    format!("flusso_{}", database.name())
}

/// Drops the slot, as an operator in need of disk does: whoever uses it is thrown out first.
fn drop_slot(database: &Postgres) {
    let slot = slot(database);
    database.sql(&format!(
        "DO $$ BEGIN
            FOR attempt IN 1..200 LOOP
                PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}' AND active;
                BEGIN
                    PERFORM pg_drop_replication_slot('{slot}');
                    RETURN;
                EXCEPTION WHEN object_in_use THEN
                    PERFORM pg_sleep(0.01);
                END;
            END LOOP;
            RAISE 'the slot stays in use';
        END $$"
    ));
}

fn clears(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.contains(r#""op":"clear""#)).count()
}

#[test]
fn a_dropped_slot_stops_the_run_and_nothing_is_created() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    assert_eq!(host.documents(&["--plugin", "pg.wasm", "--once"]).len(), 2);
    drop_slot(&database);
    let refused = host.run(&["--plugin", "pg.wasm", "--once"]);
    refused.refused(6, &["history", "--reseed", "on_history_loss"]);
    assert_eq!(database.slots(), 0);
}

#[test]
fn a_dropped_slot_is_replaced_and_everything_seeded_again_where_the_operator_said_so() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    host.file(
        "flusso.toml",
        "on_history_loss = \"reseed\"\n[source]\nplugin = \"pg\"\nconnection_url = { env = \"DATABASE_URL\" }\n",
    );
    assert_eq!(host.documents(&["--once"]).len(), 2);
    drop_slot(&database);
    database.sql("DELETE FROM items WHERE id = 1; INSERT INTO items VALUES (3, 'three')");
    let again = host.run(&["--once"]).succeeded();
    assert!(again.log.contains("the history of the source is lost"), "{}", again.log);
    let ids: Vec<_> = again.documents().into_iter().map(|line| (line.op, line.id)).collect();
    let wanted = [("clear", ""), ("upsert", "2"), ("upsert", "3")];
    assert_eq!(ids, wanted.map(|(op, id)| (op.to_owned(), id.to_owned())));
    // The flag wins over the file.
    drop_slot(&database);
    host.run(&["--once", "--on-history-loss", "stop"]).refused(6, &["history"]);
}

#[test]
fn a_slot_dropped_under_a_running_host_is_replaced_without_a_new_start() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    let running = host.start(&["--plugin", "pg.wasm", "--on-history-loss", "reseed"]);
    running.wait_for_line(|line| line.contains(r#""id":"2""#));
    drop_slot(&database);
    database.sql("INSERT INTO items VALUES (3, 'three')");
    running.wait_for_line(|line| line.contains(r#""id":"3""#));
    assert_eq!(clears(&running.lines()), 1, "{:#?}", running.lines());
    // The new slot is followed.
    database.sql("INSERT INTO items VALUES (4, 'four')");
    running.wait_for_line(|line| line.contains(r#""id":"4""#));
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
}

/// What was printed before any seeding came to its end is with its reader, too.
#[test]
fn a_stream_that_was_never_seeded_is_cleared_before_it_is() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    let running = host.start(&["--plugin", "pg.wasm", "--skip-backfill"]);
    running.wait_for_log("ready");
    database.sql("INSERT INTO items VALUES (3, 'three')");
    running.wait_for_line(|line| line.contains(r#""id":"3""#));
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    drop_slot(&database);
    database.sql("DELETE FROM items WHERE id = 3");
    let again = host.documents(&["--plugin", "pg.wasm", "--once", "--on-history-loss", "reseed"]);
    let ids: Vec<_> = again.into_iter().map(|line| (line.op, line.id)).collect();
    let wanted = [("clear", ""), ("upsert", "1"), ("upsert", "2")];
    assert_eq!(ids, wanted.map(|(op, id)| (op.to_owned(), id.to_owned())));
}

#[test]
fn an_empty_index_stays_seeded_when_its_first_document_is_printed() {
    let database = Postgres::with("CREATE TABLE items (id int PRIMARY KEY)");
    let host = Host::on(&database.url());
    let running = host.start(&["--plugin", "pg.wasm"]);
    running.wait_for_log("seeded");
    database.sql("INSERT INTO items VALUES (1)");
    running.wait_for_line(|line| line.contains(r#""id":"1""#));
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    assert!(host.documents(&["--plugin", "pg.wasm", "--once"]).is_empty());
}

#[test]
fn a_slot_made_anew_by_somebody_else_is_a_lost_history() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    assert_eq!(host.documents(&["--plugin", "pg.wasm", "--once"]).len(), 2);
    drop_slot(&database);
    database.sql(&format!(
        "DELETE FROM items WHERE id = 1; SELECT pg_create_logical_replication_slot('{}', 'pgoutput')",
        slot(&database)
    ));
    host.run(&["--plugin", "pg.wasm", "--once"]).refused(6, &["history", "--reseed"]);
    let again = host.documents(&["--plugin", "pg.wasm", "--once", "--reseed"]);
    let ids: Vec<_> = again.into_iter().map(|line| (line.op, line.id)).collect();
    assert_eq!(ids, [("clear", ""), ("upsert", "2")].map(|(op, id)| (op.to_owned(), id.to_owned())));
}

/// What a sink has seeded belongs to a history that nobody can tie to this one.
#[test]
fn a_host_that_lost_its_state_seeds_its_files_again() {
    let database = Postgres::with(ITEMS);
    let words = ["--plugin", "pg.wasm", "--plugin", "ndjson,path=out", "--once"];
    let host = Host::on(&database.url());
    host.run(&[&words[..], &["--state-dir", "state"]].concat()).succeeded();
    database.sql("DELETE FROM items WHERE id = 1");
    std::fs::remove_dir_all(host.folder().join("state")).unwrap();
    host.run(&[&words[..], &["--state-dir", "state"]].concat()).succeeded();
    let text = std::fs::read_to_string(host.folder().join("out/items.ndjson")).unwrap();
    let after: Vec<_> = text.lines().skip(2).map(Line::parse).map(|line| (line.op, line.id)).collect();
    assert_eq!(after.first(), Some(&("clear".to_owned(), String::new())), "{after:?}");
    let there: Vec<_> = after.iter().filter(|(op, _)| op == "upsert").map(|(_, id)| id.as_str()).collect();
    assert_eq!(there, ["2"], "{after:?}");
}
