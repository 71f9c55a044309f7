//! A plugin takes the place of its former file while the host runs: nothing is lost or skipped, and a file that is no good leaves
//! the plugin before running.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flusso_tests::{Ended, Host, Postgres, Running, Session, given, variant};

/// A host with a folder of plugins of its own, which are changed.
fn host(database: &Postgres) -> Host {
    let host = Host::on(&database.url()).with("FLUSSO_STATE_DIR", "state");
    let plugins = host.folder().join("own");
    std::fs::create_dir(&plugins).unwrap();
    for name in ["pg", "ndjson"] {
        copy(&Path::new(&given("FLUSSO_TEST_PLUGINS")).join(name).with_extension("wasm"), &plugins);
    }
    let folder = plugins.display().to_string();
    host.with("FLUSSO_PLUGIN_DIR", &folder)
}

fn copy(from: &Path, folder: &Path) {
    std::fs::copy(from, folder.join(from.file_name().unwrap())).unwrap();
}

/// Makes another file of a plugin: the same component with a section more that means nothing.
fn change(host: &Host, name: &str, note: &str) {
    let path = host.folder().join("own").join(name).with_extension("wasm");
    let mut component =
        std::fs::read(Path::new(&given("FLUSSO_TEST_PLUGINS")).join(path.file_name().unwrap())).unwrap();
    let section = [&[4], &b"note"[..], note.as_bytes()].concat();
    component.extend([0, u8::try_from(section.len()).unwrap()]);
    component.extend(section);
    replace(&path, &component);
}

/// As package managers do it: a new file takes the name.
fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn reload(host: &Host, name: &str) -> Ended {
    host.run(&["plugin", "reload", name])
}

/// The documents that a folder of the sink `ndjson` holds, each as it was written last.
fn held(host: &Host) -> BTreeMap<String, String> {
    let mut held = BTreeMap::new();
    for line in std::fs::read_to_string(host.folder().join("out/t.ndjson")).unwrap().lines() {
        let line = flusso_tests::Line::parse(line);
        match line.op.as_str() {
            "clear" => held.clear(),
            "delete" => drop(held.remove(&line.id)),
            _ => drop(held.insert(line.id, line.document["v"].to_string())),
        }
    }
    held
}

fn rows(database: &Postgres) -> BTreeMap<String, String> {
    let rows = database.sql("SELECT id || ' ' || v FROM t");
    rows.lines().map(|row| row.split_once(' ').map(|(id, v)| (id.to_owned(), v.to_owned())).unwrap()).collect()
}

