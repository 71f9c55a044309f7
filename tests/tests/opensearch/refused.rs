//! What PostgreSQL holds and a cluster refuses: values, and names of fields. Every row has a `note`, which finds it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flusso_tests::search::Search;
use flusso_tests::{Ended, Host, Postgres, Running};
use serde_json::{Value, json};

/// The longest a change may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database, a cluster, and a host between them, without schema files unless `indexes` names some.
struct Place {
    database: Postgres,
    host: Host,
    search: Search,
    prefix: String,
}

impl Place {
    fn open(test: &str, tables: &str, settings: &str, indexes: &str) -> Self {
        let database = Postgres::with(tables);
        let host = Host::on(&database.url());
        let (search, prefix) = (Search::shared(), format!("{test}_{}_", std::process::id()));
        host.file(
            "flusso.toml",
            &format!(
                "prefix = \"{prefix}\"\n[source]\nplugin = \"pg\"\nconnection_url = {{ env = \"DATABASE_URL\" }}\n[sinks.search]\nplugin = \"opensearch\"\nurl = \"{}\"\nnumber_of_replicas = 0\n{settings}\n{indexes}",
                search.url()
            ),
        );
        Self { database, host, search, prefix }
    }

    /// The ids of documents whose note has this word.
    fn found(&self, index: &str, word: &str) -> BTreeSet<String> {
        self.found_by(index, &json!({ "match": { "note": word } }))
    }

    fn found_by(&self, index: &str, query: &Value) -> BTreeSet<String> {
        let query = json!({ "size": 1_000, "_source": false, "query": query }).to_string();
        let (_, answer) = self.search.ask("POST", &format!("/{}{index}/_search", self.prefix), &query);
        let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
        hits.iter().filter_map(|hit| hit["_id"].as_str().map(str::to_owned)).collect()
    }

    fn document(&self, index: &str, id: &str) -> Value {
        self.search.document(&format!("{}{index}", self.prefix), id).unwrap_or_else(|| panic!("{index} has no {id}"))
    }

