//! `schema-builder`: documents as schema files describe them, over files and over PostgreSQL.

use std::collections::BTreeMap;
use std::path::Path;

use flusso_tests::{Host, Postgres, plugin};
use serde_json::Value;

/// A file of the shop of `examples/quickstart`.
fn shop(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = match name {
        "shop.sql" => "host/src/demo",
        "orders.schema.yml" => "examples/quickstart",
        _ => "examples/quickstart/shop",
    };
    std::fs::read_to_string(root.join(folder).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const FILES: [&str; 4] = ["users.csv", "products.csv", "orders.ndjson", "order_items.csv"];

/// The shop of the demo in files, without a builder yet.
fn files() -> Host {
    let host = Host::new();
    for name in FILES {
        host.file(&format!("shop/{name}"), &shop(name));
    }
    host.file("orders.schema.yml", &schema());
    host
}

/// That of the demo, with values over the items.
fn schema() -> String {
    let of_items = "table: order_items\n    foreign_key: order_id";
    let value = "column: quantity\n    value_type: long";
    let more = format!(
        "  - count: lines\n    {of_items}\n    filters: [{{ column: quantity, op: gt, value: 1 }}]\n  - sum: pieces\n    {of_items}\n    {value}\n  - \
         avg: mean\n    {of_items}\n    column: quantity\n  - min: least\n    {of_items}\n    {value}\n  - max: most\n    {of_items}\n    {value}\n  - \
         many_to_many: products\n    table: products\n    primary_key: id\n    through: {{ table: order_items, left_key: order_id, right_key: \
         product_id }}\n    order_by: [{{ column: price, direction: desc }}]\n    limit: 1\n    fields: [{{ text: name }}]\n"
    );
    shop("orders.schema.yml") + &more
}

fn config(host: &Host, builder: &str, indexes: &str) {
    host.file(
        "flusso.toml",
        &format!("[source]\nplugin = \"{}\"\npath = \"shop\"\n{builder}\n{indexes}", plugin("plugins/files")),
    );
}

const ORDERS: &str = "[[index]]\nname = \"orders\"\nschema = \"orders.schema.yml\"\n";

fn builder() -> String {
    format!("[builder]\nplugin = \"{}\"\n", plugin("plugins/schema-builder"))
}

/// Numbers as they compare: a decimal may come with zeros behind it. A moment in UTC, however its zone is written.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => members.into_iter().map(|(name, member)| (name, plain(member))).collect(),
        Value::String(text) => Value::from(text.strip_suffix("+00:00").map_or(text.clone(), |text| format!("{text}Z"))),
        other => other,
    }
}

/// What a run prints, by id; `None`: deleted.
fn documents(host: &Host) -> BTreeMap<String, Option<Value>> {
    let lines = host.documents(&["--once"]).into_iter();
    lines.map(|line| (line.id, (line.op == "upsert").then(|| plain(line.document)))).collect()
}

#[test]
fn files_and_postgresql_give_the_same_documents_and_follow_the_same_changes() {
    let host = files();
    config(&host, &builder(), ORDERS);
    let database = Postgres::with(&shop("shop.sql"));
    let beside = Host::on(&database.url());
    beside.file("orders.schema.yml", &schema());
    beside.file("flusso.toml", &format!("[source]\nplugin = \"pg\"\n{ORDERS}"));

    let seeded = documents(&host);
    assert_eq!(seeded.len(), 6);
    assert_eq!(seeded, documents(&beside));
    let one = seeded["1002"].as_ref().unwrap();
    assert_eq!(one["customer"]["name"], "Grace Hopper");
    let values = ["lines", "pieces", "mean", "least", "most"].map(|name| one[name].as_f64().unwrap_or(f64::NAN));
    assert_eq!(values, [1.0, 5.0, 2.5, 1.0, 4.0]);
    assert_eq!(one["products"][0]["name"], "Fountain pen");

    // A row three tables away, rows that come and go, a root row that goes.
    for (name, goes, comes) in [
        ("products.csv", "2,Hand grinder,74.50", "2,Burr mill,74.50"),
        ("order_items.csv", "10,1005,4,2\n", ""),
        ("order_items.csv", "11,1006,6,10\n", "11,1006,6,9\n12,1006,9,1\n"),
        ("orders.ndjson", &format!("{}\n", shop("orders.ndjson").lines().next().unwrap_or_default()), ""),
    ] {
        let path = host.folder().join("shop").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(goes), "{name} has no {goes}");
        std::fs::write(path, text.replace(goes, comes)).unwrap();
    }
    database.sql(
        "UPDATE products SET name = 'Burr mill' WHERE id = 2; DELETE FROM order_items WHERE order_id = 1005 AND product_id = 4;
         UPDATE order_items SET quantity = 9 WHERE order_id = 1006; INSERT INTO order_items VALUES (1006, 9, 1);
         DELETE FROM order_items WHERE order_id = 1001; DELETE FROM orders WHERE id = 1001",
    );
    let changed = documents(&host);
    assert_eq!(changed.keys().collect::<Vec<_>>(), ["1001", "1004", "1005", "1006"]);
    assert_eq!(changed["1001"], None);
    assert_eq!(changed, documents(&beside));
}

