//! Documents to files, through a plugin, and the logs beside them.

use std::collections::BTreeMap;
use std::io::Write;

use flusso_tests::{Host, Line, Postgres};

fn lines(path: &std::path::Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(Line::parse).collect()
}

#[test]
fn ndjson_writes_a_file_an_index() {
    let database = Postgres::with(
        "CREATE TABLE a (id int PRIMARY KEY, s text); CREATE TABLE b (id int PRIMARY KEY);
         INSERT INTO a VALUES (1, 'x'), (2, 'y'); INSERT INTO b VALUES (7)",
    );
    let host = Host::on(&database.url());
    let words = ["--plugin", "pg", "--plugin", "ndjson,path=out", "--once"];
    let first = host.run(&words).succeeded();
    assert_eq!(first.lines, Vec::<String>::new(), "with a sink, standard output is quiet");
    let out = host.folder().join("out");
    assert_eq!(lines(&out.join("a.ndjson")).len(), 2);
    assert_eq!(lines(&out.join("b.ndjson")).len(), 1);

    // A line torn by a crash is cut at the next open; nothing is seeded twice.
    let mut file = std::fs::OpenOptions::new().append(true).open(out.join("a.ndjson")).unwrap();
    file.write_all(b"{\"op\":\"ups").unwrap();
    drop(file);
    database.sql("DELETE FROM a WHERE id = 2; UPDATE a SET s = 'z' WHERE id = 1");
    host.run(&words).succeeded();
    let found = lines(&out.join("a.ndjson"));
    let last: BTreeMap<_, _> = found.iter().map(|line| (line.id.as_str(), line)).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(last["2"].op, "delete");
    assert_eq!(last["1"].document["s"], "z");
    assert_eq!(lines(&out.join("b.ndjson")).len(), 1);
}

#[test]
fn two_sinks_get_every_document() {
    let database = Postgres::with("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 1000)");
    let host = Host::on(&database.url());
    host.file(
        "flusso.toml",
        "prefix = \"dev_\"\n[source]\ntype = \"postgres\"\n[sinks.files]\nplugin = \"ndjson\"\npath = \"out\"\n[sinks.out]\ntype = \"stdout\"\n",
    );
    let ended = host.run(&["--once"]).succeeded();
    assert_eq!(ended.lines.len(), 1_000);
    assert!(ended.documents().iter().all(|line| line.index == "dev_a"));
    assert_eq!(lines(&host.folder().join("out/dev_a.ndjson")).len(), 1_000);
}

#[test]
fn logs_are_json_when_asked_for() {
    let database = Postgres::with("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    let ended = Host::on(&database.url()).run(&["--plugin", "pg", "--once", "--log-format", "json"]).succeeded();
    assert!(ended.log.lines().count() > 2, "{}", ended.log);
    for line in ended.log.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        assert!(value["level"].is_string() && value["message"].is_string() && value["timestamp"].is_string(), "{line}");
    }
    // Neither of them ever shows a credential or a row.
    assert!(!ended.log.contains("postgres://"), "{}", ended.log);
}

#[test]
fn a_read_only_folder_is_named() {
    let database = Postgres::with("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    let host = Host::on(&database.url());
    host.file("out", "a file where a folder should be");
    let ended = host.run(&["--plugin", "pg", "--plugin", "ndjson,path=out", "--once", "--timeout", "2s"]);
    assert_ne!(ended.code, Some(0));
    assert!(ended.log.contains("out"), "{}", ended.log);
}

#[test]
fn a_sink_that_sat_out_a_run_misses_nothing() {
    let database =
        Postgres::with("CREATE TABLE a (id int PRIMARY KEY, s text); INSERT INTO a VALUES (1, 'old'), (2, 'gone')");
    let host = Host::on(&database.url());
    assert_eq!(host.documents(&["--plugin", "pg", "--once"]).len(), 2);
    database.sql("UPDATE a SET s = 'new' WHERE id = 1; DELETE FROM a WHERE id = 2");
    host.run(&["--plugin", "pg", "--plugin", "ndjson,path=out", "--once"]).succeeded();
    let again = host.documents(&["--plugin", "pg", "--once"]);
    let ops: Vec<_> = again.iter().map(|line| (line.op.as_str(), line.id.as_str())).collect();
    assert_eq!(ops, [("clear", ""), ("upsert", "1")]);
    assert_eq!(again[1].document["s"], "new");
    assert!(host.documents(&["--plugin", "pg", "--once"]).is_empty());
}

#[test]
fn two_sinks_do_not_share_a_folder() {
    let database = Postgres::with("CREATE TABLE a (id int PRIMARY KEY)");
    let host = Host::on(&database.url());
    host.file(
        "flusso.toml",
        "[source]\ntype = \"postgres\"\n[sinks.one]\nplugin = \"ndjson\"\npath = \"out\"\n[sinks.two]\nplugin = \"ndjson\"\npath = \"./out\"\n",
    );
    host.run(&["--once"]).refused(2, &["one", "two", "folder of its own"]);
}
