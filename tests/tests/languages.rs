//! Builders in other languages, under `examples/`: made with their toolchain, run over a real database, their documents compared with
//! SQL after changes of every table.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use flusso_tests::{Ended, Host, Postgres, given, plugin};
use serde_json::Value;

const SHOP: &str = "
    CREATE TABLE users (id bigint PRIMARY KEY, name text);
    CREATE TABLE products (id bigint PRIMARY KEY, title text, stock int);
    CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, status text);
    CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint, product_id bigint, quantity int NOT NULL, price numeric(30,4) NOT NULL);
    CREATE TABLE categories (id bigint PRIMARY KEY, parent_id bigint, name text);
    INSERT INTO users SELECT i, 'user '||i FROM generate_series(1,40) i;
    INSERT INTO products SELECT i, 'product \"'||i||'\" é', i FROM generate_series(1,30) i;
    INSERT INTO orders SELECT i, 1+i%40, CASE WHEN i%9=0 THEN 'void' ELSE 'open' END FROM generate_series(1,200) i;
    INSERT INTO order_items SELECT i, 1+i%200, 1+i%30, i%5, i*0.5 FROM generate_series(1,600) i;
    INSERT INTO categories SELECT i, CASE WHEN i>5 THEN i/3 END, 'category '||i FROM generate_series(1,80) i;";

const MOVES: &[&str] = &[
    "UPDATE users SET name = 'renamed' WHERE id = 3; UPDATE products SET title = NULL WHERE id = 4; UPDATE products SET stock = 9",
    "UPDATE orders SET user_id = 5 WHERE id = 7; UPDATE orders SET status = 'open' WHERE id = 9; UPDATE orders SET status = 'void' WHERE id = 10",
    "UPDATE order_items SET order_id = 20 WHERE id = 30; UPDATE order_items SET product_id = 99 WHERE id = 31; DELETE FROM order_items WHERE id % 7 = 0",
    "UPDATE categories SET name = 'Top' WHERE id = 1; UPDATE categories SET parent_id = 2 WHERE id = 9; DELETE FROM categories WHERE id = 4",
    "DELETE FROM users WHERE id = 6; DELETE FROM orders WHERE id = 12; UPDATE orders SET id = 1000 WHERE id = 13",
    "INSERT INTO order_items VALUES (1000, 1, 1, 3, 12345678901234567890.1234); INSERT INTO orders VALUES (2000, NULL, 'new')",
    "TRUNCATE order_items; INSERT INTO order_items VALUES (1, 1, 1, 2, 0.1)",
];

type Documents = BTreeMap<(String, String), Value>;

/// The documents as SQL makes them.
fn wanted(database: &Postgres) -> Documents {
    let orders = "SELECT json_build_object('id', o.id, 'status', o.status, 'user', (SELECT u.name FROM users u WHERE u.id = o.user_id),
        'total', (SELECT coalesce(sum(i.quantity * i.price), 0) FROM order_items i WHERE i.order_id = o.id),
        'items', (SELECT coalesce(json_agg(json_build_object('quantity', i.quantity, 'price', i.price,
            'title', (SELECT p.title FROM products p WHERE p.id = i.product_id)) ORDER BY i.id), '[]')
            FROM order_items i WHERE i.order_id = o.id)) FROM orders o WHERE o.status IS DISTINCT FROM 'void'";
    let categories = "WITH RECURSIVE up(id, above, path) AS (
        SELECT id, parent_id, ARRAY[name] FROM categories
        UNION ALL SELECT up.id, c.parent_id, c.name || up.path FROM up JOIN categories c ON c.id = up.above)
        SELECT json_build_object('id', up.id, 'path', up.path) FROM up WHERE up.above IS NULL";
    let mut wanted = BTreeMap::new();
    for (index, sql) in [("orders", orders), ("categories", categories)] {
        for row in database.sql(sql).lines() {
            let row: Value = serde_json::from_str(row).unwrap();
            wanted.insert((index.to_owned(), row["id"].to_string()), row);
        }
    }
    wanted
}