#[test]
fn over_a_source_that_builds_nothing_it_is_taken_by_itself() {
    let host = files();
    config(&host, "", ORDERS);
    let missing = host.run(&["--once"]);
    missing.refused(
        2,
        &["\"files\" builds no documents", "schema-builder.wasm", "plugin build plugins/schema-builder", "[builder]"],
    );

    let folder = plugin("plugins/schema-builder");
    let folder = Path::new(&folder).parent().unwrap().display().to_string();
    let lines = host.documents(&["--once", "--plugin-dir", &folder]);
    assert_eq!(lines.len(), 6);
    // Without an index, each table that has a key is one.
    config(&host, "", "");
    let lines = host.documents(&["--once", "--plugin-dir", &folder]);
    let indexes: std::collections::BTreeSet<_> = lines.iter().map(|line| line.index.as_str()).collect();
    assert_eq!(indexes.into_iter().collect::<Vec<_>>(), ["order_items", "orders", "products", "users"]);
    // An index without a schema is the table of its name.
    config(&host, "", "[[index]]\nname = \"products\"\n");
    let lines = host.documents(&["--once", "--plugin-dir", &folder, "--reseed"]);
    let one = lines.iter().find(|line| line.id == "5").map(|line| line.document.to_string());
    assert_eq!(one.as_deref(), Some(r#"{"id":5,"name":"Fountain pen","price":48}"#));
    // Over a source that keeps state, everything goes.
    let dropped = host.run(&["drop", "--plugin-dir", &folder]).succeeded();
    assert!(dropped.lines.iter().any(|line| line.contains("removed the state")), "{:?}", dropped.lines);
    host.run(&["drop", "--plugin-dir", &folder]).succeeded();
}

#[test]
fn what_it_cannot_build_is_refused_with_file_and_remedy() {
    let host = files();
    let empty = Postgres::with("");
    let over_pg = Host::on(&empty.url());
    over_pg.file("flusso.toml", &format!("[source]\nplugin = \"pg\"\n{}", builder()));
    over_pg.run(&["--once"]).refused(2, &["no index is named", "[[index]]"]);
    config(&host, &builder(), "[[index]]\nname = \"nothing\"\n");
    host.run(&["--once"]).refused(2, &["no table public.nothing"]);
    config(&host, &builder(), ORDERS);
    for (schema, words) in [
        (
            "version: 1\ntable: orders\nfields:\n  - long: total\n",
            &["orders.schema.yml", "total", "has no column `total`", "status"][..],
        ),
        ("version: 1\ntable: ordres\nfields:\n  - long: id\n", &["orders.schema.yml", "no table public.ordres"]),
        (
            "version: 1\ntable: orders\nprimary_key: user_id\nfields:\n  - long: id\n",
            &["orders.schema.yml", "primary_key", "is id, and not user_id"],
        ),
        (
            "version: 1\ntable: orders\nfilters: [{ raw: id > 3 }]\nfields:\n  - long: id\n",
            &["orders.schema.yml", "raw: id > 3", "SQL"],
        ),
        (
            "version: 1\ntable: orders\nfields:\n  - long: id\nfollow:\n  - { table: users, primary_key: id, column: user_id }\n",
            &["orders.schema.yml", "follow", "views"],
        ),
        ("version: 1\ntable: orders\nfields:\n  - lnog: id\n", &["orders.schema.yml", "4", "long"]),
    ] {
        host.file("orders.schema.yml", schema);
        host.run(&["--once"]).refused(2, words);
    }
}

#[test]
fn a_value_that_cannot_be_added_up_fails_its_document_alone() {
    let host = files();
    host.file("shop/order_items.csv", "id,order_id,product_id,quantity\n1,1001,1,1\n2,1002,1,many\n");
    host.file(
        "orders.schema.yml",
        "version: 1\ntable: orders\nfields:\n  - long: id\n  - sum: pieces\n    table: order_items\n    foreign_key: order_id\n    column: quantity\n    value_type: long\n",
    );
    config(&host, &builder(), &ORDERS.replace("name", "on_error = \"skip\"\nname"));
    let ended = host.run(&["--once"]).succeeded();
    assert_eq!(ended.documents().len(), 4, "{:?}", ended.lines);
    assert!(
        ended.log.contains("pieces: the column `quantity` holds a text, which cannot be added up"),
        "{}",
        ended.log
    );
}