/// Waits until the host has written what the table holds.
fn caught_up(host: &Host, database: &Postgres) {
    let end = Instant::now() + Duration::from_secs(30);
    while held(host) != rows(database) {
        assert!(Instant::now() < end, "the documents are not those of the table");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn started(host: &Host, words: &[&str]) -> Running {
    let running = host.start(words);
    running.wait_for_log("seeded");
    running
}

const FILES: [&str; 4] = ["--plugin", "pg", "--plugin", "ndjson,path=out"];

#[test]
fn ten_exchanges_under_500_changes_a_second_lose_nothing() {
    let database = Postgres::with(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT g, 0 FROM generate_series(1, 2000) g",
    );
    let host = host(&database);
    let running = started(&host, &FILES);
    let ends = Arc::new(AtomicBool::new(false));
    let (port, name, stopped) = (database.port().parse().unwrap(), database.name().to_owned(), Arc::clone(&ends));
    let writer = std::thread::spawn(move || {
        let mut session = Session::open(port, &name).unwrap();
        let (began, mut changes) = (Instant::now(), 0_u32);
        while !stopped.load(Ordering::Relaxed) {
            let (old, new, deleted) = (changes * 7 % 2_000 + 1, 10_000 + changes, 10_000 + changes / 2);
            let statement = match changes % 4 {
                0 | 1 => format!("UPDATE t SET v = {changes} WHERE id = {old}"),
                2 => format!("INSERT INTO t VALUES ({new}, {changes})"),
                _ => format!("DELETE FROM t WHERE id = {deleted}"),
            };
            session.rows(&statement).unwrap();
            changes += 1;
            std::thread::sleep((began + Duration::from_millis(2) * changes).saturating_duration_since(Instant::now()));
        }
        (changes, began.elapsed())
    });
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", running.id())).unwrap().count();
    let (mut open, mut pauses) = (Vec::new(), Vec::new());
    for round in 0..10 {
        let name = if round % 2 == 0 { "pg" } else { "ndjson" };
        change(&host, name, &format!("round {round}"));
        let said = reload(&host, name).succeeded().lines.join("\n");
        assert!(said.contains("took the place of"), "{said}");
        open.push(descriptors());
        pauses.push(said.rsplit_once("for ").unwrap().1.to_owned());
    }
    ends.store(true, Ordering::Relaxed);
    let (changes, elapsed) = writer.join().unwrap();
    caught_up(&host, &database);
    open.push(descriptors());
    let grown = open.iter().min().zip(open.last()).map(|(least, last)| last - least);
    assert!(grown <= Some(4), "open files after each exchange: {open:?}");
    println!(
        "ten exchanges under {:.0} changes/s; without capture: {}",
        f64::from(changes) / elapsed.as_secs_f64(),
        pauses.join(", ")
    );
    running.signal("TERM");
    let ended = running.wait().succeeded();
    assert_eq!(ended.log.matches("took the place of").count(), 10, "{}", ended.log);
    assert_eq!(ended.log.matches("seeding index").count(), 1, "an exchange seeded again: {}", ended.log);
}

#[test]
fn a_file_that_is_no_good_leaves_the_plugin_before_running() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
    let host = host(&database);
    let running = started(&host, &FILES);
    let own = |name: &str| host.folder().join("own").join(name);
    let ndjson = std::fs::read(own("ndjson.wasm")).unwrap();
    for (number, (bytes, words)) in [
        (b"no component".to_vec(), ["own/pg.wasm", "is not WebAssembly"]),
        (ndjson.get(..ndjson.len() / 2).unwrap().to_vec(), ["own/pg.wasm", "is damaged"]),
        (ndjson, ["own/pg.wasm", "holds plugin \"ndjson\" now"]),
    ]
    .into_iter()
    .enumerate()
    {
        replace(&own("pg.wasm"), &bytes);
        let refused = reload(&host, "pg");
        assert_eq!(refused.code, Some(1), "{}", refused.log);
        for word in words {
            assert!(refused.log.contains(word), "{word:?} is missing in {}", refused.log);
        }
        database.sql(&format!("UPDATE t SET v = {} WHERE id = 1", number + 2));
        caught_up(&host, &database);
    }
    // What is in no lock file is refused where there is one.
    change(&host, "pg", "locked");
    host.run(&["plugin", "lock", "--plugin", "pg", "--plugin", "ndjson,path=out"]).succeeded();
    change(&host, "pg", "not locked");
    let refused = reload(&host, "pg").refused(1, &["flusso.lock", "what ran before goes on"]);
    assert!(refused.log.contains("plugin lock"), "{}", refused.log);
    reload(&host, "nobody").refused(2, &["\"nobody\"", "ndjson, pg"]);
    change(&host, "pg", "locked");
    reload(&host, "source").succeeded();
    let same = reload(&host, "pg").succeeded().lines.join("\n");
    assert!(same.contains("runs as its file is already"), "{same}");
    database.sql("INSERT INTO t VALUES (2, 2)");
    caught_up(&host, &database);
    running.signal("TERM");
    running.wait().succeeded();
    reload(&host, "pg").refused(1, &["no host is running"]);
}

#[test]
fn a_builder_that_does_not_open_goes_and_one_with_another_mapping_rebuilds() {
    let database = Postgres::with(
        "CREATE TABLE items (id bigint PRIMARY KEY, v text, w int); CREATE TABLE others (id bigint PRIMARY KEY, v text);
         INSERT INTO items SELECT i, 'v' || i, 1 FROM generate_series(1, 3) i",
    );
    let host = host(&database);
    let builder = host.folder().join("own/mistaken.wasm");
    let of = |variables: &[(&str, &str)]| std::fs::read(variant("tests/guests/mistaken", variables)).unwrap();
    replace(&builder, &of(&[]));
    let running = started(&host, &["--plugin", "pg", "--plugin", "mistaken"]);
    running.wait_for_line(|line| line.contains("\"id\":\"3\""));

    replace(&builder, &of(&[("FLUSSO_TEST_OPEN", "panic")]));
    reload(&host, "mistaken").refused(1, &["mistaken", "open", "does not open", "0.1.0 goes on"]);
    database.sql("INSERT INTO items VALUES (4, 'v4', 1)");
    running.wait_for_line(|line| line.contains("\"id\":\"4\""));

    replace(&builder, &of(&[("FLUSSO_TEST_HASH", "2")]));
    reload(&host, "builder").succeeded();
    running.wait_for_line(|line| line.contains("\"clear\""));
    let again = |line: &str| line.contains("\"id\":\"4\"");
    let end = Instant::now() + Duration::from_secs(30);
    while running.lines().iter().filter(|line| again(line)).count() < 2 {
        assert!(Instant::now() < end, "{:#?} {:#?}", running.lines(), running.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn a_watched_file_is_exchanged_once_it_is_whole() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
    let host = host(&database);
    let mut words = FILES.to_vec();
    words.push("--watch");
    let running = started(&host, &words);
    replace(&host.folder().join("own/pg.wasm"), b"no component");
    running.wait_for_log("is not WebAssembly");
    change(&host, "pg", "mended");
    running.wait_for_log("took the place of");
    database.sql("INSERT INTO t VALUES (2, 2)");
    caught_up(&host, &database);
    running.signal("TERM");
    let ended = running.wait().succeeded();
    // Each file is tried once, however often it is looked at.
    assert_eq!(ended.log.matches("the plugin is not exchanged").count(), 1, "{}", ended.log);
    assert_eq!(ended.log.matches("took the place of").count(), 1, "{}", ended.log);
}
