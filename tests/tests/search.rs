//! `tantivy`: a search index in a folder, kept in step, found by `flusso-host search` and over HTTP.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flusso_tests::{Host, Postgres, native, plugin};
use serde_json::{Value, json};

const SHOP: &str = "CREATE TABLE users (id int PRIMARY KEY, name text, country text, joined timestamptz, score numeric(8,2), active boolean, notes jsonb);
     CREATE TABLE orders (id int PRIMARY KEY, user_id int, title text, total numeric(10,2));
     INSERT INTO users VALUES (1, 'Ada Lovelace', 'GB', '2020-01-01Z', 9.5, true, '{\"likes\": \"cats\"}'), (2, 'Blaise Pascal', 'FR', '2021-05-05Z', 7, false, null),
         (3, 'Ada <Byron> & Co', 'FR', '2022-01-01Z', 1.25, true, null);
     INSERT INTO orders VALUES (1, 1, 'Analytical engine', 100.5), (2, 1, 'Punch cards', 3), (3, 2, 'Calculator', 50)";

const SCHEMA: &str = "version: 1\ntable: users\nprimary_key: id\nfields:\n  - text: name\n  - keyword: country\n  - timestamp: joined\n  - decimal: score\n  - boolean: active\n  - json: notes\n  - has_many: orders\n    table: orders\n    primary_key: id\n    foreign_key: user_id\n    fields:\n      - text: title\n      - decimal: total\n";

fn host(database: &Postgres) -> Host {
    let host = Host::on(&database.url());
    host.file("users.schema.yml", SCHEMA);
    host.file(
        "flusso.toml",
        &format!(
            "[source]\nplugin = \"pg\"\n[sinks.search]\nplugin = \"{}\"\ntrusted = true\npath = \"index\"\n[[index]]\nname = \"users\"\nschema = \"users.schema.yml\"\n",
            native("plugins/tantivy")
        ),
    );
    host
}

/// What a search prints as JSON.
fn found(host: &Host, words: &[&str]) -> Value {
    let ended = host.run(&[&["search", "--format", "json"], words].concat()).succeeded();
    serde_json::from_str(&ended.lines.join("\n")).unwrap_or_else(|error| panic!("{error}: {:?}", ended.lines))
}

