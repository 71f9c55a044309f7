//! What can be seen of a host that runs: `flusso-host status`, `/status` and `/metrics`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flusso_tests::{Host, Postgres, Running};
use serde_json::Value;

/// A host that is ready, and where it answers.
fn started(database: &Postgres, more: &str) -> (Host, Running, String) {
    let mut host = Host::on(&database.url());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    host.set("FLUSSO_PUBLIC_ADDRESS", &address);
    host.file(
        "flusso.toml",
        &format!("[source]\nplugin = \"pg\"\n{more}[sinks.out]\nplugin = \"ndjson\"\npath = \"out\"\n"),
    );
    std::fs::create_dir_all(host.folder().join("out")).unwrap();
    let running = host.start(&[]);
    running.wait_for_log("ready");
    (host, running, address)
}

/// The answer of a host, without its head.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

fn status(host: &Host) -> Value {
    let text = host.run(&["status", "--format", "json"]).succeeded().lines.join("\n");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The status once it is so.
fn until(host: &Host, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = status(host);
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < end, "it never came to it: {status:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The sum of a metric over its labels.
fn metric(text: &str, name: &str) -> f64 {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    values.sum()
}

#[test]
fn what_a_host_does_can_be_seen_from_outside() {
    let database = Postgres::with(
        "CREATE TABLE users (id int PRIMARY KEY, name text, secret text);
         INSERT INTO users SELECT g, 'user ' || g, 'geheim' || g FROM generate_series(1, 500) g",
    );
    let (host, running, address) = started(&database, "");
    let seeded = until(&host, |status| status["phase"] == "live" && status["each_sink"][0]["written"] == 500);
    assert_eq!(seeded["indexes"], 1);
    assert_eq!(seeded["documents_built"], 500);
    assert_eq!(
        (&seeded["each_index"][0]["name"], &seeded["each_index"][0]["state"]),
        (&Value::from("users"), &Value::from("seeded"))
    );
    assert_eq!(seeded["changes_captured"], 0);

    database.sql("UPDATE users SET name = name || '!' WHERE id <= 20; DELETE FROM users WHERE id = 500");
    let status = until(&host, |status| status["changes_committed"] == 21);
    assert_eq!((&status["changes_captured"], &status["changes_in_flight"]), (&Value::from(21), &Value::from(0)));
    assert_eq!(status["documents_built"], 520, "what goes is not built");
    assert_eq!(status["each_sink"][0]["written"], 521);
    let behind = status["behind_seconds"].as_f64().unwrap();
    assert!((0.0..20.0).contains(&behind), "{behind}");

    let text = get(&address, "/metrics");
    for (name, value) in [
        ("flusso_changes_captured_total", 21.0),
        ("flusso_changes_committed_total", 21.0),
        ("flusso_changes_in_flight", 0.0),
        ("flusso_documents_built_total", 520.0),
        ("flusso_documents_written_total", 521.0),
        ("flusso_indexes", 1.0),
        ("flusso_indexes_seeded_total", 1.0),
    ] {
        assert!((metric(&text, name) - value).abs() < 0.5, "{name}\n{text}");
    }
    assert!(text.contains("flusso_flush_duration_seconds_bucket{sink=\"out\",le=\"0.001\"}"), "{text}");
    assert!(text.contains("flusso_indexes{state=\"seeded\"} 1"), "{text}");
    assert!(!text.contains("geheim") && !text.contains("postgres://"), "{text}");

    let shown = host.run(&["status"]).succeeded().lines.join("\n");
    for wanted in
        ["live", "21 captured, 21 committed, 0 in flight", "index      users  seeded", "sink       out    521 written"]
    {
        assert!(shown.contains(wanted), "{wanted:?} is not in\n{shown}");
    }
    running.signal("TERM");
    running.wait().succeeded();
    host.run(&["status"]).refused(1, &["no host is running"]);
}

#[test]
fn what_goes_wrong_is_counted_and_said_without_secrets() {
    let database =
        Postgres::with("CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Ada')");
    let (host, running, address) = started(&database, "");
    until(&host, |status| status["phase"] == "live");
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender' AND datname = current_database()");
    let status = until(&host, |status| status["errors"].as_u64() > Some(0));
    assert_eq!(status["last_problem"]["stage"], "source \"source\"", "{status:#}");
    let text = get(&address, "/metrics");
    assert!(metric(&text, "flusso_errors_total") >= 1.0 && text.contains("stage=\"source"), "{text}");
    database.sql("INSERT INTO users VALUES (2, 'Grace')");
    until(&host, |status| status["changes_committed"].as_u64() > Some(0));
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn what_is_in_quarantine_is_shown_and_discarded_with_and_without_a_host() {
    let database = Postgres::with(
        "CREATE TABLE places (id int PRIMARY KEY, name text, at text);
         INSERT INTO places VALUES (1, 'here', '1'), (2, 'there', 'x'), (3, 'nowhere', 'y')",
    );
    let mut host = Host::on(&database.url());
    host.set("FLUSSO_PUBLIC_ADDRESS", "");
    host.file("places.schema.yml", "version: 1\ntable: places\nfields:\n  - long: id\n  - sum: total\n    table: places\n    foreign_key: id\n    column: at\n    value_type: long\n");
    host.file(
        "flusso.toml",
        &format!(
            "on_error = \"skip\"\n[source]\nplugin = \"pg\"\n[builder]\nplugin = \"{}\"\n[[index]]\nname = \"places\"\nschema = \"places.schema.yml\"\n",
            flusso_tests::plugin("plugins/schema-builder")
        ),
    );
    let list = |words: &[&str]| {
        let ended = host.run(&[&["quarantine", "list", "--format", "json"], words].concat()).succeeded();
        serde_json::from_str::<Value>(&ended.lines.join("\n")).unwrap()
    };
    host.run(&["quarantine", "list"]).succeeded();
    let running = host.start(&[]);
    running.wait_for_log("quarantined a document");
    let end = Instant::now() + Duration::from_secs(20);
    while list(&[])["total"] != 3 {
        assert!(Instant::now() < end, "{:#}", list(&[]));
        std::thread::sleep(Duration::from_millis(50));
    }
    let limited = list(&["--index", "places", "--limit", "1"]);
    assert_eq!((&limited["total"], limited["documents"].as_array().map(Vec::len)), (&Value::from(3), Some(1)));
    assert_eq!(list(&["--index", "others"])["total"], 0);
    let shown = host.run(&["quarantine", "show", "places", "2"]).succeeded().lines.join("\n");
    assert!(
        shown.contains("class    type")
            && shown.contains("cannot be added up")
            && shown.contains("quarantine retry --index places"),
        "{shown}"
    );
    host.run(&["quarantine", "show", "places", "9"]).refused(1, &["is not in quarantine"]);
    host.run(&["quarantine", "discard"]).refused(2, &["--index", "--all"]);
    host.run(&["quarantine", "retry"]).refused(2, &["--index", "--all"]);
    let again = host.run(&["quarantine", "retry", "--index", "places"]).succeeded();
    assert_eq!(again.lines, ["built 3 again; 3 are in quarantine still, `quarantine list` says why"]);
    let gone = host.run(&["quarantine", "discard", "--index", "places", "--id", "2"]).succeeded();
    assert_eq!(gone.lines, ["removed 1 document from the quarantine"]);
    running.signal("TERM");
    running.wait().succeeded();

    // The state that it left says the same.
    let text = host.run(&["quarantine", "list"]).succeeded().lines.join("\n");
    assert!(text.contains("2 documents are in quarantine") && text.contains("places  1  type, by "), "{text}");
    let gone = host.run(&["quarantine", "discard", "--all"]).succeeded();
    assert_eq!(gone.lines, ["removed 2 documents from the quarantine"]);
    assert_eq!(list(&[])["total"], 0);
    host.run(&["quarantine", "retry", "--all"]).refused(1, &["no host is running"]);
}
