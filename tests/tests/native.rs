//! Plugins that are native libraries: the same sources as components, and one in C. They run where the operator says so, and do the
//! same.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use flusso_tests::{Host, Line, Postgres, given, native, plugin};

const SHOP: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text);
     CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric(10,2), placed timestamptz, note jsonb, paid boolean, weight float8);
     CREATE INDEX ON orders (customer_id);
     INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 50) n;
     INSERT INTO orders SELECT n, 1 + n % 50, n * 1.25, '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 minute',
         jsonb_build_object('n', n), n % 2 = 0, CASE WHEN n = 7 THEN 'NaN'::float8 ELSE n / 3.0 END FROM generate_series(1, 500) n";

const CHANGES: &str = "UPDATE customers SET name = 'changed' WHERE id = 3; DELETE FROM orders WHERE id = 9;
     UPDATE orders SET customer_id = 4 WHERE id = 10; INSERT INTO orders VALUES (1000, 3, 1, '2026-02-01T00:00:00Z', '{}', true, 1)";

/// The documents of a run over the shop, seeded and then changed: the last of each, in order.
fn documents(words: &[&str]) -> (Vec<(String, String, String)>, f64) {
    let database = Postgres::with(SHOP);
    let host = Host::on(&database.url());
    host.file(
        "orders.schema.yml",
        "version: 1\ntable: orders\nprimary_key: id\nfields:\n  - decimal: total\n  - timestamp: placed\n  - boolean: paid\n  - double: weight\n  - belongs_to: customer\n    table: customers\n    column: customer_id\n    primary_key: id\n    fields:\n      - text: name\n",
    );
    host.file(
        "flusso.toml",
        "[source]\ntype = \"postgres\"\n[[index]]\nname = \"orders\"\nschema = \"orders.schema.yml\"\n",
    );
    let started = Instant::now();
    let mut lines = host.documents(&[words, &["--once"]].concat());
    let seconds = started.elapsed().as_secs_f64();
    database.sql(CHANGES);
    lines.extend(host.documents(&[words, &["--once"]].concat()));
    let mut last = std::collections::BTreeMap::new();
    for Line { op, index, id, document } in lines {
        last.insert((index, id), if op == "delete" { op } else { document.to_string() });
    }
    (last.into_iter().map(|((index, id), document)| (index, id, document)).collect(), seconds)
}

#[test]
fn a_plugin_gives_the_same_through_either_transport() {
    let (component, library) = (given("FLUSSO_TEST_PLUGINS") + "/pg.wasm", native("plugins/pg"));
    let (of_component, first) = documents(&["--plugin", &component]);
    assert_eq!(of_component.len(), 501);
    assert!(of_component.iter().any(|(_, _, document)| document.contains("changed")), "{of_component:?}");
    assert!(of_component.iter().any(|(_, id, document)| id == "9" && document == "delete"));
    let (of_library, second) = documents(&["--plugin", &library, "--allow-native"]);
    assert_eq!(of_component, of_library);
    println!(
        "pg        source, reader, builder, range builder    component {first:.2} s    library {second:.2} s    equal"
    );
}

#[test]
fn a_tracked_builder_gives_the_same_through_either_transport() {
    let built = |builder: &str, words: &[&str]| {
        let database = Postgres::with(
            "CREATE TABLE categories (id bigint PRIMARY KEY, parent_id bigint, name text);
             INSERT INTO categories SELECT n, CASE WHEN n > 1 THEN n / 2 END, 'c' || n FROM generate_series(1, 40) n;
             CREATE TABLE users (id bigint PRIMARY KEY, name text); CREATE TABLE products (id bigint PRIMARY KEY, title text);
             CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, status text);
             CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint, product_id bigint, quantity int NOT NULL, price numeric(12,2) NOT NULL);
             INSERT INTO users SELECT n, 'u' || n FROM generate_series(1, 9) n; INSERT INTO products SELECT n, 'p' || n FROM generate_series(1, 9) n;
             INSERT INTO orders SELECT n, 1 + n % 9, 'open' FROM generate_series(1, 90) n;
             INSERT INTO order_items SELECT n, 1 + n % 90, 1 + n % 9, n % 5, n * 0.5 FROM generate_series(1, 300) n",
        );
        let host = Host::on(&database.url());
        let words = [&["--plugin", "pg", "--plugin", builder], words, &["--once"]].concat();
        let mut lines = host.documents(&words);
        database.sql("UPDATE users SET name = 'changed' WHERE id = 2; UPDATE products SET title = 'changed' WHERE id = 3; DELETE FROM orders WHERE id = 5");
        lines.extend(host.documents(&words));
        let mut said: Vec<_> =
            lines.iter().map(|line| format!("{} {} {}", line.index, line.id, line.document)).collect();
        said.sort();
        said
    };
    let of_component = built(&plugin("tests/guests/shop"), &[]);
    assert!(of_component.iter().filter(|line| line.contains("changed")).count() > 10, "{of_component:?}");
    assert_eq!(of_component, built(&native("tests/guests/shop"), &["--allow-native"]));
}

