//! Tracked builders: a builder that only builds (`tests/guests/tracked`), over a real database. The host finds by its reads which
//! documents a change touches, so its documents are those that SQL gives, whatever happens on the way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flusso_tests::{Host, Line, Postgres, plugin};
use serde_json::Value;

/// The built guest.
fn guest() -> String {
    plugin("tests/guests/tracked")
}

const SHOP: &str = "
    CREATE TABLE users (id bigint PRIMARY KEY, name text, email text);
    CREATE TABLE products (id bigint PRIMARY KEY, title text, stock int);
    CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, status text);
    CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint, product_id bigint, quantity int, price numeric(10,2));
    CREATE TABLE categories (id bigint PRIMARY KEY, parent_id bigint, name text);
    CREATE TABLE addresses (id bigint PRIMARY KEY, user_id bigint, city text);
    INSERT INTO users SELECT i, 'user '||i, 'x' FROM generate_series(1,40) i;
    INSERT INTO products SELECT i, 'product '||i, i FROM generate_series(1,30) i;
    INSERT INTO orders SELECT i, 1+i%40, CASE WHEN i%9=0 THEN 'void' ELSE 'open' END FROM generate_series(1,200) i;
    INSERT INTO order_items SELECT i, 1+i%200, 1+i%30, i%5, i*0.5 FROM generate_series(1,600) i;
    INSERT INTO categories SELECT i, CASE WHEN i>5 THEN i/3 END, 'category '||i FROM generate_series(1,80) i;";

/// The documents as SQL makes them.
fn wanted(database: &Postgres) -> BTreeMap<(String, String), Value> {
    let orders = "SELECT json_build_object('id', o.id, 'status', o.status, 'user', (SELECT u.name FROM users u WHERE u.id = o.user_id),
        'items', (SELECT coalesce(json_agg(json_build_object('quantity', i.quantity, 'price', trim_scale(i.price)::text,
            'title', (SELECT p.title FROM products p WHERE p.id = i.product_id)) ORDER BY i.id), '[]')
            FROM order_items i WHERE i.order_id = o.id)) FROM orders o WHERE o.status IS DISTINCT FROM 'void'";
    let categories = "WITH RECURSIVE up(id, above, path) AS (
        SELECT id, parent_id, ARRAY[name] FROM categories
        UNION ALL SELECT up.id, c.parent_id, c.name || up.path FROM up JOIN categories c ON c.id = up.above)
        SELECT json_build_object('id', up.id, 'path', up.path) FROM up
        WHERE up.above IS NULL OR NOT EXISTS (SELECT FROM categories c WHERE c.id = up.above)";
    let mut wanted = BTreeMap::new();
    for (index, sql) in [("orders", orders), ("categories", categories)] {
        for row in database.sql(sql).lines() {
            let row: Value = serde_json::from_str(row).unwrap();
            let id = row["id"].to_string();
            wanted.insert((index.to_owned(), id), row);
        }
    }
    wanted
}

/// What a reader of the lines has.
fn take(lines: Vec<Line>, found: &mut BTreeMap<(String, String), Value>) {
    for line in lines {
        match line.op.as_str() {
            "clear" => found.retain(|(index, _), _| *index != line.index),
            "delete" => drop(found.remove(&(line.index, line.id))),
            _ => drop(found.insert((line.index, line.id), line.document)),
        }
    }
}

/// Statements that move, change, add and remove rows of every table, from a small generator.
fn workload(rounds: u64, seed: u64) -> String {
    let mut state = seed | 1;
    let mut below = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    };
    let mut sql = String::new();
    for number in 0..rounds {
        let new = 10_000 + number;
        let (order, item, user, product, category) =
            (1 + below(220), 1 + below(650), 1 + below(45), 1 + below(33), 6 + below(90));
        sql.push_str(&match below(16) {
            0 => format!("UPDATE users SET name = 'name {number}' WHERE id = {user};"),
            1 => format!("DELETE FROM users WHERE id = {user};"),
            2 => format!("INSERT INTO users VALUES ({user}, 'again {number}') ON CONFLICT DO NOTHING;"),
            3 => format!("UPDATE products SET title = 'title {number}' WHERE id = {product};"),
            4 => format!("UPDATE orders SET user_id = {user} WHERE id = {order};"),
            5 => format!(
                "UPDATE orders SET status = CASE status WHEN 'void' THEN 'open' ELSE 'void' END WHERE id = {order};"
            ),
            6 => format!("DELETE FROM orders WHERE id = {order};"),
            7 => format!("INSERT INTO orders VALUES ({order}, {user}, 'new') ON CONFLICT DO NOTHING;"),
            8 => format!("UPDATE order_items SET order_id = {order} WHERE id = {item};"),
            9 => format!("UPDATE order_items SET product_id = {product}, quantity = {number} WHERE id = {item};"),
            10 => format!("DELETE FROM order_items WHERE id = {item};"),
            11 => format!("INSERT INTO order_items VALUES ({new}, {order}, {product}, 1, 2.50);"),
            12 => format!("UPDATE order_items SET id = {} WHERE id = {item};", 100_000 + number),
            // Always below their own number, so that nothing goes in a circle.
            13 => format!("UPDATE categories SET parent_id = {} WHERE id = {category};", 1 + below(category - 1)),
            14 => format!("UPDATE categories SET name = 'name {number}' WHERE id = {category};"),
            _ => format!("UPDATE orders SET id = {} WHERE id = {order};", 1_000_000 + number),
        });
        if number % 400 == 399 {
            sql.push_str("TRUNCATE order_items; INSERT INTO order_items SELECT i, 1+i%200, 1+i%30, i%5, i*0.5 FROM generate_series(1,600) i;");
        }
        if number % 5 == 0 {
            // So slow that the stream outlasts the kills.
            sql.push_str("SELECT pg_sleep(0.004);");
        }
        sql.push('\n');
    }
    sql
}

