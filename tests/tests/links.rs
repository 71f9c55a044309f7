//! Deleted and moved rows of tables whose replica identity is only the key: the documents they were in follow, without any
//! ALTER by the operator, over live changes and after a kill.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;

use flusso_tests::{Host, Line, Postgres};

const TABLES: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int, total int);
    CREATE TABLE items (id int PRIMARY KEY, order_id int, what text);
    CREATE TABLE tags (id int PRIMARY KEY, name text);
    CREATE TABLE tagged (id int PRIMARY KEY, user_id int, tag_id int);
    CREATE TABLE notes (id int PRIMARY KEY, user_id int, hidden boolean);
    INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 40) g;
    INSERT INTO orders SELECT g, 1 + g % 40, g FROM generate_series(1, 120) g;
    INSERT INTO items SELECT g, 1 + g % 120, 'item ' || g FROM generate_series(1, 300) g;
    INSERT INTO tags SELECT g, 'tag ' || g FROM generate_series(1, 5) g;
    INSERT INTO tagged SELECT g, 1 + g % 40, 1 + g % 5 FROM generate_series(1, 80) g;
    INSERT INTO notes SELECT g, 1 + g % 40, g % 3 = 0 FROM generate_series(1, 100) g;";

const SCHEMA: &str = "version: 1
table: users
fields:
  - text: name
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    fields:
      - long: total
      - has_many: items
        table: items
        primary_key: id
        foreign_key: order_id
        fields: [{ text: what }]
  - many_to_many: tags
    table: tags
    primary_key: id
    through: { table: tagged, left_key: user_id, right_key: tag_id }
    fields: [{ text: name }]
  - count: notes
    table: notes
    foreign_key: user_id
    filters: [{ column: hidden, op: eq, value: false }]
";

/// The same documents by the server.
const SQL: &str = "SELECT u.id || ' ' || json_build_object('name', u.name,
    'orders', (SELECT coalesce(json_agg(json_build_object('total', o.total,
        'items', (SELECT coalesce(json_agg(json_build_object('what', i.what) ORDER BY i.id), '[]') FROM items i WHERE i.order_id = o.id)) ORDER BY o.id), '[]')
        FROM orders o WHERE o.user_id = u.id),
    'tags', (SELECT coalesce(json_agg(json_build_object('name', t.name) ORDER BY t.id), '[]') FROM tagged j JOIN tags t ON t.id = j.tag_id WHERE j.user_id = u.id),
    'notes', (SELECT count(*) FROM notes n WHERE n.user_id = u.id AND NOT n.hidden))::text FROM users u";

fn host(database: &Postgres) -> Host {
    let host = Host::on(&database.url());
    host.file("users.schema.yml", SCHEMA);
    host.file(
        "flusso.toml",
        "[source]\nplugin = \"pg\"\nconnection_url = { env = \"DATABASE_URL\" }\n[[index]]\nname = \"users\"\nschema = \"users.schema.yml\"\n",
    );
    host
}

type Documents = BTreeMap<String, serde_json::Value>;

/// What the lines come to.
fn take(held: &mut Documents, lines: &[String]) {
    for line in lines.iter().map(|line| Line::parse(line)) {
        match line.op.as_str() {
            "upsert" => drop(held.insert(line.id, line.document)),
            "delete" => drop(held.remove(&line.id)),
            _ => held.clear(),
        }
    }
}

fn wanted(database: &Postgres) -> Documents {
    let rows = database.sql(SQL);
    let document = |row: &str| {
        let (id, document) = row.split_once(' ').unwrap();
        (id.to_owned(), serde_json::from_str(document).unwrap())
    };
    rows.lines().map(document).collect()
}

fn compare(held: &Documents, database: &Postgres) {
    let wanted = wanted(database);
    for (id, document) in &wanted {
        assert_eq!(held.get(id), Some(document), "document {id}");
    }
    assert_eq!(held.len(), wanted.len());
}

/// A small generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// A statement that moves or removes children, and now and then brings them back.
    fn statement(&mut self) -> String {
        let (user, order, item) = (1 + self.below(40), 1 + self.below(130), 1 + self.below(320));
        match self.below(14) {
            0 => format!("DELETE FROM orders WHERE id = {order}"),
            1 | 2 => format!("UPDATE orders SET user_id = {user} WHERE id = {order}"),
            3 => format!(
                "INSERT INTO orders VALUES ({order}, {user}, 7) ON CONFLICT (id) DO UPDATE SET user_id = {user}"
            ),
            4 => format!("DELETE FROM items WHERE id = {item}"),
            5 | 6 => format!("UPDATE items SET order_id = {order} WHERE id = {item}"),
            7 => format!(
                "INSERT INTO items VALUES ({item}, {order}, 'again') ON CONFLICT (id) DO UPDATE SET order_id = {order}"
            ),
            8 => format!("DELETE FROM tagged WHERE id = {}", 1 + self.below(90)),
            9 => format!("UPDATE tagged SET user_id = {user} WHERE id = {}", 1 + self.below(90)),
            10 => format!(
                "INSERT INTO tagged VALUES ({}, {user}, {}) ON CONFLICT DO NOTHING",
                1 + self.below(90),
                1 + self.below(5)
            ),
            11 => format!("DELETE FROM notes WHERE id = {}", 1 + self.below(110)),
            12 => format!("UPDATE notes SET user_id = {user} WHERE id = {}", 1 + self.below(110)),
            _ => format!("INSERT INTO notes VALUES ({}, {user}, false) ON CONFLICT DO NOTHING", 1 + self.below(110)),
        }
    }

    fn transactions(&mut self, count: u64) -> String {
        let mut sql = String::new();
        for _ in 0..count {
            let statements: Vec<_> = (0..=self.below(3)).map(|_| self.statement()).collect();
            sql.push_str(&format!("BEGIN; {}; COMMIT;\n", statements.join("; ")));
        }
        sql
    }
}

