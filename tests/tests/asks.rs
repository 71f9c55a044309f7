//! What a running host is asked: whether a change is found, whether it is well, to build an index anew.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use flusso_tests::{Host, Postgres, Running};
use serde_json::Value;

/// A host on a database that answers on a port that was free.
fn host(database: &Postgres) -> Host {
    Host::on(&database.url()).with("FLUSSO_PUBLIC_ADDRESS", "127.0.0.1:0").with("FLUSSO_STATE_DIR", "state")
}

/// Where it answers.
fn address(running: &Running) -> String {
    let line = running.wait_for_log("answering /wait");
    let at = line.find("127.0.0.1:").unwrap_or_else(|| panic!("no address in {line}"));
    line[at..].chars().take_while(|it| it.is_ascii_digit() || ".:".contains(*it)).collect()
}

fn ask(address: &str, method: &str, path: &str) -> (u16, Value) {
    let asking = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    let answer: std::io::Result<String> = asking();
    let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
    match (status, body) {
        (Some(status), Some(body)) => (status, body),
        _ => panic!("{method} {path}: {answer}"),
    }
}

#[test]
fn an_application_waits_until_its_change_is_found() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY, s text)");
    let host = host(&database);
    let running = host.start(&["--plugin", "pg.wasm", "--plugin", "ndjson,path=out"]);
    let address = address(&running);
    for n in 0..20 {
        // Others write as well, and what they write concerns no index.
        let position = database.sql(&format!(
            "INSERT INTO t VALUES ({n}, 'mine'); CREATE TEMPORARY TABLE noise AS SELECT 1; SELECT pg_current_wal_lsn()"
        ));
        let position = position.lines().last().unwrap_or_default().trim().to_owned();
        let position = if n % 2 == 0 { position } else { "now".to_owned() };
        let (status, body) = ask(&address, "GET", &format!("/wait?index=t&position={position}&timeout=60s"));
        assert_eq!(status, 200, "{body}");
        let id = format!("\"id\":\"{n}\"");
        let found = std::fs::read_to_string(host.folder().join("out/t.ndjson")).unwrap_or_default();
        assert!(found.contains(&id), "answered before {n} was there: {found}");
    }
    let (status, body) = ask(&address, "GET", "/wait?index=t&position=FFFFFF/0&timeout=300ms");
    assert_eq!(status, 504);
    let stands =
        |name: &str| body.pointer(&format!("/stands/{name}")).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert!(stands("position").contains("FFFFFF/0") && stands("found").contains('/'), "{body}");
    assert_eq!(ask(&address, "GET", "/wait?index=u&position=now").0, 404);
    assert_eq!(ask(&address, "GET", "/wait?index=t&position=soon").0, 400);
    assert_eq!(ask(&address, "GET", "/wait?index=t&timeout=soon").0, 400);
    assert_eq!(ask(&address, "GET", "/healthz").0, 200);
    assert_eq!(ask(&address, "GET", "/readyz").0, 200);
    assert_eq!(ask(&address, "POST", "/reindex?index=t").0, 404, "not in public");
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn an_index_is_built_anew_in_the_host_that_is_running() {
    let database = Postgres::with(
        "CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t SELECT g, 'x' FROM generate_series(1, 500) g",
    );
    let host = host(&database);
    host.run(&["reindex", "t", "--plugin", "pg.wasm"]).refused(1, &["no host is running", "--reseed t"]);
    let running = host.start(&["--plugin", "pg.wasm"]);
    running.wait_for_log("ready");
    address(&running);
    // The seeding may be under way, which is what a rebuild would be.
    let mut ended = host.run(&["reindex", "t", "--plugin", "pg.wasm"]);
    while ended.code == Some(1) {
        assert!(ended.log.contains("being built already") || ended.log.contains("starting"), "{}", ended.log);
        ended = host.run(&["reindex", "t", "--plugin", "pg.wasm"]);
    }
    assert_eq!(ended.succeeded().lines, ["index t was built anew"]);
    // Standard output keeps nothing beside what it printed: it is told to forget, and gets all of it again.
    let all = || running.lines().iter().filter(|line| line.contains("\"upsert\"")).count();
    for _ in 0..1_000 {
        if all() >= 1_000 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let lines = running.lines();
    let clear =
        lines.iter().rposition(|line| line.contains("\"clear\"")).unwrap_or_else(|| panic!("it was not cleared"));
    assert_eq!(lines.len() - clear - 1, 500);
    host.run(&["reindex", "u", "--plugin", "pg.wasm"]).refused(2, &["no index \"u\"", "t"]);
    let shown = host.run(&["indexes", "--plugin", "pg.wasm"]).succeeded().lines.join("\n");
    assert!(shown.contains("cannot say what it holds") && shown.contains("the host is running"), "{shown}");
    running.signal("TERM");
    running.wait().succeeded();
    assert!(!host.folder().join("state/host.sock").exists(), "the socket goes with the host");
    let shown = host.run(&["indexes", "--plugin", "pg.wasm", "--format", "json"]).succeeded().lines.join("\n");
    let shown: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!(shown.pointer("/running"), Some(&Value::Bool(false)));
    host.run(&["indexes", "remove", "t", "--plugin", "pg.wasm"]).refused(2, &["no sink holds \"t\""]);
    // A host that is killed leaves its socket, which stops nobody.
    let running = host.start(&["--plugin", "pg.wasm"]);
    address(&running);
    running.kill();
    assert!(host.folder().join("state/host.sock").exists());
    host.run(&["reindex", "t", "--plugin", "pg.wasm"]).refused(1, &["no host is running"]);
    let running = host.start(&["--plugin", "pg.wasm"]);
    address(&running);
    running.kill();
    host.run(&["drop", "--plugin", "pg.wasm"]).succeeded();
    assert!(!host.folder().join("state").exists(), "nothing is left of it");
}

#[test]
fn an_address_that_is_taken_is_said_and_one_that_nobody_asked_for_stops_nothing() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
    let address = taken.local_addr().unwrap_or_else(|error| panic!("{error}")).to_string();
    let host = host(&database);
    host.run(&["--plugin", "pg.wasm", "--public-address", &address]).refused(2, &["[server]", &address]);
    // Nothing is served where everything is over soon.
    host.run(&["--plugin", "pg.wasm", "--public-address", &address, "--once"]).succeeded();
}
