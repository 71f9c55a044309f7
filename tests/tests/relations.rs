//! Documents of rows that are related, from a change in the database to the line: a case a test. All of them at once, at
//! random and under faults are in `converge.rs`.

use std::collections::BTreeMap;

use flusso_tests::{Host, Line, Postgres};
use serde_json::{Value, json};

const SOURCE: &str = "[source]\nplugin = \"pg\"\nconnection_url = { env = \"DATABASE_URL\" }\n";

/// A host with one index `docs` of this schema.
fn host(database: &Postgres, schema: &str) -> Host {
    let host = Host::on(&database.url());
    host.file("docs.schema.yml", &format!("version: 1\n{schema}"));
    host.file(
        "flusso.toml",
        &format!("{SOURCE}manage_replica_identity = true\n[[index]]\nname = \"docs\"\nschema = \"docs.schema.yml\"\n"),
    );
    host
}

/// What a reader has after the first seeding, some statements while nobody follows, and a second run.
fn follow(database: &Postgres, host: &Host, sql: &str) -> BTreeMap<String, Value> {
    let mut lines = host.documents(&["--once"]);
    database.sql(sql);
    lines.extend(host.documents(&["--once"]));
    fold(lines)
}

fn fold(lines: Vec<Line>) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for line in lines {
        match line.op.as_str() {
            "clear" => found.clear(),
            "delete" => drop(found.remove(&line.id)),
            _ => drop(found.insert(line.id, line.document)),
        }
    }
    found
}

fn documents(of: &[(&str, Value)]) -> BTreeMap<String, Value> {
    of.iter().map(|(id, body)| ((*id).to_owned(), body.clone())).collect()
}

const SHOP: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int, total int);
    INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO orders VALUES (10, 1, 5), (11, 1, 6), (12, 2, 7), (13, NULL, 8);";

const USERS: &str = "table: users
fields:
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    fields: [{ integer: total }]
";

#[test]
fn both_parents_of_a_moved_child_and_the_parent_of_a_deleted_one_are_rebuilt() {
    let database = Postgres::with(SHOP);
    let host = host(&database, USERS);
    let found = follow(
        &database,
        &host,
        "UPDATE orders SET user_id = 3 WHERE id = 10; DELETE FROM orders WHERE id = 12; UPDATE orders SET user_id = 2 WHERE id = 13",
    );
    let orders =
        |totals: &[i32]| json!({ "orders": totals.iter().map(|total| json!({ "total": total })).collect::<Vec<_>>() });
    assert_eq!(found, documents(&[("1", orders(&[6])), ("2", orders(&[8])), ("3", orders(&[5]))]));
}

#[test]
fn truncating_a_child_table_rebuilds_what_read_from_it() {
    let database = Postgres::with(SHOP);
    let host = host(&database, USERS);
    let found = follow(&database, &host, "BEGIN; TRUNCATE orders; INSERT INTO orders VALUES (20, 3, 9); COMMIT");
    let none = json!({ "orders": [] });
    assert_eq!(found, documents(&[("1", none.clone()), ("2", none), ("3", json!({ "orders": [{ "total": 9 }] }))]));
}

#[test]
fn truncating_the_root_table_removes_its_documents_and_nothing_later() {
    let database = Postgres::with(SHOP);
    let host = host(&database, USERS);
    let found = follow(&database, &host, "TRUNCATE users; INSERT INTO users VALUES (2, 'again')");
    assert_eq!(found, documents(&[("2", json!({ "orders": [{ "total": 7 }] }))]));
}

#[test]
fn a_table_related_to_itself_rebuilds_the_documents_that_refer_to_a_row() {
    let database = Postgres::with(
        "CREATE TABLE people (id int PRIMARY KEY, boss int, name text); INSERT INTO people VALUES (1, NULL, 'a'), (2, 1, 'b'), (3, 2, 'c')",
    );
    let schema = "table: people
fields:
  - belongs_to: boss
    table: people
    primary_key: id
    fields: [{ text: name }]
  - count: reports
    table: people
    foreign_key: boss
";
    let host = host(&database, schema);
    let found = follow(
        &database,
        &host,
        "UPDATE people SET name = 'B' WHERE id = 2; UPDATE people SET boss = 2 WHERE id = 1; INSERT INTO people VALUES (4, 4, 'd')",
    );
    let person = |boss: Value, reports: i32| json!({ "boss": boss, "reports": reports });
    let wanted = [
        ("1", person(json!({ "name": "B" }), 1)),
        ("2", person(json!({ "name": "a" }), 2)),
        ("3", person(json!({ "name": "B" }), 0)),
        ("4", person(json!({ "name": "d" }), 1)),
    ];
    assert_eq!(found, documents(&wanted));
}