    /// Waits until these ids are found by this word.
    fn wait(&self, running: &mut Running, index: &str, word: &str, ids: &BTreeSet<String>) {
        let end = Instant::now() + PATIENCE;
        while self.found(index, word) != *ids {
            assert!(running.is_running(), "it ended by itself.\n{:#?}", running.log());
            let missing: Vec<_> = ids.difference(&self.found(index, word)).cloned().collect();
            assert!(Instant::now() < end, "{index}, {word}: {missing:?} are missing.\n{:#?}", running.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.search.clean(&self.prefix);
        }
    }
}

fn ids(all: impl IntoIterator<Item = i32>) -> BTreeSet<String> {
    all.into_iter().map(|id| id.to_string()).collect()
}

/// How many lines of a log have all of these words.
fn lines(ended: &Ended, words: &[&str]) -> usize {
    ended.log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

/// One odd value a row; `NULL` elsewhere.
const VALUES: &[(&str, &str)] = &[
    ("day", "'infinity'"),
    ("day", "'-infinity'"),
    ("day", "'0044-03-15 BC'"),
    ("day", "'5874897-12-31'"),
    ("at", "'infinity'"),
    ("at", "'4713-01-01 00:00:00+00 BC'"),
    ("at", "'294276-12-31 00:00:00+00'"),
    ("num", "'NaN'"),
    ("num", "'Infinity'"),
    ("num", "('1' || repeat('0', 400))::numeric"),
    ("num", "('1' || repeat('0', 1200))::numeric"),
    ("num", "('0.' || repeat('3', 1200))::numeric"),
    ("dbl", "'-Infinity'"),
    ("dbl", "'NaN'"),
    ("code", "repeat('x', 40000)"),
    ("big", "repeat('long ', 200000)"),
    ("j", r#"'{"a": 1, "b": {"c": 1, "c": [2], "\u0063": 3}, "a": 2}'"#),
    ("j", r#"'{"deep": [{"k": 1, "k": {"k": 2}}]}'"#),
    ("j", "(repeat('[', 1500) || repeat(']', 1500))::json"),
    ("j", r#"(repeat('{"a":', 1500) || '1' || repeat('}', 1500))::json"#),
    ("j", r#"(repeat('[{"a":', 700) || '{"b": 1, "b": 2}' || repeat('}]', 700))::json"#),
    ("j", "('[1e400, ' || repeat('9', 1500) || ']')::json"),
    ("j", r#"('{"' || repeat('k', 60000) || '": 1, "": 2, ".": 3, "a..b": 4, "_id": 5, "a": 6, "a.b": 7}')::json"#),
    ("j", r#"'"a\u0000b"'"#),
    ("jb", "(repeat('[', 1500) || repeat(']', 1500))::jsonb"),
    ("jb", "jsonb_build_object('n', ('1' || repeat('0', 1200))::numeric)"),
    ("jb", "(SELECT jsonb_object_agg('key ' || g, g) FROM generate_series(1, 1500) g)"),
    ("span", "'[1,5)'"),
    ("span", "'empty'"),
    ("addr", "'10.0.0.1/24'"),
    ("nums", "ARRAY['NaN', '1', 'Infinity']::float8[]"),
    ("js", r#"ARRAY['{"a": 1, "a": 2}', '[[[]]]']::json[]"#),
];

const TABLE: &str = "CREATE TABLE odd (id int PRIMARY KEY, note text, day date, at timestamptz, num numeric, dbl float8, code char(40000),
    big text, j json, jb jsonb, span int4range, addr inet, nums float8[], js json[])";

/// A row for each value.
fn insert(table: &str, values: &[(&str, &str)], above: usize, note: &str) -> String {
    let row = |(place, (column, value)): (usize, &(&str, &str))| {
        format!("INSERT INTO {table} (id, note, {column}) VALUES ({}, '{note}', {value});", above + place)
    };
    values.iter().enumerate().map(row).collect()
}

/// A table with every value that the mapping or the cluster refuses is seeded, followed and searchable; nothing is lost, nothing
/// stops, and what is written differently is said and counted.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn values_that_a_cluster_refuses_lose_no_document() {
    let setup = format!(
        "{TABLE}; CREATE TABLE plain (id int PRIMARY KEY, note text); INSERT INTO plain VALUES (1, 'first'); {}",
        insert("odd", VALUES, 0, "seeded")
    );
    let place = Place::open("odd", &setup, "", "");
    let seeded = place.host.run(&["--once"]).succeeded();
    let all = i32::try_from(VALUES.len()).unwrap();
    assert_eq!(place.found("odd", "seeded"), ids(0..all), "{}", seeded.log);
    let at = |column: &str, nth: usize| {
        let places = VALUES.iter().enumerate().filter(|(_, (name, _))| *name == column);
        let place = places.map(|(place, _)| place).nth(nth).unwrap();
        (place.to_string(), column.to_owned())
    };
    let field = |column: &str, nth: usize| {
        let (id, column) = at(column, nth);
        place.document("odd", &id)[column].clone()
    };
    assert_eq!(field("day", 0), json!("infinity"));
    assert_eq!(field("num", 0), json!("NaN"));
    assert_eq!(field("num", 3), json!(format!("1{}", "0".repeat(1_200))));
    assert_eq!(field("code", 0), json!("x".repeat(40_000)));
    assert_eq!(field("j", 0), json!({ "a": 2, "b": { "c": 3 } }), "the last key wins");
    assert_eq!(field("j", 1), json!({ "deep": [{ "k": { "k": 2 } }] }));
    let (text, mut deep) = (field("j", 2).to_string(), 0);
    text.bytes().for_each(|byte| deep += usize::from(byte == b'['));
    assert_eq!(deep, 1_500, "{text}");
    assert_eq!(field("js", 0)[0], json!({ "a": 2 }));
    assert_eq!(field("jb", 2).as_object().map(serde_json::Map::len), Some(1_500));
    for (column, words) in
        [("j", "a key is there twice"), ("num", "a number has over 1 000 digits"), ("j", "nested too deeply")]
    {
        assert_eq!(lines(&seeded, &[words]), 1, "{words}: {}", seeded.log);
        assert_eq!(lines(&seeded, &[words, column, "first_document"]), 1, "{words}: {}", seeded.log);
    }
    for (column, count) in [("day", 4), ("num", 4), ("dbl", 2), ("code", 1)] {
        let words = format!("field \"{column}\" is left out of the index in {count} documents");
        assert_eq!(lines(&seeded, &[&words]), 1, "{words}: {}", seeded.log);
    }

    let mut running = place.host.start(&[]);
    running.wait_for_log("ready");
    place.database.sql(&insert("odd", VALUES, 100, "live"));
    place.database.sql("UPDATE odd SET note = 'changed' WHERE id < 50; INSERT INTO plain VALUES (2, 'last')");
    place.wait(&mut running, "odd", "live", &ids(100..100 + all));
    place.wait(&mut running, "odd", "changed", &ids(0..all));
    place.wait(&mut running, "plain", "last", &ids([2]));
    place.database.sql("DELETE FROM odd WHERE id < 50");
    place.wait(&mut running, "odd", "changed", &ids([]));
    running.signal("TERM");
    running.wait().succeeded();
}

const SCHEMA: &str = "
version: 1
table: things
fields:
  - integer: id
  - text: note
  - json: open
    options: { dynamic: true }
  - custom: flat
    postgres: [jsonb]
    opensearch: flat_object
  - geo: spot
    lat: lat
    lon: lon
  - custom: addr
    postgres: [text]
    opensearch: { type: ip, ignore_malformed: false }
  - has_many: parts
    table: parts
    primary_key: id
    foreign_key: thing_id
    fields:
      - integer: id
      - json: _source
        options: { dynamic: true }
";

/// What a schema file's mapping refuses is kept in the document, unindexed, and can be found there; with `strict = true` it is
/// refused.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn values_that_a_mapping_refuses_are_kept_unindexed() {
    let tables = "CREATE TABLE things (id int PRIMARY KEY, note text, open jsonb, flat jsonb, lat float8, lon float8, addr text);
        CREATE TABLE parts (id int PRIMARY KEY, thing_id int, _source jsonb);
        INSERT INTO things (id, note) VALUES (0, 'plain');
        INSERT INTO parts SELECT g, 0, '{}' FROM generate_series(1, 10001) g;";
    let values: &[(&str, &str)] = &[
        ("open", r#"'{"a": 1, "t": "2026-01-01", "o": {"x": 1}}'"#),
        ("open", r#"'{"a": {"b": 1}}'"#),
        ("open", r#"'{"a": "no number", "o": 1, "t": "no date"}'"#),
        ("open", "'1'"),
        ("open", r#"'{"": 1, "..": 2, "a..b": 3, ".c": 4, " ": 5}'"#),
        ("open", r#"'{"o": 1, "o.x": 2}'"#),
        ("open", "(SELECT jsonb_object_agg('key' || g, g) FROM generate_series(1, 1500) g)"),
        ("open", r#"(repeat('{"z":', 1500) || '1' || repeat('}', 1500))::jsonb"#),
        ("open", r#"'{"e": 1e400, "n": 123456789012345678901234567890}'"#),
        ("flat", "'[1, 2]'"),
        ("flat", r#"jsonb_build_object('a', repeat('x', 40000))"#),
        ("addr", "'10.0.0.1/24'"),
        ("addr", "'nowhere'"),
        ("lat", "91"),
    ];
    let indexes = "[[index]]\nname = \"things\"\nschema = \"things.schema.yml\"\n";
    let place = Place::open("kept", &format!("{tables}{}", insert("things", values, 1, "odd")), "", indexes);
    place.host.file("things.schema.yml", SCHEMA);
    let seeded = place.host.run(&["--once"]).succeeded();
    let all = 1 + i32::try_from(values.len()).unwrap();
    assert_eq!(
        (place.found("things", "odd"), place.found("things", "plain")),
        (ids(1..all), ids([0])),
        "{}",
        seeded.log
    );
    assert_eq!(place.document("things", "0")["parts"].as_array().map(Vec::len), Some(10_001));
    let unindexed = json!({ "exists": { "field": "flusso_unindexed.fields" } });
    assert_eq!(place.found_by("things", &unindexed), ids((2..8).chain(9..14)), "{}", seeded.log);
    let scalar = place.document("things", "4");
    assert_eq!(scalar["flusso_unindexed"], json!({ "fields": ["open"], "document": { "open": 1 } }));
    assert!(scalar.get("open").is_none());
    assert_eq!(place.document("things", "5")["parts"], json!([]), "what is not the cause stays");
    assert_eq!(
        lines(&seeded, &["the mapping does not take this field", "field=open", "first_document=2"]),
        1,
        "{}",
        seeded.log
    );
    assert_eq!(lines(&seeded, &["field \"addr\" is left out of the index in 2 documents"]), 1, "{}", seeded.log);

    let mut running = place.host.start(&[]);
    running.wait_for_log("ready");
    place
        .database
        .sql(r#"UPDATE things SET note = 'mended', open = '{"a": 7}', flat = NULL, addr = '10.0.0.1' WHERE id > 0"#);
    place.wait(&mut running, "things", "mended", &ids(1..all));
    assert_eq!(place.found_by("things", &unindexed), ids([]));
    place.database.sql(r#"UPDATE parts SET _source = '{"": [1]}' WHERE id = 1; UPDATE things SET note = 'again'"#);
    place.wait(&mut running, "things", "again", &ids(0..all));
    assert_eq!(place.found_by("things", &unindexed), ids([0]));
    running.signal("TERM");
    running.wait().succeeded();

    let strict =
        Place::open("strict", &format!("{tables}{}", insert("things", values, 1, "odd")), "strict = true", indexes);
    strict.host.file("things.schema.yml", SCHEMA);
    let refused = strict.host.run(&["--once"]);
    assert_eq!(refused.code, Some(7), "{}", refused.log);
}

/// Names of columns that the cluster does not take become others, said once; every table is seeded and followed.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn names_that_a_cluster_refuses_become_others() {
    let tables = r#"
        CREATE TABLE meta (id int PRIMARY KEY, note text, _id int, "_source" text, _routing text, _foo text, "_primary_term" int);
        CREATE TABLE dots (id int PRIMARY KEY, note text, a int, "a.b" int, "x." int, ".y" int, "c..d" int, ". ." int, "e. .f" int, "g.h" int, " " int, "a*" int);
        CREATE TABLE close (id int PRIMARY KEY, note text, _id int, "a_b" int, a int, "a.b" int, flusso_unindexed jsonb, "_ignored" json);
        CREATE TABLE plain (id int PRIMARY KEY, note text);
        INSERT INTO meta VALUES (1, 'first', 11, 's', 'r', 'f', 12);
        INSERT INTO dots VALUES (1, 'first', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
        INSERT INTO close VALUES (1, 'first', 1, 2, 3, 4, '{"x": 1}', '{"_id": 1, "_id": 2, "": 3}');
        INSERT INTO plain VALUES (1, 'first')"#;
    let place = Place::open("names", tables, "", "");
    let seeded = place.host.run(&["--once"]).succeeded();
    for table in ["meta", "dots", "close", "plain"] {
        assert_eq!(place.found(table, "first"), ids([1]), "{table}: {}", seeded.log);
    }
    let with = |more: Value| {
        let mut row = json!({ "id": 1, "note": "first" });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let name = |column: &str, there: &str| {
        let words = format!("the cluster takes no field {column:?}: it is called \"{there}");
        let line =
            seeded.log.lines().find(|line| line.contains(&words)).unwrap_or_else(|| panic!("{words}: {}", seeded.log));
        line.split("is called \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
    };
    assert_eq!(
        place.document("meta", "1"),
        with(json!({ name("_id", "id_"): 11, "source": "s", "routing": "r", "_foo": "f", "primary_term": 12 }))
    );
    assert_eq!(
        place.document("dots", "1"),
        with(json!({ "a": 1, "a_b": 2, "x": 3, "y": 4, "c_d": 5, "field": 6, "e_ _f": 7, "g.h": 8, " ": 9, "a*": 10 }))
    );
    let (dotted, own) = (name("a.b", "a_b_"), name("flusso_unindexed", "flusso_unindexed_"));
    assert_eq!(
        place.document("close", "1"),
        with(
            json!({ name("_id", "id_"): 1, "a_b": 2, "a": 3, dotted: 4, own: { "x": 1 }, "ignored": { "_id": 2, "": 3 } })
        )
    );
    assert_eq!(lines(&seeded, &["takes no field \"_source\""]), 1, "said once: {}", seeded.log);
    assert_eq!(place.found_by("dots", &json!({ "term": { "x": 3 } })), ids([1]));

    let mut running = place.host.start(&[]);
    running.wait_for_log("ready");
    place.database.sql(
        r#"UPDATE meta SET note = 'later', _source = 't'; INSERT INTO dots (id, note, "a.b") VALUES (2, 'later', 1);
           INSERT INTO close (id, note, _id) VALUES (2, 'later', 2); INSERT INTO plain VALUES (2, 'later'); DELETE FROM dots WHERE id = 1"#,
    );
    for (table, id) in [("meta", 1), ("dots", 2), ("close", 2), ("plain", 2)] {
        place.wait(&mut running, table, "later", &ids([id]));
    }
    place.wait(&mut running, "dots", "first", &ids([]));
    assert_eq!(place.document("meta", "1")["source"], json!("t"));
    running.signal("TERM");
    running.wait().succeeded();

    // What is no search cluster gets the names as they are.
    let host = Host::on(&place.database.url());
    let lines = host.documents(&["--plugin", "pg.wasm", "--once"]);
    assert!(lines.iter().any(|line| line.document.get("_source") == Some(&json!("t"))), "{lines:?}");
}