#[test]
fn a_sink_gives_the_same_through_either_transport_and_in_c() {
    let database = Postgres::with(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 300) n",
    );
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let c = folder.path().join(format!("c-sink.{}", std::env::consts::DLL_EXTENSION));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-I"])
        .arg(root.join("plugins/abi/include"))
        .arg("-o")
        .arg(&c)
        .arg(root.join("tests/guests/c-sink/sink.c"))
        .status();
    assert!(compiled.is_ok_and(|status| status.success()));
    let host = Host::on(&database.url());
    host.file(
        "flusso.toml",
        &format!(
            "[source]\nplugin = \"pg\"\n[sinks.component]\nplugin = \"ndjson\"\npath = \"component\"\n[sinks.native]\nplugin = \"{}\"\ntrusted = true\npath = \"native\"\n[sinks.c]\nplugin = \"{}\"\ntrusted = true\npath = \"{}\"\n",
            native("plugins/ndjson"),
            c.display(),
            host.folder().join("c").display()
        ),
    );
    std::fs::create_dir(host.folder().join("component")).unwrap_or_else(|error| panic!("{error}"));
    std::fs::create_dir(host.folder().join("native")).unwrap_or_else(|error| panic!("{error}"));
    host.run(&["--once"]).succeeded();
    database.sql("UPDATE t SET v = 'changed' WHERE id < 10; DELETE FROM t WHERE id = 20");
    let said = host.run(&["--once"]).succeeded();
    assert!(said.log.contains("a sink in C is open"), "{}", said.log);
    let read = |name: &str| {
        std::fs::read_to_string(host.folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let (component, library, c) = (read("component/t.ndjson"), read("native/t.ndjson"), read("c"));
    assert_eq!(component, library);
    assert_eq!(component.lines().count(), 310);
    // It has no durable marks, and is seeded at every start.
    assert_eq!(c.lines().count(), 310 + 299);
    assert!(c.contains("t 9 {\"id\":9,\"v\":\"changed\"}\n") && c.contains("t 20 -\n"), "{c}");
}

#[test]
fn a_native_library_runs_where_the_operator_says_so_and_is_said_to_be_one() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let host = Host::on(&database.url());
    let library = native("plugins/pg");
    let once = |more: &[&str]| host.run(&[&["--once", "--plugin", &library], more].concat());
    once(&[]).refused(3, &["--plugin", "is a native library", "trusted = true", "--allow-native"]);
    let trusted = format!("{library},trusted=true");
    assert_eq!(host.documents(&["--once", "--plugin", &trusted]).len(), 1);
    let checked = host.run(&["check", "--allow-native", "--plugin", &library]).succeeded().lines.join("\n");
    assert!(checked.contains("native: no sandbox holds it"), "{}", checked);
    let inspected = host.run(&["plugin", "inspect", &library]).succeeded().lines.join("\n");
    assert!(inspected.contains("native library: no sandbox holds it"), "{}", inspected);
    let folder = Path::new(&library).parent().unwrap_or(Path::new("")).display().to_string();
    let listed = host.run(&["plugin", "list", "--plugin-dir", &folder]).succeeded().lines.join("\n");
    assert!(listed.lines().any(|line| line.contains("native") && line.contains(&library)), "{}", listed);
    // By its name the component is meant, wherever there is one.
    let folders = format!("{folder}:{}", given("FLUSSO_TEST_PLUGINS"));
    database.sql("INSERT INTO t VALUES (2)");
    assert_eq!(host.documents(&["--once", "--plugin-dir", &folders, "--plugin", "pg"]).len(), 1);
}