#[test]
fn an_update_rebuilds_only_the_documents_that_read_what_it_changed() {
    let database = Postgres::with(SHOP);
    database.sql("ALTER TABLE orders ADD note text; ALTER TABLE orders REPLICA IDENTITY FULL");
    let host = host(&database, USERS);
    host.file("orders.schema.yml", "version: 1\ntable: orders\nfields: [{ text: note }]\n");
    let index = |name| format!("[[index]]\nname = \"{name}\"\nschema = \"{name}.schema.yml\"\n");
    host.file("flusso.toml", &format!("{SOURCE}{}{}", index("docs"), index("orders")));
    host.documents(&["--once"]);
    let written = |sql: &str| {
        database.sql(sql);
        let lines = host.documents(&["--once"]);
        lines.into_iter().map(|line| format!("{} {}", line.index, line.id)).collect::<Vec<_>>()
    };
    assert_eq!(written("UPDATE orders SET note = 'n' WHERE id = 10"), ["orders 10"]);
    assert_eq!(written("UPDATE orders SET total = 9 WHERE id = 10"), ["docs 1"]);
    assert_eq!(written("UPDATE orders SET total = 9 WHERE id = 10"), [""; 0]);
}

#[test]
fn keys_of_several_parts_that_hold_colons_name_different_documents() {
    let database = Postgres::with(
        r"CREATE TABLE parts (a text, b text, n int, PRIMARY KEY (a, b)); CREATE TABLE notes (id int PRIMARY KEY, a text, b text);
          INSERT INTO parts VALUES ('x:y', 'z', 1), ('x', 'y:z', 2), ('x\', 'z', 3), ('gone:', ':', 4); INSERT INTO notes VALUES (1, 'x', 'y:z'), (2, 'x:y', 'z'), (3, 'x:y', 'z')",
    );
    let schema = "table: parts
primary_key: [a, b]
fields:
  - integer: n
  - count: notes
    table: notes
    foreign_key: [a, b]
";
    let host = host(&database, schema);
    let found = follow(
        &database,
        &host,
        "DELETE FROM parts WHERE a = 'gone:'; UPDATE notes SET a = 'x', b = 'y:z' WHERE id = 3; UPDATE parts SET b = 'w' WHERE n = 3",
    );
    let part = |n: i32, notes: i32| json!({ "n": n, "notes": notes });
    assert_eq!(found, documents(&[(r"x\:y:z", part(1, 1)), (r"x:y\:z", part(2, 2)), (r"x\\:w", part(3, 0))]));
}

#[test]
fn tables_of_one_name_in_two_schemas_are_told_apart() {
    let database = Postgres::with(
        "CREATE SCHEMA crm; CREATE TABLE orders (id int PRIMARY KEY, user_id int); CREATE TABLE crm.orders (id int PRIMARY KEY, user_id int);
         CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1), (2); INSERT INTO orders VALUES (1, 1), (2, 1); INSERT INTO crm.orders VALUES (1, 2)",
    );
    let schema = "table: users
fields:
  - ids: ours
    table: orders
    foreign_key: user_id
    element_type: integer
  - ids: theirs
    table: crm.orders
    foreign_key: user_id
    element_type: integer
";
    let host = host(&database, schema);
    let found = follow(
        &database,
        &host,
        "DELETE FROM crm.orders WHERE id = 1; UPDATE orders SET user_id = 2 WHERE id = 1; INSERT INTO crm.orders VALUES (2, 1)",
    );
    assert_eq!(
        found,
        documents(&[("1", json!({ "ours": [2], "theirs": [2] })), ("2", json!({ "ours": [1], "theirs": [] }))])
    );
}

#[test]
fn a_condition_on_null_does_not_hold_for_a_soft_delete() {
    let database = Postgres::with(
        "CREATE TABLE docs (id int PRIMARY KEY, deleted_at timestamptz, hold boolean, kind text);
         INSERT INTO docs VALUES (1, NULL, NULL, 'a'), (2, NULL, false, 'a'), (3, now(), false, 'a'), (4, now(), NULL, 'a'), (5, NULL, NULL, NULL), (6, NULL, NULL, 'a')",
    );
    let schema = "table: docs
soft_delete: { column: deleted_at, when: [{ column: hold, op: eq, value: false }] }
filters: [{ column: kind, op: neq, value: b }]
fields: [{ integer: id }]
";
    let host = host(&database, schema);
    let found = follow(
        &database,
        &host,
        "UPDATE docs SET deleted_at = now() WHERE id IN (1, 2); UPDATE docs SET hold = NULL WHERE id = 3; UPDATE docs SET hold = false WHERE id = 4; UPDATE docs SET kind = 'a' WHERE id = 5; UPDATE docs SET kind = NULL WHERE id = 6",
    );
    assert_eq!(found.keys().collect::<Vec<_>>(), ["1", "3", "5"]);
}

#[test]
fn an_index_as_replica_identity_tells_the_links_it_covers() {
    let database = Postgres::with(SHOP);
    database.sql("DELETE FROM orders WHERE user_id IS NULL; ALTER TABLE orders ALTER user_id SET NOT NULL; CREATE UNIQUE INDEX covering ON orders (id, user_id); ALTER TABLE orders REPLICA IDENTITY USING INDEX covering");
    let host = host(&database, USERS);
    let found = follow(
        &database,
        &host,
        "UPDATE orders SET user_id = 3 WHERE id = 10; DELETE FROM orders WHERE id = 12; UPDATE orders SET id = 99, user_id = 2 WHERE id = 11",
    );
    let orders =
        |totals: &[i32]| json!({ "orders": totals.iter().map(|total| json!({ "total": total })).collect::<Vec<_>>() });
    assert_eq!(found, documents(&[("1", orders(&[])), ("2", orders(&[6])), ("3", orders(&[5]))]));
    let identity = database.sql("SELECT relreplident FROM pg_class WHERE oid = 'orders'::regclass");
    assert_eq!(identity.trim(), "i", "what does the job is left alone");
}