fn take(ended: &Ended, held: &mut Documents) {
    for line in ended.documents() {
        match line.op.as_str() {
            "clear" => held.retain(|(index, _), _| *index != line.index),
            "delete" => drop(held.remove(&(line.index, line.id))),
            _ => drop(held.insert((line.index, line.id), line.document)),
        }
    }
}

/// Numbers as numbers: `1.50` and `1.5` are one.
fn plain(documents: &Documents) -> Documents {
    let number = |value: &Value| value.as_f64().map(Value::from);
    fn walk(value: &Value, number: &impl Fn(&Value) -> Option<Value>) -> Value {
        match value {
            Value::Array(list) => list.iter().map(|one| walk(one, number)).collect(),
            Value::Object(map) => map.iter().map(|(key, one)| (key.clone(), walk(one, number))).collect(),
            other => number(other).unwrap_or_else(|| other.clone()),
        }
    }
    documents.iter().map(|(key, value)| (key.clone(), walk(value, &number))).collect()
}

/// Follows every move, compared with SQL after each.
fn follows(plugin: &Path) {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let plugin = plugin.display().to_string();
    let words = ["--plugin", "pg", "--plugin", plugin.as_str(), "--once"];
    let mut held = Documents::new();
    let started = Instant::now();
    take(&host.run(&words).succeeded(), &mut held);
    eprintln!("seeded in {:.1} s, with what compiling the component takes", started.elapsed().as_secs_f64());
    assert_eq!(plain(&held), plain(&wanted(&database)));
    for statement in MOVES {
        database.sql(statement);
        take(&host.run(&words).succeeded(), &mut held);
        assert_eq!(plain(&held), plain(&wanted(&database)), "{statement}");
    }
    // What cannot be built is that document's failure.
    database.sql("INSERT INTO categories VALUES (900, 901, 'round'), (901, 900, 'and round')");
    host.run(&words).refused(7, &["cycle", "categories"]);
}

fn run(command: &mut Command) {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&ended.stderr));
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Adds the manifest, which the component is asked for, and follows what it builds.
fn adopted(component: &Path) {
    let plugin = component.with_file_name("plugin.wasm");
    run(Command::new(given("FLUSSO_TEST_HOST"))
        .args(["plugin", "build"])
        .arg(component)
        .arg("-o")
        .arg(&plugin)
        .env("FLUSSO_CACHE_DIR", given("FLUSSO_TEST_CACHE")));
    follows(&plugin);
}

#[test]
fn a_builder_in_rust_follows_every_table() {
    follows(Path::new(&plugin("tests/guests/shop")));
}

#[test]
fn settings_reach_a_build_and_a_wrong_one_is_refused() {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    let with = |setting: &str| {
        let plugin = format!("{},{setting}", plugin("tests/guests/shop"));
        host.run(&["--plugin", "pg", "--plugin", &plugin, "--once"])
    };
    let mut held = Documents::new();
    take(&with("hidden=open").succeeded(), &mut held);
    let orders = held.iter().filter(|((index, _), _)| index == "orders");
    assert!(orders.clone().count() > 0 && orders.clone().all(|(_, order)| order["status"] == "void"), "{held:?}");
    with("hiden=open").refused(2, &["hiden", "hidden"]);
}

#[test]
#[ignore = "needs componentize-py: tests/run installs it"]
fn a_builder_in_python_follows_every_table() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("app.wasm");
    run(Command::new(given("FLUSSO_TEST_COMPONENTIZE_PY"))
        .args(["-d", "../../wit", "-w", "tracked-builder-plugin", "componentize", "app", "-o"])
        .arg(&component)
        .current_dir(examples().join("python-builder")));
    adopted(&component);
}

#[test]
#[ignore = "needs componentize-js: tests/run installs it"]
fn a_builder_in_javascript_follows_every_table() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("app.wasm");
    run(Command::new(given("FLUSSO_TEST_COMPONENTIZE_JS"))
        .args(["app.js", "-w", "../../wit", "-n", "tracked-builder-plugin", "-o"])
        .arg(&component)
        .current_dir(examples().join("javascript-builder")));
    adopted(&component);
}
