//! Cases 19 and 22 of what must never go wrong: what changes documents though no change of the stream tells it, while the host
//! runs and while it does not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flusso_tests::{Host, Line, Postgres};
use serde_json::Value;

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('low', 'high');
    CREATE TABLE t (id int PRIMARY KEY, price numeric, mood mood);
    INSERT INTO t SELECT n, n, 'low' FROM generate_series(1, 50) n;
    CREATE TABLE parts (id int PRIMARY KEY, x text) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
    CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (30) TO (40);
    INSERT INTO parts VALUES (1, 'a'), (2, 'b'), (11, 'c'), (31, 'd');
    CREATE TABLE loose (id int PRIMARY KEY, x text); INSERT INTO loose VALUES (21, 'e'), (22, 'f');";

const CONFIG: &str = r#"
    [source]
    plugin = "pg.wasm"
    look_every = "200ms"
    [[index]]
    name = "t"
    [[index]]
    name = "parts"
"#;

/// Each leaves documents behind that are not what a full rebuild would give, and tells nobody.
const SILENT: [&str; 10] = [
    "ALTER TABLE t ALTER price TYPE numeric USING price * 100",
    "ALTER TABLE t ALTER price TYPE text USING 'was ' || price",
    "ALTER TYPE mood RENAME VALUE 'low' TO 'down'",
    "ALTER TABLE parts ATTACH PARTITION loose FOR VALUES FROM (20) TO (30)",
    "ALTER TABLE parts DETACH PARTITION parts_1",
    "TRUNCATE parts_2",
    "DROP TABLE parts_3",
    "ALTER PUBLICATION flusso DROP TABLE t; UPDATE t SET price = 'missed' WHERE id = 7",
    "ALTER PUBLICATION flusso DROP TABLE t; DELETE FROM t WHERE id = 8; ALTER PUBLICATION flusso ADD TABLE t",
    "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, price text, mood mood); INSERT INTO t VALUES (1, 'new', 'high')",
];

type View = BTreeMap<(String, String), Value>;

/// What a reader of the lines has at their end.
fn apply(view: &mut View, lines: &[String]) {
    for line in lines.iter().map(|line| Line::parse(line)) {
        match line.op.as_str() {
            "clear" => view.retain(|(index, _), _| *index != line.index),
            "delete" => drop(view.remove(&(line.index, line.id))),
            _ => drop(view.insert((line.index, line.id), line.document)),
        }
    }
}

/// What a full rebuild would give, by SQL alone.
fn wanted(database: &Postgres) -> View {
    let mut view = View::new();
    for table in ["t", "parts"] {
        for row in database.sql(&format!("SELECT row_to_json(it) FROM {table} it")).lines() {
            let row: Value = serde_json::from_str(row).unwrap();
            view.insert((table.to_owned(), row["id"].to_string()), row);
        }
    }
    view
}

#[test]
fn cases_19_and_22_what_no_change_tells_is_found_while_running() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    host.file("flusso.toml", CONFIG);
    let running = host.start(&[]);
    for statements in std::iter::once(&"SELECT 1").chain(&SILENT) {
        database.sql(statements);
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let (mut view, wanted) = (View::new(), wanted(&database));
            apply(&mut view, &running.lines());
            if view == wanted {
                break;
            }
            assert!(Instant::now() < end, "{statements}\nwanted {wanted:#?}\nfound {view:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // What was made again or put back is followed on.
    database.sql("INSERT INTO t VALUES (77, 'live', 'high')");
    running.wait_for_line(|line| line.contains(r#""id":"77""#));
    running.signal("TERM");
    running.wait().succeeded();
    let again = host.run(&["--once"]).succeeded();
    assert_eq!(again.lines, Vec::<String>::new(), "what was retyped or made again is seeded once: {}", again.log);
}

#[test]
fn cases_19_and_22_what_no_change_tells_is_found_at_the_next_start() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    host.file("flusso.toml", CONFIG);
    let mut view = View::new();
    for statements in std::iter::once(&"SELECT 1").chain(&SILENT) {
        database.sql(statements);
        let ended = host.run(&["--once"]).succeeded();
        apply(&mut view, &ended.lines);
        assert_eq!(view, wanted(&database), "{statements}");
        let again = host.run(&["--once"]).succeeded();
        assert_eq!(again.lines, Vec::<String>::new(), "{statements}: it is found once");
    }
}

#[test]
fn a_table_out_of_a_publication_that_is_not_ours_ends_the_run_with_the_statement() {
    let database = Postgres::with(TABLES);
    database.sql("CREATE PUBLICATION flusso FOR TABLE t, parts WITH (publish_via_partition_root = true)");
    let host = Host::on(&database.url());
    host.file("flusso.toml", &CONFIG.replace("look_every", "manage_publication = false\nlook_every"));
    let running = host.start(&[]);
    running.wait_for_line(|line| line.contains(r#""id":"31""#));
    database.sql("ALTER PUBLICATION flusso DROP TABLE t; UPDATE t SET price = 5 WHERE id = 5");
    running.wait().refused(2, &[r#"ALTER PUBLICATION "flusso" ADD TABLE "public"."t""#]);
    database.sql("ALTER PUBLICATION flusso ADD TABLE t");
    let mut view = View::new();
    apply(&mut view, &host.run(&["--once"]).succeeded().lines);
    let row = ("t".to_owned(), "5".to_owned());
    assert_eq!(view.get(&row), wanted(&database).get(&row), "what happened meanwhile is made up for");
}
