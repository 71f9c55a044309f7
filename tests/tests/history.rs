//! What happens when the database no longer has what the host left off with.

use flusso_tests::{Host, Postgres};

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