/// The shop, its tables with this replica identity.
fn shop(identity: &str) -> Postgres {
    let database = Postgres::with(SHOP);
    for table in ["users", "products", "orders", "order_items", "categories"] {
        database.sql(&format!("ALTER TABLE {table} REPLICA IDENTITY {identity}"));
    }
    database
}

/// Seeds, follows a random stream under kill -9, and compares with SQL.
fn converges(identity: &str, seed: u64) {
    let database = shop(identity);
    let host = Host::on(&database.url());
    let guest = guest();
    let words = ["--plugin", "pg", "--plugin", guest.as_str()];
    let mut found = BTreeMap::new();
    let writer = database.sql_in_background(&workload(3_000, seed));
    let mut kills = 0;
    while !writer.is_finished() {
        let running = host.start(&words);
        std::thread::sleep(Duration::from_millis(300 + 137 * (kills % 5)));
        let ended = running.kill();
        assert!(ended.code.is_none(), "the host ended by itself: {}", ended.log);
        take(ended.documents(), &mut found);
        kills += 1;
    }
    writer.join().unwrap();
    take(host.documents(&[&words[..], &["--once"]].concat()), &mut found);
    assert!(kills >= 3, "{kills} kills: the stream was over too soon");
    let wanted = wanted(&database);
    println!("{kills} kills, {} documents, seed {seed}", wanted.len());
    for (id, document) in &wanted {
        assert_eq!(found.get(id), Some(document), "{id:?}, seed {seed}");
    }
    let more: Vec<_> = found.keys().filter(|id| !wanted.contains_key(id)).collect();
    assert!(more.is_empty(), "{more:?} are gone, seed {seed}");
}

#[test]
fn documents_are_those_of_sql_where_old_values_are_told() {
    converges("FULL", 0x5eed_0001);
}

#[test]
fn documents_are_those_of_sql_where_old_values_are_not_told() {
    converges("DEFAULT", 0x5eed_0002);
}

#[test]
fn a_change_wakes_the_documents_that_read_the_row_and_no_others() {
    // Without the values of before, the source cannot tell that an update changed nothing that is read.
    let database = shop("FULL");
    let host = Host::on(&database.url());
    let guest = guest();
    let words = ["--plugin", "pg", "--plugin", guest.as_str(), "--once"];
    host.documents(&words);
    let touched = |sql: &str| {
        database.sql(sql);
        let mut ids: Vec<String> =
            host.documents(&words).into_iter().map(|line| format!("{} {}", line.index, line.id)).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        touched("UPDATE users SET name = 'new' WHERE id = 3"),
        ["orders 122", "orders 162", "orders 2", "orders 42", "orders 82"]
    );
    assert_eq!(touched("UPDATE order_items SET order_id = 7 WHERE id = 5"), ["orders 6", "orders 7"]);
    assert_eq!(touched("DELETE FROM order_items WHERE id = 5"), ["orders 7"]);
    // A column that no build reads, and a table that no build looks up.
    assert_eq!(
        touched(
            "UPDATE users SET email = 'y'; UPDATE products SET stock = 0; INSERT INTO addresses VALUES (1, 1, 'z')"
        ),
        [""; 0]
    );
    // A row that was not there before belonged to nothing before.
    assert_eq!(touched("INSERT INTO order_items VALUES (9001, 7, 1, 1, 1)"), ["orders 7"]);
    assert_eq!(touched("UPDATE order_items SET id = 9002 WHERE id = 9001"), ["orders 7"]);
    assert_eq!(touched("INSERT INTO order_items VALUES (9003, NULL, 1, 1, 1)"), [""; 0]);
    // The path of a category depends on every category above it.
    assert_eq!(
        touched("UPDATE categories SET name = 'top' WHERE id = 26"),
        ["categories 26", "categories 78", "categories 79", "categories 80"]
    );
}