/// The ids of the documents that a query finds.
fn ids(host: &Host, query: &str) -> Vec<String> {
    let found = found(host, &["users", query]);
    let hits = found["hits"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> = hits.iter().map(|hit| hit["id"].as_str().unwrap_or_default().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn documents_are_found_by_every_kind_of_field_and_as_they_are_now() {
    let database = Postgres::with(SHOP);
    let host = host(&database);
    host.run(&["--once"]).succeeded();
    for (query, wanted) in [
        ("ada", &["1", "3"][..]),
        ("ada AND country:GB", &["1"]),
        ("name:\"ada lovelace\"", &["1"]),
        ("country:fr", &[]),
        ("score:[5 TO 10]", &["1", "2"]),
        ("active:true", &["1", "3"]),
        ("joined:[2021-01-01T00:00:00Z TO *]", &["2", "3"]),
        ("orders.title:engine", &["1"]),
        ("orders.total:>60", &["1"]),
        ("notes.likes:cats", &["1"]),
        ("_id:2", &["2"]),
        ("*", &["1", "2", "3"]),
    ] {
        assert_eq!(ids(&host, query), wanted, "{query}");
    }
    let best = found(&host, &["users", "byron", "--limit", "1"]);
    assert_eq!(best["total"], 1);
    assert_eq!(best["hits"][0]["document"]["name"], "Ada <Byron> & Co");
    let text = best["hits"][0]["highlights"]["name"].as_str().unwrap_or_default();
    assert!(text.contains("<b>Byron</b>") && !text.contains("<Byron>"), "{text}");
    let seen = host.run(&["search", "users", "pascal"]).succeeded();
    assert!(seen.lines.first().is_some_and(|line| line.starts_with("1 document, in ")), "{:?}", seen.lines);
    assert!(seen.lines.iter().any(|line| line == "  name: Blaise *Pascal*"), "{:?}", seen.lines);

    database.sql("UPDATE users SET name = 'Grace Hopper' WHERE id = 1; DELETE FROM users WHERE id = 2; UPDATE orders SET title = 'Compiler' WHERE id = 2");
    host.run(&["--once"]).succeeded();
    assert_eq!(ids(&host, "ada OR blaise"), ["3"]);
    assert_eq!(ids(&host, "grace AND orders.title:compiler"), ["1"]);
    host.run(&["search", "nothing", "x"]).refused(2, &["there is no index `nothing`; there are: users"]);
    host.run(&["search", "users", "nothing:x"]).refused(2, &["`query`", "nothing", "there are: active, country"]);
    host.run(&["search", "users", "name:("]).refused(2, &["`query`"]);
    let other = Host::on(&database.url());
    other.run(&["search", "users", "x", "--plugin", "ndjson,path=x"]).refused(2, &["cannot be searched", "tantivy"]);
}

/// A builder that says nothing of the fields: every text is found without naming one, and every value by its path.
#[test]
fn documents_of_unknown_fields_are_found_by_their_words() {
    let host = Host::new();
    host.file("shop/products.csv", "id,name,price\n1,Fountain pen,48\n2,Chess set,85\n");
    host.file("shop/events.ndjson", "{\"id\":1,\"at\":{\"place\":[\"Old Pen Yard\"]}}\n");
    host.file(
        "flusso.toml",
        &format!(
            "[source]\nplugin = \"{}\"\npath = \"shop\"\n[builder]\nplugin = \"{}\"\n[sinks.search]\nplugin = \"{}\"\ntrusted = true\npath = \"index\"\n",
            plugin("plugins/files"),
            plugin("plugins/schema-builder"),
            native("plugins/tantivy")
        ),
    );
    host.run(&["--once"]).succeeded();
    for (index, query, wanted) in [
        ("products", "pen", 1),
        ("products", "PEN OR chess", 2),
        ("products", "name:pen", 1),
        ("products", "price:85", 1),
        ("events", "yard", 1),
        ("products", "nothing", 0),
    ] {
        assert_eq!(found(&host, &[index, query])["total"], wanted, "{index} {query}");
    }
    assert_eq!(found(&host, &["events", "yard"])["hits"][0]["highlights"]["at.place"], "Old Pen <b>Yard</b>");
}

#[test]
fn an_index_serves_while_it_is_built_anew_and_under_another_mapping() {
    let database = Postgres::with(SHOP);
    let host = host(&database);
    let running = host.start(&["--private-address", "127.0.0.1:0"]);
    let address = running.wait_for_log("answering /indexes, /reindex and /reload as well");
    let address =
        address.split("address=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
    let ask = |path: &str| -> (u16, Value) {
        let mut stream = std::net::TcpStream::connect(&address).unwrap_or_else(|error| panic!("{address}: {error}"));
        use std::io::{Read as _, Write as _};
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or_default())
    };
    let wanted = json!(["1", "3"]);
    let over_http = |query: &str| {
        let (status, body) = ask(&format!("/search/users?q={query}"));
        let mut ids: Vec<Value> = body["hits"].as_array().into_iter().flatten().map(|hit| hit["id"].clone()).collect();
        ids.sort_by_key(Value::to_string);
        (status, Value::from(ids))
    };
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while over_http("ada") != (200, wanted.clone()) {
        assert!(std::time::Instant::now() < end, "{:?}", over_http("ada"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ask("/search/users").0, 400);
    assert_eq!(ask("/search/nothing?q=x").0, 400);
    assert_eq!(ask("/search/users?q=x&limit=1000000").0, 400);
    let before = found(&host, &["users", "*"]);
    host.run(&["reindex", "users"]).succeeded();
    assert_eq!(over_http("ada"), (200, wanted));
    assert_eq!(found(&host, &["users", "*"])["total"], before["total"]);
    running.signal("TERM");
    running.wait().succeeded();

    host.file("users.schema.yml", &SCHEMA.replace("keyword: country", "text: country"));
    host.run(&["--once"]).succeeded();
    assert_eq!(ids(&host, "country:fr"), ["2", "3"], "as words, in lower case");
    let held = host.run(&["indexes"]).succeeded().lines.join("\n");
    assert_eq!(held.matches("serving").count(), 1, "{held}");
    let folders = std::fs::read_dir(host.folder().join("index")).into_iter().flatten().count();
    assert_eq!(folders, 2, "the catalog and one generation");
}

#[test]
fn what_is_searched_equals_the_database_however_often_the_host_is_killed() {
    let database = Postgres::with(
        "CREATE TABLE users (id int PRIMARY KEY, name text, country text, joined timestamptz, score numeric(8,2), active boolean, notes jsonb);
         CREATE TABLE orders (id int PRIMARY KEY, user_id int, title text, total numeric(10,2)); CREATE INDEX ON orders (user_id);
         INSERT INTO users SELECT n, 'user ' || n, 'GB', '2020-01-01Z', n, true, null FROM generate_series(1, 6000) n;
         INSERT INTO orders SELECT n, 1 + n % 6000, 'order ' || n, n FROM generate_series(1, 12000) n",
    );
    let host = host(&database);
    for round in 1..=12_u64 {
        let running = host.start(&[]);
        for change in 0..4 {
            database.sql(&format!(
                "UPDATE users SET name = 'round {round} {change} ' || id WHERE id % 37 = {}; DELETE FROM users WHERE id = {}; UPDATE orders SET user_id = 1 + (user_id + 7) % 6000 WHERE id % 101 = {round};
                 INSERT INTO users VALUES ({}, 'new {round}', 'FR', now(), 1, false, null)",
                round + change, round * 10 + change, 100_000 + round * 10 + change
            ));
            std::thread::sleep(Duration::from_millis(17 * ((round * 7 + change) % 11)));
        }
        running.kill();
    }
    host.run(&["--once"]).succeeded();
    // By SQL alone, which shares no code with what made the documents.
    let wanted = database
        .sql("SELECT json_object_agg(u.id, json_build_object('name', u.name, 'orders', coalesce((SELECT json_agg(o.title ORDER BY o.id) FROM orders o WHERE o.user_id = u.id), '[]'))) FROM users u");
    let wanted: BTreeMap<String, Value> = serde_json::from_str(wanted.trim()).unwrap_or_else(|error| panic!("{error}"));
    let found = found(&host, &["users", "*", "--limit", "10000"]);
    let hits = found["hits"].as_array().cloned().unwrap_or_default();
    assert_eq!(hits.len(), wanted.len());
    for hit in hits {
        let id = hit["id"].as_str().unwrap_or_default();
        let document = &hit["document"];
        let mut titles: Vec<&str> =
            document["orders"].as_array().into_iter().flatten().filter_map(|order| order["title"].as_str()).collect();
        let mut wanted_titles: Vec<&str> =
            wanted[id]["orders"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        titles.sort_unstable();
        wanted_titles.sort_unstable();
        assert_eq!((&document["name"], titles), (&wanted[id]["name"], wanted_titles), "{id}");
    }
    assert!(Path::new(&host.folder().join("index/catalog.json")).is_file());
}

#[test]
fn the_example_shows_what_it_says() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let read =
        |name: &str| std::fs::read_to_string(examples.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let database = Postgres::with(&read("opensearch/shop.sql"));
    let host = Host::on(&database.url());
    host.file("customers.schema.yml", &read("opensearch/customers.schema.yml"));
    let file = read("search-without-server/flusso.toml").replace("../opensearch/", "");
    host.file("flusso.toml", &file.replace("\"tantivy\"", &format!("{:?}", native("plugins/tantivy"))));
    host.run(&["--once"]).succeeded();
    let customers = |query: &str| found(&host, &["customers", query])["total"].clone();
    assert_eq!(
        (customers("lovelace"), customers("orders.lines.product.title:sky"), customers("*")),
        (json!(1), json!(0), json!(3))
    );
    assert_eq!((customers("chatelet"), customers("Châtelet")), (json!(1), json!(1)), "without accents");
    assert_eq!(customers("orders.lines.product.sku:mug"), json!(1));
    database.sql("UPDATE products SET title = 'Mug, sky blue' WHERE id = 1");
    host.run(&["--once"]).succeeded();
    assert_eq!(customers("orders.lines.product.title:sky"), json!(1));
    assert_eq!(found(&host, &["products", "price:[5 TO 10] AND title:mug"])["total"], 2);
}