#[test]
fn a_table_without_an_identity_is_never_published_and_the_remedy_is_named() {
    let database = Postgres::with(SHOP);
    database.sql("ALTER TABLE orders REPLICA IDENTITY NOTHING");
    let ended = host(&database, USERS).run(&["--once"]);
    assert_ne!(ended.code, Some(0));
    for word in ["orders", "NOTHING", "ALTER TABLE", "REPLICA IDENTITY DEFAULT"] {
        assert!(ended.log.contains(word), "{word:?} is missing in:\n{}", ended.log);
    }
    // The application's own statements go on.
    database.sql("UPDATE orders SET total = 1; DELETE FROM orders");
}

#[test]
fn hidden_rows_are_an_error_and_never_a_delete() {
    let mut database = Postgres::with(SHOP);
    let role = database.role("LOGIN REPLICATION PASSWORD 'x'");
    database.sql(&format!("GRANT CREATE ON DATABASE {} TO {role}; GRANT SELECT ON users, orders TO {role}; CREATE PUBLICATION flusso FOR TABLE users, orders", database.name()));
    let url = database.url_as(&role, "x", "");
    let host = host(&database, USERS).with("DATABASE_URL", &url).with("FLUSSO_MANAGE_PUBLICATION", "false");
    assert_eq!(host.documents(&["--once"]).len(), 3);
    database.sql(&format!("ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON orders FOR SELECT TO {role} USING (id > 11); UPDATE users SET name = 'x'"));
    let ended = host.run(&["--once", "--timeout", "5s"]);
    assert_ne!(ended.code, Some(0));
    assert_eq!(ended.lines, Vec::<String>::new(), "nothing is printed of rows that are hidden");
    assert!(ended.log.contains("row-level security") && ended.log.contains("BYPASSRLS"), "{}", ended.log);
}

#[test]
fn a_document_touched_by_ten_thousand_changes_is_built_once_a_batch() {
    let database = Postgres::with(
        "CREATE TABLE docs (id int PRIMARY KEY); CREATE TABLE notes (id int PRIMARY KEY, doc int); INSERT INTO docs VALUES (1)",
    );
    let host = host(&database, "table: docs\nfields:\n  - count: notes\n    table: notes\n    foreign_key: doc\n");
    assert_eq!(host.documents(&["--once"]).len(), 1);
    database.sql("INSERT INTO notes SELECT g, 1 FROM generate_series(1, 10000) g");
    let lines = host.documents(&["--once"]);
    assert!(lines.len() <= 10_000 / 256 + 1, "{} lines", lines.len());
    assert_eq!(lines.last().unwrap().document, json!({ "notes": 10_000 }));
}

#[test]
fn a_large_transaction_that_is_cut_off_between_its_batches_comes_again_whole() {
    let database = Postgres::with("CREATE TABLE docs (id int PRIMARY KEY, n int)");
    let host = Host::on(&database.url());
    let words = ["--plugin", "pg.wasm"];
    let running = host.start(&words);
    running.wait_for_log("ready");
    database.sql("INSERT INTO docs SELECT g, 1 FROM generate_series(1, 20000) g");
    running.wait_for_line(|line| line.contains(r#""id":"300""#));
    let mut found = fold(running.kill().documents());
    assert!(found.len() < 20_000, "the whole transaction was written before the kill");
    let again = fold(host.documents(&[&words[..], &["--once"]].concat()));
    assert_eq!(again.len(), 20_000, "what was not whole is not confirmed");
    found.extend(again);
    assert!(found.values().all(|body| body["n"] == 1));
}

#[test]
fn watched_tables_that_are_idle_do_not_keep_the_log_of_a_busy_server() {
    let database = Postgres::with("CREATE TABLE docs (id int PRIMARY KEY); CREATE TABLE busy (id int)");
    let host = Host::on(&database.url());
    host.file("flusso.toml", &format!("{SOURCE}[[index]]\nname = \"docs\"\n"));
    let running = host.start(&[]);
    running.wait_for_log("ready");
    let end = database.sql("INSERT INTO busy SELECT generate_series(1, 50000); SELECT pg_current_wal_lsn()");
    let moved = database.sql(&format!(
        "SET statement_timeout = '60s'; DO $$ BEGIN WHILE (SELECT confirmed_flush_lsn < '{}' FROM pg_replication_slots WHERE slot_name = 'flusso_{}') LOOP PERFORM pg_sleep(0.05); END LOOP; END $$; SELECT 'moved'",
        end.trim(),
        database.name()
    ));
    assert_eq!(moved.trim(), "moved");
}
