//! What a user sees who starts it for the first time, without any configuration.

use std::collections::BTreeMap;

use flusso_tests::{Host, Line, Postgres};

const SHOP: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text, admin boolean NOT NULL DEFAULT false);
    CREATE TABLE lines (a int, b text, note text, PRIMARY KEY (b, a));
    CREATE SCHEMA stock;
    CREATE TABLE stock.items (id uuid PRIMARY KEY, at timestamptz, amount numeric(8,2), more jsonb);
    CREATE TABLE nokey (x int);
    INSERT INTO users VALUES (1, 'Ada'), (2, NULL), (42, 'Grace');
    INSERT INTO lines VALUES (7, 'x:y', 'colon'), (8, 'z', NULL);
    INSERT INTO stock.items VALUES ('00000000-0000-0000-0000-00000000000A', '2026-01-02 03:04:05+02', 1.50, '{\"a\": [1, 2]}');
    INSERT INTO nokey VALUES (1);";

fn sorted(mut lines: Vec<Line>) -> Vec<(String, String, String)> {
    lines.sort_by(|a, b| (&a.index, &a.id).cmp(&(&b.index, &b.id)));
    lines.into_iter().map(|line| (line.op, line.index, line.id)).collect()
}

fn triple(op: &str, index: &str, id: &str) -> (String, String, String) {
    (op.to_owned(), index.to_owned(), id.to_owned())
}

#[test]
fn every_table_with_a_key_becomes_an_index_of_its_rows() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let ended = host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
    assert_eq!(
        sorted(ended.documents()),
        [
            triple("upsert", "lines", "x\\:y:7"),
            triple("upsert", "lines", "z:8"),
            triple("upsert", "stock.items", "00000000-0000-0000-0000-00000000000a"),
            triple("upsert", "users", "1"),
            triple("upsert", "users", "2"),
            triple("upsert", "users", "42"),
        ]
    );
    // The order of the keys is part of the format, and of the columns that of the table.
    let ada = r#"{"op":"upsert","index":"users","id":"1","document":{"id":1,"name":"Ada","admin":false}}"#;
    assert!(ended.lines.iter().any(|line| line == ada), "{:#?}", ended.lines);
    // Said once, with the remedy.
    assert_eq!(ended.log.lines().filter(|line| line.contains("nokey")).count(), 1, "{}", ended.log);
    assert!(ended.log.contains("primary key"), "{}", ended.log);
    // What is kept is named at the exit.
    let slot = format!("flusso_{}", database.name());
    assert!(ended.log.contains(&slot) && ended.log.contains("flusso-host drop"), "{}", ended.log);
}

#[test]
fn documents_are_what_row_to_json_says() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let documents = host.documents(&["--plugin", "pg.wasm", "--once"]);
    for table in ["users", "stock.items"] {
        for row in database.sql(&format!("SELECT row_to_json(t) FROM {table} t")).lines() {
            let wanted: serde_json::Value = serde_json::from_str(row).unwrap();
            let id = wanted["id"].as_str().map_or_else(|| wanted["id"].to_string(), str::to_owned);
            let found = documents.iter().find(|line| line.index == table && line.id == id);
            assert_eq!(found.map(|line| &line.document), Some(&wanted), "{table} {id}");
        }
    }
}

#[test]
fn a_second_run_prints_only_what_changed_and_says_since_when() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    assert_eq!(host.documents(&["--plugin", "pg.wasm", "--once"]).len(), 6);

    let nothing = host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
    assert_eq!(nothing.lines, Vec::<String>::new());
    let year = database.sql("SELECT extract(year FROM now() AT TIME ZONE 'UTC')");
    assert!(nothing.log.contains("nothing to seed") && nothing.log.contains(year.trim()), "{}", nothing.log);
    assert!(nothing.log.contains("--reseed"), "{}", nothing.log);

    database.sql(
        "UPDATE users SET name = 'Ada L.' WHERE id = 1; DELETE FROM users WHERE id = 2; INSERT INTO users VALUES (3, 'New');
         UPDATE users SET id = 43 WHERE id = 42;",
    );
    let changed = host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
    assert_eq!(
        sorted(changed.documents()),
        [
            triple("upsert", "users", "1"),
            triple("delete", "users", "2"),
            triple("upsert", "users", "3"),
            triple("delete", "users", "42"),
            triple("upsert", "users", "43"),
        ]
    );
    assert!(
        changed.lines.iter().any(|line| line == r#"{"op":"delete","index":"users","id":"2"}"#),
        "{:#?}",
        changed.lines
    );
}

