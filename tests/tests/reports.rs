//! Faults that public reports of this field describe, each as one small input: what decides documents outside the table, names
//! and roles that servers have, objects that belong to others, logs that nobody reads.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use flusso_tests::{Host, Line, Postgres};
use serde_json::json;

const PG: [&str; 2] = ["--plugin", "pg.wasm"];
const ONCE: [&str; 3] = ["--plugin", "pg.wasm", "--once"];

/// The documents of an index by id, as lines leave them.
fn documents(lines: &[Line], index: &str) -> Vec<(String, serde_json::Value)> {
    let mut kept = std::collections::BTreeMap::new();
    for line in lines.iter().filter(|line| line.index == index) {
        match line.op.as_str() {
            "clear" => kept.clear(),
            "delete" => drop(kept.remove(&line.id)),
            _ => drop(kept.insert(line.id.clone(), line.document.clone())),
        }
    }
    kept.into_iter().collect()
}

#[test]
fn a_type_that_changed_behind_a_column_rebuilds_its_documents_at_the_next_start() {
    for (setup, change, before, after) in [
        (
            "CREATE TYPE part AS (s text); CREATE TABLE t (id int PRIMARY KEY, v part); INSERT INTO t VALUES (1, ROW('x'))",
            "ALTER TYPE part ADD ATTRIBUTE z int",
            json!({ "id": 1, "v": { "s": "x" } }),
            json!({ "id": 1, "v": { "s": "x", "z": null } }),
        ),
        (
            "CREATE TYPE inner_part AS (s text); CREATE TYPE part AS (p inner_part);
             CREATE TABLE t (id int PRIMARY KEY, v part[]); INSERT INTO t VALUES (1, ARRAY[ROW(ROW('x'))::part])",
            "ALTER TYPE inner_part RENAME ATTRIBUTE s TO r",
            json!({ "id": 1, "v": [{ "p": { "s": "x" } }] }),
            json!({ "id": 1, "v": [{ "p": { "r": "x" } }] }),
        ),
        (
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN low AS mood; CREATE DOMAIN lower AS low;
             CREATE TABLE t (id int PRIMARY KEY, v lower); INSERT INTO t VALUES (1, 'sad')",
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
            json!({ "id": 1, "v": "sad" }),
            json!({ "id": 1, "v": "blue" }),
        ),
        (
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE span AS RANGE (subtype = mood);
             CREATE TABLE t (id int PRIMARY KEY, v span); INSERT INTO t VALUES (1, '[sad,ok]')",
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
            json!({ "id": 1, "v": "[sad,ok]" }),
            json!({ "id": 1, "v": "[blue,ok]" }),
        ),
    ] {
        let database = Postgres::with(setup);
        let host = Host::on(&database.url());
        assert_eq!(documents(&host.documents(&ONCE), "t"), [("1".to_owned(), before)], "{setup}");
        database.sql(change);
        assert_eq!(documents(&host.documents(&ONCE), "t"), [("1".to_owned(), after)], "{change}");
    }
}

#[test]
fn rows_of_an_inheriting_table_belong_to_its_own_index() {
    let database = Postgres::with(
        "CREATE TABLE base (id int PRIMARY KEY, v text);
         CREATE TABLE child (PRIMARY KEY (id)) INHERITS (base);
         INSERT INTO base VALUES (1, 'b'); INSERT INTO child VALUES (2, 'c')",
    );
    let host = Host::on(&database.url());
    let mut lines = host.documents(&ONCE);
    database.sql("UPDATE child SET v = 'd'; UPDATE base SET v = 'e' WHERE id = 1; INSERT INTO child VALUES (3, 'f')");
    lines.extend(host.documents(&ONCE));
    let row = |id: i32, v: &str| (id.to_string(), json!({ "id": id, "v": v }));
    assert_eq!(documents(&lines, "base"), [row(1, "e")]);
    assert_eq!(documents(&lines, "child"), [row(2, "d"), row(3, "f")]);
}

