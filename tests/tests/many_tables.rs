//! A database of a thousand tables without a schema file: what a start asks of the server, and says, does not grow with them.

use flusso_tests::{Host, Postgres};

const TABLES: usize = 1000;

/// Transactions that sessions of this database have ended: each statement of a start is one.
fn transactions(database: &Postgres) -> i64 {
    let sql = "SELECT pg_sleep(1.2); SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    database.sql(sql).trim().parse().unwrap_or_else(|error| panic!("{error}"))
}

fn with_tables(count: usize) -> Postgres {
    let database = Postgres::new();
    database.sql(&format!(
        "DO $$ BEGIN FOR i IN 1..{count} LOOP
             EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, x text) WITH (autovacuum_enabled = false)', i);
             EXECUTE format('INSERT INTO t%s VALUES (%s, ''a'')', i, i);
         END LOOP;
         FOR i IN 1..12 LOOP EXECUTE format('CREATE TABLE keyless%s (id int)', i); END LOOP; END $$"
    ));
    database
}

#[test]
fn a_thousand_tables_are_seeded_and_a_later_start_asks_no_more_than_for_ten() {
    let mut asked = Vec::new();
    for count in [10, TABLES] {
        let database = with_tables(count);
        let host = Host::on(&database.url());
        let before = transactions(&database);
        let first = host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
        assert_eq!(first.documents().len(), count);
        let seeded = transactions(&database);
        let said: Vec<&str> = first.log.lines().filter(|line| line.contains("plugin=\"pg\"")).collect();
        assert!(said.len() < 8, "{said:#?}");
        let lines = first.log.lines().count();
        assert!(lines < 60, "{lines} lines\n{}", first.log);
        assert!(
            said.iter().any(|line| line.contains("12 tables are skipped") && line.contains("keyless")),
            "{said:#?}"
        );

        // Everything is new to the publication, and nothing to the host.
        database.sql("ALTER PUBLICATION flusso SET TABLE t1; ALTER PUBLICATION flusso SET TABLE t1, t2");
        host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
        let mended = transactions(&database);
        let last = host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
        assert!(last.lines.is_empty(), "{:?}", last.lines.first());
        asked.push((seeded - before, mended - seeded, transactions(&database) - mended));
    }
    let (few, many) = (asked[0], asked[1]);
    assert!(many.2 - few.2 < 30, "a start with nothing to do: {asked:?}");
    // What is seeded is read a table at a time (two statements prepared, two run, one to begin), and nothing else is.
    let tables = i64::try_from(TABLES).unwrap_or(i64::MAX);
    assert!(many.0 - few.0 < 6 * tables, "a first start: {asked:?}");
    assert!(many.1 - few.1 < 8 * tables, "a start that has to publish everything again: {asked:?}");
    eprintln!("transactions of a first start, of one that mends, of one that has nothing to do: {asked:?}");
}
