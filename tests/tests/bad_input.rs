//! Bad input: each exact cause has its exit code, and a message that names the remedy.

use flusso_tests::{Host, Postgres, given};

const ONCE: [&str; 5] = ["--plugin", "pg.wasm", "--once", "--timeout", "2s"];

#[test]
fn something_that_is_no_component() {
    let host = Host::on("postgres://nobody@127.0.0.1:1/none");
    host.file("text.wasm", "this is text");
    host.run(&["--plugin", "text.wasm", "--once"]).refused(3, &["text.wasm", "not WebAssembly", "component"]);
    // A core module: what `cargo build --target wasm32-unknown-unknown` makes.
    std::fs::write(host.folder().join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
    host.run(&["--plugin", "module.wasm", "--once"]).refused(3, &["module.wasm", "wasm32-wasip2"]);
    host.file("empty.wasm", "");
    host.run(&["--plugin", "empty.wasm", "--once"]).refused(3, &["empty.wasm"]);
}

#[test]
fn a_component_of_another_world_or_version() {
    let host = Host::on("postgres://nobody@127.0.0.1:1/none");
    // The smallest component: a header and nothing else.
    std::fs::write(host.folder().join("bare.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    host.run(&["--plugin", "bare.wasm", "--once"]).refused(3, &["bare.wasm", "flusso:manifest", "flusso-plugin"]);

    // The real plugin, built against a contract that this host does not know.
    let real = std::fs::read(format!("{}/pg.wasm", given("FLUSSO_TEST_PLUGINS"))).unwrap();
    let (old, new) = (b"flusso:connector/source@0.2.0", b"flusso:connector/source@9.2.0");
    let mut other = real.clone();
    let mut replaced = 0;
    let mut at = 0;
    while let Some(found) = other[at..].windows(old.len()).position(|window| window == old) {
        at += found;
        other[at..at + new.len()].copy_from_slice(new);
        replaced += 1;
    }
    assert!(replaced > 0, "the plugin exports the source interface");
    let contract: &[u8] = b"\"contract\"";
    assert!(real.windows(contract.len()).any(|window| window == contract), "the manifest names the contract");
    std::fs::write(host.folder().join("future.wasm"), other).unwrap();
    host.run(&["--plugin", "future.wasm", "--once"]).refused(3, &["future.wasm", "9.2.0", "0.2"]);

    // And one that was built against the contract before this one: its author, or whoever has its source, builds it again.
    let (now, before): (&[u8], &[u8]) = (b"\"contract\": \"0.2.0\"", b"\"contract\": \"0.1.0\"");
    let mut old = real;
    let places: Vec<usize> = (0..old.len() - now.len()).filter(|at| old[*at..].starts_with(now)).collect();
    assert!(!places.is_empty(), "the manifest names the contract");
    for at in places {
        old[at..at + before.len()].copy_from_slice(before);
    }
    std::fs::write(host.folder().join("old.wasm"), old).unwrap();
    let remedy = ["old.wasm", "built against version 0.1.0", "speaks 0.2.0", "flusso-host plugin build DIR"];
    host.run(&["--plugin", "old.wasm", "--once"]).refused(3, &remedy);
    host.run(&["check", "--plugin", "old.wasm"]).refused(3, &remedy);
    host.run(&["plugin", "inspect", "old.wasm"]).refused(3, &remedy);
}

#[test]
fn a_missing_database_url() {
    Host::new().run(&ONCE).refused(2, &["connection_url", "DATABASE_URL"]);
}

#[test]
fn a_server_that_is_away() {
    let host = Host::on("postgres://postgres@127.0.0.1:1/none");
    host.run(&ONCE).refused(4, &["127.0.0.1:1", "not reachable"]);
}

#[test]
fn a_wrong_password() {
    let mut database = Postgres::new();
    let role = database.role("LOGIN SUPERUSER PASSWORD 'right'");
    let url = database.url_as(&role, "wrong-hunter2", "");
    let ended = Host::on(&url).run(&ONCE).refused(2, &[&role, "password"]);
    assert!(!ended.log.contains("hunter2"), "a credential is never printed: {}", ended.log);
}

#[test]
fn a_role_without_replication() {
    let mut database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let role = database.role("LOGIN PASSWORD 'x'");
    database.sql(&format!("GRANT SELECT ON t TO {role}; GRANT CREATE ON DATABASE {} TO {role}", database.name()));
    let url = database.url_as(&role, "x", "");
    Host::on(&url).run(&ONCE).refused(2, &["REPLICATION", "ALTER ROLE"]);
}

#[test]
fn a_database_that_does_not_exist() {
    let database = Postgres::new();
    let url = format!("{}_nope", database.url());
    Host::on(&url).run(&ONCE).refused(2, &["does not exist", "database"]);
}

#[test]
fn a_publication_that_somebody_else_must_make() {
    let mut database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let role = database.role("LOGIN REPLICATION PASSWORD 'x'");
    database.sql(&format!("GRANT SELECT ON t TO {role}"));
    let url = database.url_as(&role, "x", "");
    let ended = Host::on(&url).run(&ONCE);
    assert_ne!(ended.code, Some(0));
    for words in ["CREATE PUBLICATION", "flusso", "t"] {
        assert!(ended.log.contains(words), "{words:?} is missing in {}", ended.log);
    }
}

#[test]
fn a_table_without_a_key_is_skipped_and_said_once() {
    let database =
        Postgres::with("CREATE TABLE keyless (x int); CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let ended = Host::on(&database.url()).run(&ONCE).succeeded();
    assert_eq!(ended.lines.len(), 1);
    assert_eq!(ended.log.lines().filter(|line| line.contains("keyless")).count(), 1, "{}", ended.log);
    assert!(ended.log.contains("ALTER TABLE") || ended.log.contains("primary key"), "{}", ended.log);
    // The application's own changes to it go on as before.
    database.sql("UPDATE keyless SET x = 2; DELETE FROM keyless");
}

#[test]
fn unknown_words_on_the_command_line() {
    let host = Host::new();
    host.run(&["--plugn", "pg"]).refused(2, &["--plugn", "--plugin"]);
    host.run(&["chek"]).refused(2, &["chek", "check"]);
    host.run(&["plugin", "lst"]).refused(2, &["lst", "list"]);
    host.run(&["--plugin", "pgg", "--once"]).refused(3, &["pgg", "did you mean `pg`"]);
    host.run(&["--plugin", "ndjsn.wasm", "--once"]).refused(3, &["ndjsn.wasm", "ndjson.wasm"]);
    host.run(&["--timeout", "5"]).refused(2, &["--timeout", "30s"]);
    host.run(&["--log-level", "lots=of=it", "check"]).refused(2, &["lots=of=it"]);
}

#[test]
fn unknown_keys() {
    let host = Host::on("postgres://postgres@127.0.0.1:1/none");
    host.file("flusso.toml", "[source]\nplugin = \"pg\"\n\n[batch]\nmax_change = 3\n");
    host.run(&["--once"]).refused(2, &["flusso.toml:5", "max_change", "max_changes"]);
    host.file("flusso.toml", "[source]\nplugin = \"pg\"\nslto = \"a\"\n");
    host.run(&["--once"]).refused(2, &["slto", "did you mean `slot`"]);
    host.file("flusso.toml", "[source]\ntype = \"postgers\"\n");
    host.run(&["--once"]).refused(3, &["postgers", "postgres"]);
    host.file("flusso.toml", "[sinks.a]\ntype = \"stdout\"\n");
    host.run(&["--once"]).refused(2, &["there is no source", "--plugin"]);
    host.run(&["--once", "-c", "other.toml"]).refused(2, &["other.toml"]);
}

#[test]
fn a_slot_that_somebody_holds() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let first = Host::on(&database.url());
    let running = first.start(&["--plugin", "pg.wasm"]);
    running.wait_for_log("ready");
    // Patience for a dead connection's slot is the server's own time-out and a little more: 10 s on the tests' server.
    let second = Host::on(&database.url()).run(&["--plugin", "pg.wasm", "--once"]);
    second.refused(5, &[&format!("flusso_{}", database.name()), "in use by process"]);
    // The first is not disturbed.
    database.sql("INSERT INTO t VALUES (5)");
    running.wait_for_line(|line| line.contains(r#""id":"5""#));
}

#[test]
fn no_exit_code_is_undocumented() {
    let help = Host::new().run(&["--help"]).succeeded().lines.join("\n");
    for code in ["  0 ", "  1 ", "  2 ", "  3 ", "  4 ", "  5 ", "  6 ", "  7 ", "  130 "] {
        assert!(help.contains(code), "{code:?} is missing in {help}");
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 130] {
        assert!(readme.contains(&format!("| {code} |")), "exit code {code} is missing in README.md");
    }
}