#[test]
fn drop_leaves_a_publication_that_it_did_not_create() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION flusso FOR ALL TABLES");
    let host = Host::on(&database.url());
    host.run(&ONCE).succeeded();
    let dropped = host.run(&["drop", "--plugin", "pg.wasm"]).succeeded();
    assert_eq!((database.slots(), database.publications()), (0, 1));
    assert!(dropped.log.contains("DROP PUBLICATION \"flusso\""), "{}", dropped.log);
    database.sql("DROP PUBLICATION flusso");
    host.run(&["--plugin", "pg.wasm", "--once", "--reseed"]).succeeded();
    host.run(&["drop", "--plugin", "pg.wasm"]).succeeded();
    assert_eq!((database.slots(), database.publications()), (0, 0));
}

#[test]
fn settings_of_a_role_do_not_stop_it() {
    let mut database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let owner = database.role("NOLOGIN");
    let login = database.role(&format!("LOGIN REPLICATION PASSWORD 'secret' IN ROLE {owner}"));
    database.sql(&format!(
        "ALTER TABLE t OWNER TO {owner}; GRANT CREATE ON DATABASE {} TO {owner};
         ALTER ROLE {login} SET default_transaction_read_only = on; ALTER ROLE {login} SET role = '{owner}'",
        database.name()
    ));
    let host = Host::on(&database.url_as(&login, "secret", ""));
    host.run(&["check", "--plugin", "pg.wasm"]).succeeded();
    assert_eq!(documents(&host.documents(&ONCE), "t").len(), 1);
    host.run(&["drop", "--plugin", "pg.wasm"]).succeeded();
    assert_eq!((database.slots(), database.publications()), (0, 0));
}

#[test]
fn a_view_is_said_to_be_one() {
    let database = Postgres::with(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t; CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
    );
    let host = Host::on(&database.url());
    for (name, word) in [("v", "is a view"), ("m", "is a materialized view")] {
        host.file("flusso.toml", &format!("[source]\nplugin = \"pg.wasm\"\n[[index]]\nname = \"{name}\"\n"));
        host.run(&["--once"]).refused(2, &[name, word]);
    }
}

#[test]
fn a_prepared_transaction_that_holds_the_slot_up_is_named() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    if database.sql("SHOW max_prepared_transactions").trim() == "0" {
        return;
    }
    database.sql(&format!("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'forgotten {}'", database.name()));
    let host = Host::on(&database.url());
    let found = host.run(&["check", "--plugin", "pg.wasm"]).lines.join("\n");
    assert!(found.contains("prepared-transaction") && found.contains("forgotten"), "{found}");
    let running = host.start(&PG);
    running.wait_for_log("COMMIT PREPARED");
    database.sql(&format!("ROLLBACK PREPARED 'forgotten {}'", database.name()));
    running.wait_for_log("ready");
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn a_log_whose_reader_went_away_does_not_stop_the_host() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let host = Host::on(&database.url());
    let mut child = host
        .command(&["--plugin", "pg.wasm", "--log-level", "debug"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the host ended");
    }
    drop(log);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for id in 1..=20 {
        database.sql(&format!("INSERT INTO t VALUES ({id})"));
        // The first may come twice: read by the seed, and as a change.
        while !line.contains(&format!("\"id\":\"{id}\"")) {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "the host ended at document {id}");
        }
    }
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    let started = Instant::now();
    child.wait().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// Breaks every connection to the database but the one that asks.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[test]
fn a_table_that_came_while_it_runs_is_followed_after_the_next_broken_connection() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let running = Host::on(&database.url()).start(&PG);
    running.wait_for_line(|line| line.contains("\"index\":\"t\""));
    database.sql("CREATE TABLE n (id int PRIMARY KEY); INSERT INTO n VALUES (7)");
    database.sql(TERMINATE);
    database.sql("INSERT INTO t VALUES (2)");
    running.wait_for_line(|line| line.contains("\"index\":\"n\",\"id\":\"7\""));
    running.wait_for_line(|line| line.contains("\"index\":\"t\",\"id\":\"2\""));
    let log = running.wait_for_log("the run begins again");
    assert!(log.contains("+n"), "{log}");
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn columns_that_are_added_one_after_the_other_do_not_end_it() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let running = Host::on(&database.url()).start(&PG);
    running.wait_for_line(|line| line.contains("\"id\":\"1\""));
    for number in 1..=8 {
        database.sql(&format!("ALTER TABLE t ADD c{number} int; UPDATE t SET c{number} = {number}"));
        running.wait_for_line(|line| line.contains(&format!("\"c{number}\":{number}")));
    }
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn a_stop_while_a_table_changes_is_a_stop() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let host = Host::on(&database.url());
    for number in 1..=8 {
        let running = host.start(&PG);
        running.wait_for_line(|line| line.contains("\"id\":\"1\""));
        database.sql(&format!("ALTER TABLE t ADD c{number} int; UPDATE t SET c{number} = {number}"));
        running.wait_for_log(&format!("(+c{number} integer)"));
        running.signal("TERM");
        running.wait().succeeded();
    }
}