/// A lookup is recorded before it is made: a change that is resolved while a build waits for its rows is not in the build's view,
/// and must build the document again.
#[test]
fn a_change_that_is_resolved_while_a_build_reads_builds_the_document_again() {
    let database = shop("FULL");
    let host = Host::on(&database.url());
    let guest = guest();
    // Nobody has looked items up when the second run begins.
    host.documents(&["--plugin", "pg", "--plugin", &format!("{guest},how=no-items"), "--once"]);
    let holder =
        database.sql_in_background("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(5); COMMIT");
    let wait_for_lock = |granted: bool| {
        let count = format!("SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass AND granted = {granted}");
        let until = Instant::now() + Duration::from_secs(20);
        while database.sql(&count).trim() == "0" {
            assert!(Instant::now() < until, "no lock on users that is granted = {granted}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for_lock(true);
    let running = host.start(&["--plugin", "pg", "--plugin", &guest, "--reseed"]);
    // A build has read its root rows, and with that its view has begun, when it waits for the users.
    wait_for_lock(false);
    database.sql("UPDATE order_items SET quantity = 77 WHERE id = 5");
    std::thread::sleep(Duration::from_secs(1));
    assert!(!holder.is_finished(), "the lock was not held long enough");
    holder.join().unwrap();
    running.wait_for_line(|line| {
        let line = Line::parse(line);
        line.index == "orders" && line.id == "6" && line.document["items"].to_string().contains("\"quantity\":77")
    });
}

/// What a rebuild no longer looks up wakes the document no more, once the batch after it is confirmed.
#[test]
fn a_lookup_that_is_made_no_more_wakes_nobody() {
    let database = shop("FULL");
    let host = Host::on(&database.url());
    let running = host.start(&["--plugin", "pg", "--plugin", &guest()]);
    running.wait_for_log("seeded index=\"orders\"");
    running.wait_for_log("seeded index=\"categories\"");
    let mut named = 0;
    let mut change = |sql: &str, id: &str| {
        database.sql(sql);
        let all = || running.lines().iter().map(|line| Line::parse(line)).collect::<Vec<_>>();
        let is_new = |lines: &[Line]| lines.iter().skip(named).any(|line| format!("{} {}", line.index, line.id) == id);
        let until = Instant::now() + Duration::from_secs(20);
        while !is_new(&all()) {
            assert!(Instant::now() < until, "{id} was not built after {sql}");
            std::thread::sleep(Duration::from_millis(20));
        }
        // It is confirmed, too.
        std::thread::sleep(Duration::from_millis(700));
        let lines = all();
        let ids = lines.iter().skip(named).map(|line| format!("{} {}", line.index, line.id)).collect::<Vec<_>>();
        named = lines.len();
        ids
    };
    change("UPDATE orders SET user_id = 9 WHERE id = 2", "orders 2");
    change("UPDATE categories SET name = 'x' WHERE id = 80", "categories 80");
    let mut ids = change("UPDATE users SET name = 'newer' WHERE id = 3", "orders 42");
    ids.sort();
    assert_eq!(ids, ["orders 122", "orders 162", "orders 42", "orders 82"]);
    assert!(change("UPDATE users SET name = 'nine' WHERE id = 9", "orders 2").contains(&"orders 8".to_owned()));
}

#[test]
fn a_table_that_is_read_as_a_whole_is_warned_of_and_said_when_it_builds_everything_again() {
    let database = shop("FULL");
    let host = Host::on(&database.url());
    let plugin = format!("{},how=whole-table", guest());
    let words = ["--plugin", "pg", "--plugin", plugin.as_str()];
    let checked = host.run(&[&["check"], &words[..]].concat()).succeeded();
    let said = checked.lines.join("\n");
    for part in ["table public.users", "it is read as a whole for orders", "look rows"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    assert!(!said.contains("read as a whole for categories"), "{said}");
    let once = || host.run(&[&words[..], &["--once"]].concat()).succeeded();
    once();
    database.sql("UPDATE users SET name = 'new' WHERE id = 3");
    let again = once();
    let built = again.documents().iter().filter(|line| line.index == "orders" && line.op == "upsert").count();
    assert!(built > 100, "{built}");
    for part in ["every document of an index is built again", "index=\"orders\"", "public.users", "reads as a whole"] {
        assert!(again.log.contains(part), "{part:?} is missing in {}", again.log);
    }
    database.sql("UPDATE users SET email = 'z' WHERE id = 3");
    assert!(once().documents().is_empty(), "nobody reads the e-mail address");
}

#[test]
fn what_the_macros_of_tracing_say_in_a_plugin_is_in_the_log() {
    let database = Postgres::with(SHOP);
    let plugin = format!("{},how=log", guest());
    let ended = Host::on(&database.url()).run(&["--plugin", "pg", "--plugin", &plugin, "--once"]).succeeded();
    let line = ended.log.lines().find(|line| line.contains("building some")).unwrap_or_else(|| panic!("{}", ended.log));
    for words in ["WARN", "documents=", "table=orders", "plugin=\"tracked\""] {
        assert!(line.contains(words), "{words} is missing in {line}");
    }
    assert!(!ended.log.contains("not shown"), "{}", ended.log);
}

#[test]
fn an_index_whose_reads_were_not_recorded_is_seeded_again() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let (before, after) = (guest(), format!("{},how=more-reads", guest()));
    let run = |guest: &str| host.run(&["--plugin", "pg", "--plugin", guest, "--once"]).succeeded();
    let seeded = run(&before).documents().len();
    assert!(run(&before).documents().is_empty());
    // The same hash, and a lookup more: nobody knows which documents make it.
    let again = run(&after);
    assert!(again.log.contains("seeding index=\"orders\""), "{}", again.log);
    assert!(!again.log.contains("seeding index=\"categories\""), "{}", again.log);
    let written = again.documents().iter().filter(|line| line.op == "upsert").count();
    assert!(written > 100 && written < seeded, "{written} of {seeded}");
    assert!(run(&after).documents().is_empty());
}

#[test]
fn a_builder_of_other_code_and_the_same_hash_is_said_once() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let folder = host.folder().join("plugins");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("tracked.wasm");
    std::fs::copy(guest(), &file).unwrap();
    let plugin = file.display().to_string();
    let said = || {
        let log = host.run(&["--plugin", "pg", "--plugin", &plugin, "--once"]).succeeded().log;
        log.lines()
            .filter(|line| line.contains("another file than at the last start"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!((said(), said()), (Vec::new(), Vec::new()));
    // A custom section: id, size, name.
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend([0, 3, 2, b'n', b'o']);
    std::fs::write(&file, bytes).unwrap();
    let once = said();
    assert!(once.len() == 1 && once[0].contains("categories, orders") && once[0].contains("version"), "{once:?}");
    assert_eq!(said(), Vec::<String>::new());
}

#[test]
fn what_a_build_may_not_do_is_an_error_that_names_it() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let guest = guest();
    for (how, words) in [
        ("unknown-table", vec!["tracked", "public.userz", "orders"]),
        ("unknown-column", vec!["tracked", "\"nam\"", "public.users", "orders", "id, name, email"]),
        ("undeclared-table", vec!["tracked", "public.addresses", "orders", "declare"]),
        ("undeclared-column", vec!["tracked", "\"email\"", "public.users", "orders", "declare"]),
        ("undeclared-lookup", vec!["tracked", "by name", "public.users", "orders", "declare"]),
        ("other-document", vec!["tracked", "document 1000000", "orders"]),
        ("hidden", vec!["tracked", "public.addresses", "orders", "declare"]),
        ("fewer", vec!["tracked", "outcomes for"]),
    ] {
        let plugin = format!("{guest},how={how}");
        let ended = host.run(&["--plugin", "pg", "--plugin", &plugin, "--once"]);
        assert!(ended.code.is_some_and(|code| code != 0), "{how}: {}", ended.log);
        for word in words {
            assert!(ended.log.contains(word), "{how}: {word:?} is missing in {}", ended.log);
        }
        assert!(ended.documents().iter().all(|line| line.index != "orders"), "{how}: a document was written");
    }
}

/// A change of `24 hours` would not find the document that looked for `1 day`, although the database holds them as equal.
#[test]
fn a_lookup_by_what_is_equal_and_looks_different_is_refused() {
    let database = Postgres::with(SHOP);
    database.sql("ALTER TABLE order_items ALTER order_id TYPE interval USING order_id * interval '1 day'");
    let host = Host::on(&database.url());
    let guest = guest();
    for words in [&["check"][..], &["--once"]] {
        let ended = host.run(&[words, &["--plugin", "pg", "--plugin", guest.as_str()]].concat());
        let said = format!("{}{}", ended.log, ended.lines.join("\n"));
        assert_eq!(ended.code, Some(2), "{said}");
        assert!(said.contains("looks up public.order_items by \"order_id\" for the index \"orders\""), "{said}");
    }
}