#[test]
fn reseed_prints_it_all_again() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    assert_eq!(host.documents(&["--plugin", "pg.wasm", "--once"]).len(), 6);
    // What was printed before is void first: a line of an id that is not there any more would stand for ever.
    let again = host.documents(&["--plugin", "pg.wasm", "--once", "--reseed"]);
    assert_eq!(again.iter().filter(|line| line.op == "clear").count(), 3);
    assert_eq!(again.iter().filter(|line| line.op == "upsert").count(), 6);
    let users = host.documents(&["--plugin", "pg.wasm", "--once", "--reseed", "users"]);
    let ops: Vec<_> = users.iter().map(|line| (line.op.as_str(), line.index.as_str())).collect();
    assert_eq!(ops, [("clear", "users"), ("upsert", "users"), ("upsert", "users"), ("upsert", "users")]);
    host.run(&["--plugin", "pg.wasm", "--once", "--reseed", "usres"]).refused(2, &["usres", "users"]);
}

#[test]
fn skip_backfill_goes_straight_to_the_changes_and_forgets_nothing() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    assert_eq!(host.documents(&["--plugin", "pg.wasm", "--once", "--skip-backfill"]), []);
    database.sql("INSERT INTO users VALUES (3, 'New')");
    let changes = host.documents(&["--plugin", "pg.wasm", "--once", "--skip-backfill"]);
    assert_eq!(sorted(changes), [triple("upsert", "users", "3")]);
    // What was not seeded is still unseeded: a start without the flag makes up for it.
    let mut all = sorted(host.documents(&["--plugin", "pg.wasm", "--once"]));
    all.dedup();
    assert_eq!(all.len(), 8, "{all:?}");
    // What was printed of an index before it was ever whole is void first.
    assert!(all.contains(&triple("clear", "users", "")), "{all:?}");
}

#[test]
fn a_table_that_came_later_joins_at_the_next_start() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
    database.sql("CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1), (2)");
    let ended = host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
    assert_eq!(sorted(ended.documents()), [triple("upsert", "later", "1"), triple("upsert", "later", "2")]);
    assert!(ended.log.contains("later"), "it is said that the table joined: {}", ended.log);
    database.sql("DELETE FROM later WHERE id = 1");
    assert_eq!(sorted(host.documents(&["--plugin", "pg.wasm", "--once"])), [triple("delete", "later", "1")]);
}

#[test]
fn a_truncated_table_loses_its_documents() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5)");
    let host = Host::on(&database.url());
    let mut live: BTreeMap<String, Line> = BTreeMap::new();
    let mut take = |lines: Vec<Line>| {
        for line in lines {
            match line.op.as_str() {
                "clear" => live.clear(),
                "delete" => drop(live.remove(&line.id)),
                _ => drop(live.insert(line.id.clone(), line)),
            }
        }
    };
    take(host.documents(&["--plugin", "pg.wasm", "--once"]));
    database.sql("BEGIN; TRUNCATE t; INSERT INTO t VALUES (3), (9); COMMIT");
    take(host.documents(&["--plugin", "pg.wasm", "--once"]));
    assert_eq!(live.keys().collect::<Vec<_>>(), ["3", "9"]);
}

#[test]
fn drop_removes_slot_publication_and_state() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let state = host.folder().join("state");
    let state = state.display().to_string();
    let words = |more: &[&'static str]| {
        let mut words = vec!["--plugin".to_owned(), "pg.wasm".to_owned(), "--state-dir".to_owned(), state.clone()];
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    };
    let run = |more: &[&'static str]| {
        let words = words(more);
        host.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run(&["--once"]).succeeded();
    assert_eq!((database.slots(), database.publications()), (1, 1));
    let dropped = run(&["drop"]).succeeded();
    assert_eq!((database.slots(), database.publications()), (0, 0));
    let said = format!("{}{}", dropped.log, dropped.lines.join("\n"));
    assert!(said.contains(&format!("flusso_{}", database.name())), "{said}");
    // Nothing is remembered: everything is seeded again. A second drop finds nothing and is no error.
    run(&["drop"]).succeeded();
    assert_eq!(run(&["--once"]).succeeded().lines.len(), 6);
    run(&["drop"]).succeeded();
}

#[test]
fn a_running_host_prints_a_change_while_it_runs() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let running = host.start(&["--plugin", "pg.wasm"]);
    running.wait_for_line(|line| line.contains(r#""id":"42""#));
    database.sql("INSERT INTO users VALUES (77, 'live')");
    running.wait_for_line(|line| line.contains(r#""id":"77""#));
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn a_table_that_left_the_publication_for_a_while_is_seeded_again() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    assert_eq!(host.documents(&["--plugin", "pg.wasm", "--once"]).len(), 6);
    database.sql("ALTER PUBLICATION flusso DROP TABLE users; INSERT INTO users VALUES (5, 'Missed')");
    let again = host.documents(&["--plugin", "pg.wasm", "--once"]);
    assert!(again.iter().any(|line| line.op == "upsert" && line.id == "5"), "{again:?}");
    assert!(again.iter().all(|line| line.index == "users"), "{again:?}");
}