#[test]
fn a_table_that_is_renamed_away_for_a_while_is_waited_for() {
    let database = Postgres::with(
        "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE notes (id int PRIMARY KEY, user_id int, text text);
         INSERT INTO users VALUES (1); INSERT INTO notes VALUES (1, 1, 'before')",
    );
    let host = Host::on(&database.url());
    host.file(
        "users.schema.yml",
        "version: 1\ntable: users\nprimary_key: id\nfields:\n  - has_many: notes\n    table: notes\n    primary_key: id\n    foreign_key: user_id\n    fields:\n      - keyword: text\n",
    );
    host.file(
        "flusso.toml",
        "[source]\nplugin = \"pg.wasm\"\n[[index]]\nname = \"users\"\nschema = \"users.schema.yml\"\n",
    );
    let running = host.start(&[]);
    running.wait_for_line(|line| line.contains("before"));
    database.sql("ALTER TABLE notes RENAME TO notes_away; INSERT INTO users VALUES (2)");
    database.sql(TERMINATE);
    std::thread::sleep(Duration::from_secs(3));
    database.sql("ALTER TABLE notes_away RENAME TO notes; UPDATE notes SET text = 'after'");
    running.wait_for_line(|line| line.contains("after"));
    running.wait_for_line(|line| line.contains("\"id\":\"2\""));
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn rows_of_megabytes_are_seeded_within_the_memory_of_a_guest() {
    let database = Postgres::with(
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         INSERT INTO t SELECT n, repeat(md5(n::text), 131072) FROM generate_series(1, 30) n;
         CREATE TABLE c (id int PRIMARY KEY, t_id int, w int); INSERT INTO c SELECT n, n, n FROM generate_series(1, 30) n",
    );
    let host = Host::on(&database.url());
    host.file(
        "t.schema.yml",
        "version: 1\ntable: t\nprimary_key: id\nfields:\n  - text: v\n  - has_many: c\n    table: c\n    primary_key: id\n    foreign_key: t_id\n    fields:\n      - integer: w\n",
    );
    host.file(
        "flusso.toml",
        "[source]\nplugin = \"pg.wasm\"\n[[index]]\nname = \"t\"\nschema = \"t.schema.yml\"\n[[index]]\nname = \"c\"\n",
    );
    let lines = host.documents(&["--once"]);
    assert_eq!((documents(&lines, "t").len(), documents(&lines, "c").len()), (30, 30));
    let flat = Host::on(&database.url());
    let lines = flat.documents(&["--plugin", "pg.wasm,slot=flat", "--once"]);
    assert_eq!(documents(&lines, "t").len(), 30);
    flat.run(&["drop", "--plugin", "pg.wasm,slot=flat"]).succeeded();
}

#[test]
fn two_tables_whose_names_hold_dots_are_two_indexes() {
    let database = Postgres::with(
        "CREATE SCHEMA a; CREATE SCHEMA \"a.b\"; CREATE TABLE a.\"b.c\" (id int PRIMARY KEY, of text); CREATE TABLE \"a.b\".c (id int PRIMARY KEY, of text);
         INSERT INTO a.\"b.c\" VALUES (1, 'a'); INSERT INTO \"a.b\".c VALUES (1, 'a.b')",
    );
    let host = Host::on(&database.url());
    let one = |lines: &[Line], index: &str, of: &str| {
        assert_eq!(documents(lines, index), [("1".to_owned(), json!({ "id": 1, "of": of }))], "{index}");
    };
    let seeded = host.documents(&ONCE);
    one(&seeded, "a.b.c", "a");
    one(&seeded, "a.b.c-06f227b5", "a.b");
    database.sql("UPDATE \"a.b\".c SET of = 'b'");
    let changed = host.documents(&ONCE);
    one(&changed, "a.b.c-06f227b5", "b");
    assert_eq!(changed.len(), 1, "{changed:?}");
    // It is found by that name.
    let named = Host::on(&database.url());
    named.file(
        "flusso.toml",
        "[source]\nplugin = \"pg.wasm\"\nslot = \"named\"\n[[index]]\nname = \"a.b.c-06f227b5\"\n",
    );
    named.run(&["check"]).succeeded();
    one(&named.documents(&["--once"]), "a.b.c-06f227b5", "b");
    named.run(&["drop"]).succeeded();
}

#[test]
fn a_grant_of_the_columns_that_are_read_is_enough() {
    let mut database = Postgres::with(
        "CREATE TABLE t (id int PRIMARY KEY, v text, secret text); INSERT INTO t VALUES (1, 'a', 'x');
         CREATE PUBLICATION mine FOR TABLE t",
    );
    let login = database.role("LOGIN REPLICATION PASSWORD 'secret'");
    database.sql(&format!("GRANT SELECT (id, v) ON t TO {login}"));
    let host = Host::on(&database.url_as(&login, "secret", ""));
    host.file("t.schema.yml", "version: 1\ntable: t\nprimary_key: id\nfields:\n  - keyword: v\n");
    let config = "[source]\nplugin = \"pg.wasm\"\npublication = \"mine\"\nmanage_publication = false\n[[index]]\nname = \"t\"\nschema = \"t.schema.yml\"\n";
    host.file("flusso.toml", config);
    host.run(&["check"]).succeeded();
    assert_eq!(documents(&host.documents(&["--once"]), "t").len(), 1);
    database.sql("UPDATE t SET v = 'b'");
    assert_eq!(documents(&host.documents(&["--once"]), "t")[0].1["v"], "b");
    host.file("t.schema.yml", "version: 1\ntable: t\nprimary_key: id\nfields:\n  - keyword: secret\n");
    let found = host.run(&["check"]);
    assert_eq!(found.code, Some(2), "{}", found.lines.join("\n"));
    assert!(found.lines.iter().any(|line| line.contains("GRANT SELECT")), "{}", found.lines.join("\n"));
}

#[test]
fn names_with_capitals_are_those_of_the_database() {
    let database = Postgres::with(
        "CREATE TABLE \"User\" (id int PRIMARY KEY, \"createdAt\" timestamp, \"fullName\" text, email text);
         CREATE TABLE \"Post\" (id int PRIMARY KEY, \"authorId\" int, \"Title\" text); CREATE TABLE plain (id int PRIMARY KEY, user_id int);
         INSERT INTO \"User\" VALUES (1, '2020-01-02 03:04:05', 'Grace Hopper', 'g@h'); INSERT INTO \"Post\" VALUES (5, 1, 'first');
         INSERT INTO plain VALUES (7, 1)",
    );
    let host = Host::on(&database.url());
    host.file(
        "users.schema.yml",
        "version: 1\ntable: User\nprimary_key: ID\nfields:\n  - timestamp: createdAt\n  - text: fullName\n  - keyword: mail\n    column: Email\n  - has_many: posts\n    table: Post\n    primary_key: id\n    foreign_key: authorId\n    fields:\n      - text: title\n        column: Title\n  - count: plain\n    table: Plain\n    foreign_key: User_ID\n",
    );
    host.file(
        "flusso.toml",
        "[source]\nplugin = \"pg.wasm\"\n[[index]]\nname = \"users\"\nschema = \"users.schema.yml\"\n",
    );
    assert_eq!(host.run(&["check"]).succeeded().code, Some(0));
    let document = |title: &str| json!({ "createdAt": "2020-01-02T03:04:05", "fullName": "Grace Hopper", "mail": "g@h", "posts": [{ "title": title }], "plain": 1 });
    assert_eq!(documents(&host.documents(&["--once"]), "users"), [("1".to_owned(), document("first"))]);
    database.sql("UPDATE \"Post\" SET \"Title\" = 'second'");
    assert_eq!(documents(&host.documents(&["--once"]), "users"), [("1".to_owned(), document("second"))]);
    host.file("users.schema.yml", "version: 1\ntable: Userz\nprimary_key: id\nfields:\n  - text: fullName\n");
    let found = host.run(&["check"]);
    assert_eq!(found.code, Some(2));
    assert!(found.lines.iter().any(|line| line.contains("public.userz") && line.contains("User")), "{:?}", found.lines);
}