#[test]
fn deleted_and_moved_children_leave_the_documents_they_were_in() {
    let database = Postgres::with(TABLES);
    let host = host(&database);
    let mut held = Documents::new();
    let seeded = host.run(&["--once"]).succeeded();
    for table in ["orders", "items", "tagged", "notes"] {
        let said = format!("deleted and moved rows of public.{table} are followed through the link table");
        assert!(seeded.log.contains(&said), "{}", seeded.log);
    }
    take(&mut held, &seeded.lines);
    compare(&held, &database);
    // What is known must come from the link table: it is all that a delete says.
    database.sql("DELETE FROM orders WHERE id = 1; DELETE FROM items WHERE id = 5; DELETE FROM tagged WHERE id = 3; DELETE FROM notes WHERE id = 4; UPDATE orders SET user_id = 9 WHERE id = 2; UPDATE items SET order_id = 9 WHERE id = 6");
    let followed = host.run(&["--once"]).succeeded();
    take(&mut held, &followed.lines);
    compare(&held, &database);
    assert!(followed.log.contains("nothing to seed"), "{}", followed.log);
    // The same rows again: where they went was remembered, too.
    database.sql("DELETE FROM orders WHERE id = 2; DELETE FROM items WHERE id = 6");
    take(&mut held, &host.run(&["--once"]).succeeded().lines);
    compare(&held, &database);
    let identities =
        "SELECT count(*) FROM pg_class WHERE relreplident = 'd' AND relname IN ('orders', 'items', 'tagged', 'notes')";
    assert_eq!(database.sql(identities).trim(), "4", "nothing was altered");
}

#[test]
fn the_same_over_live_changes_and_kills() {
    let database = Postgres::with(TABLES);
    let host = host(&database);
    let seed = std::env::var("FLUSSO_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11);
    println!("seed {seed}; replay with FLUSSO_TEST_SEED={seed}");
    let mut random = Random(seed);
    let mut held = Documents::new();
    for round in 0..8 {
        // The first kill hits the seeding, the writers run beside it.
        let writer = database.sql_in_background(&random.transactions(300));
        let running = host.start(&[]);
        if round > 0 {
            running.wait_for_log("ready");
        }
        std::thread::sleep(std::time::Duration::from_millis(random.below(600)));
        let ended = running.kill();
        take(&mut held, &ended.lines);
        writer.join().unwrap();
    }
    take(&mut held, &host.run(&["--once"]).succeeded().lines);
    compare(&held, &database);
}

#[test]
fn a_table_that_told_old_links_and_no_longer_does_has_its_index_seeded_again() {
    let database = Postgres::with(TABLES);
    let full = |what: &str| {
        let tables = ["orders", "items", "tagged", "notes"];
        tables.map(|table| format!("ALTER TABLE {table} REPLICA IDENTITY {what};")).concat()
    };
    database.sql(&full("FULL"));
    let host = host(&database);
    let mut held = Documents::new();
    take(&mut held, &host.run(&["--once"]).succeeded().lines);
    // While nobody looks, one of them tells less.
    database.sql("ALTER TABLE orders REPLICA IDENTITY DEFAULT; DELETE FROM orders WHERE id = 3");
    let again = host.run(&["--once"]).succeeded();
    assert!(again.log.contains("the index is seeded again") && again.log.contains("public.orders"), "{}", again.log);
    take(&mut held, &again.lines);
    compare(&held, &database);
    // And while it is followed.
    let running = host.start(&[]);
    running.wait_for_log("ready");
    database.sql("ALTER TABLE items REPLICA IDENTITY DEFAULT; DELETE FROM items WHERE id = 7");
    running.wait_for_log("seeded");
    database.sql(
        "DELETE FROM items WHERE id = 8; UPDATE items SET order_id = 4 WHERE id = 9; DELETE FROM orders WHERE id = 6",
    );
    running.wait_for_line(|line| line.contains("\"id\":\"7\""));
    running.signal("TERM");
    take(&mut held, &running.wait().succeeded().lines);
    take(&mut held, &host.run(&["--once"]).succeeded().lines);
    compare(&held, &database);
}

#[test]
fn links_beyond_their_limit_end_the_run_with_its_name() {
    let database = Postgres::with(TABLES);
    let host = host(&database);
    host.run(&["--once", "--plugin", "pg,limits.links=2KiB"]).refused(1, &["limits.links", "2048"]);
    let mut held = Documents::new();
    take(&mut held, &host.run(&["--once"]).succeeded().lines);
    compare(&held, &database);
}
