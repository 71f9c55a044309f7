//! Mistakes that the author of a builder makes (`tests/guests/mistaken`), over a real database: each is an error that names it,
//! and none gives a document that is silently wrong.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;

use flusso_tests::{Host, Postgres, given, plugin};
use serde_json::Value;

/// The built guest.
fn guest() -> String {
    plugin("tests/guests/mistaken")
}

const ITEMS: &str = "
    CREATE TABLE items (id bigint PRIMARY KEY, v text, w int);
    CREATE TABLE others (id bigint PRIMARY KEY, v text);
    INSERT INTO items SELECT i, 'v'||i, 1 FROM generate_series(1,3) i;
    INSERT INTO others SELECT i, 'o'||i FROM generate_series(1,3) i;";

#[test]
fn a_read_that_is_not_in_the_interest_ends_the_run_and_writes_nothing() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    let plain = host.run(&["--plugin", "pg", "--plugin", &guest(), "--once"]).succeeded();
    assert_eq!(plain.documents().len(), 3, "{}", plain.log);
    for (how, words) in [
        ("column", ["\"w\"", "public.items", "`reads`"]),
        ("filter", ["\"w\"", "public.items", "`reads`"]),
        ("swallowed", ["\"w\"", "public.items", "`reads`"]),
        ("table", ["public.others", "mistaken", "`interest`"]),
    ] {
        let plugin = format!("{},how={how}", guest());
        let ended = host.run(&["--plugin", "pg", "--plugin", &plugin, "--once", "--reseed"]);
        let written: Vec<_> = ended.documents().into_iter().filter(|line| line.op != "clear").collect();
        assert!(written.is_empty(), "{how}: {written:?}");
        let ended = ended.refused(3, &words);
        assert!(!ended.log.contains("trying again"), "{how}: {}", ended.log);
    }
}

#[test]
fn a_body_that_is_no_json_is_a_fault_of_its_document() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    let plugin = format!("{},how=not-json", guest());
    let words = ["\"2\"", "\"items\"", "builder", "not-json", "at byte 1"];
    let ended = host.run(&["--plugin", "pg", "--plugin", &plugin, "--once"]).refused(7, &words);
    assert!(ended.documents().is_empty(), "a document was written");
    let config = format!(
        "on_error = \"skip\"\n[source]\nplugin = \"pg\"\n[builder]\nplugin = \"{}\"\nhow = \"not-json\"\n",
        guest()
    );
    let config = host.file("flusso.toml", &config).display().to_string();
    let skipped = host.run(&["--config", &config, "--once"]).succeeded();
    let ids: Vec<_> = skipped.documents().into_iter().map(|line| line.id).collect();
    assert_eq!(ids, ["1", "3"], "{}", skipped.log);
    assert!(skipped.log.contains("not-json"), "{}", skipped.log);
}

#[test]
fn an_answer_that_breaks_the_contract_twice_alike_is_final() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    for (how, words) in [("fewer", "outcomes for"), ("trap", "a bug of the builder")] {
        let plugin = format!("{},how={how}", guest());
        let ended = host.run(&["--plugin", "pg", "--plugin", &plugin, "--once"]);
        let ended = ended.refused(3, &["mistaken", words, "2 times"]);
        assert_eq!(ended.log.matches("trying again").count(), 1, "{how}: {}", ended.log);
    }
}

#[test]
fn a_builder_that_names_links_and_records_none_is_told_what_it_misses() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    let plugin = format!("{},how=links", guest());
    let arguments = ["--plugin", "pg", "--plugin", &plugin, "--once"];
    let seeded = host.run(&arguments).succeeded();
    let told = "does not tell its w, and the builder mistaken records no links";
    assert!(!seeded.log.contains(told), "{}", seeded.log);
    database.sql("DELETE FROM items WHERE id = 1; DELETE FROM items WHERE id = 2");
    let followed = host.run(&arguments).succeeded();
    assert_eq!(followed.log.matches(told).count(), 1, "{}", followed.log);
    database.sql("ALTER TABLE items REPLICA IDENTITY FULL; DELETE FROM items WHERE id = 3");
    let followed = host.run(&arguments).succeeded();
    assert!(!followed.log.contains(told), "{}", followed.log);
}

/// Documents whose build traps: each follows the policy alone, whether its index is being seeded or its row is changed.
#[test]
fn documents_that_end_the_builder_are_put_aside_and_the_others_are_built() {
    let database = Postgres::with(
        "CREATE TABLE items (id bigint PRIMARY KEY, v text, w int);
         INSERT INTO items SELECT i, CASE WHEN i % 400 = 13 THEN 'poison' ELSE 'v' || i END, 1 FROM generate_series(1, 20000) i",
    );
    let host = Host::on(&database.url());
    let config = format!("on_error = \"skip\"\n[source]\nplugin = \"pg\"\n[builder]\nplugin = \"{}\"\n", guest());
    let config = host.file("flusso.toml", &config).display().to_string();
    let run = || host.run(&["--config", &config, "--once"]).succeeded();
    let quarantined = |log: &str| log.matches("quarantined a document").count();
    let seeded = run();
    let written = seeded.documents().iter().filter(|line| line.op == "upsert").count();
    assert_eq!((written, quarantined(&seeded.log)), (19_950, 50), "{}", seeded.log);
    assert!(seeded.log.contains("item 13 is poison"), "{}", seeded.log);
    database.sql(
        "UPDATE items SET v = 'poison' WHERE id IN (1, 500); UPDATE items SET v = 'good' WHERE id IN (2, 13, 501)",
    );
    let followed = run();
    let mut ids: Vec<String> = followed.documents().into_iter().map(|line| line.id).collect();
    ids.sort();
    assert_eq!(
        (ids, quarantined(&followed.log)),
        (vec!["13".to_owned(), "2".to_owned(), "501".to_owned()], 2),
        "{}",
        followed.log
    );
    // Where a run is to stop, the document is named.
    let strict = Host::on(&database.url());
    let ended = strict.run(&["--plugin", "pg,slot=strict", "--plugin", &guest(), "--once"]);
    assert!(ended.code != Some(0) && ended.log.contains("is poison") && ended.log.contains("items"), "{}", ended.log);
    assert_eq!(quarantined(&ended.log), 0);
}

#[test]
fn documents_that_end_a_sink_are_put_aside_and_the_others_are_written() {
    let database = Postgres::with(
        "CREATE TABLE items (id bigint PRIMARY KEY, v text);
         INSERT INTO items SELECT i, CASE WHEN i % 400 = 13 THEN 'poison' ELSE 'v' || i END FROM generate_series(1, 20000) i",
    );
    let host = Host::on(&database.url());
    let taken = host.folder().join("out");
    std::fs::create_dir(&taken).unwrap();
    let config = format!(
        "on_error = \"skip\"\n[source]\nplugin = \"pg\"\n[sinks.main]\nplugin = \"{}\"\nhow = \"poison\"\npath = \"{}\"\n",
        plugin("tests/guests/misbehave"),
        taken.display()
    );
    let config = host.file("flusso.toml", &config).display().to_string();
    let ended = host.run(&["--config", &config, "--once"]).succeeded();
    assert_eq!(ended.log.matches("quarantined a document").count(), 50, "{}", ended.log);
    let ids = std::fs::read_to_string(taken.join("taken")).unwrap();
    let ids: std::collections::BTreeSet<u64> = ids.lines().map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids.len(), 19_950);
    assert!(ids.iter().all(|id| id % 400 != 13));
    assert!(ended.log.contains("document 13 is poison"), "{}", ended.log);
}

#[test]
fn a_granted_file_is_read_as_it_is_now() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    let file = host.file("shown.txt", "first");
    let plugin = format!("{},file={}", guest(), file.display());
    let running = host.start(&["--plugin", "pg", "--plugin", &plugin]);
    running.wait_for_line(|line| line.contains("first"));
    host.file("next.txt", "second");
    std::fs::rename(host.folder().join("next.txt"), &file).unwrap();
    database.sql("UPDATE items SET v = 'x' WHERE id = 1");
    let line = running.wait_for_line(|line| line.contains("\"x\""));
    assert!(line.contains("second"), "{line}");
    std::fs::write(&file, "third!").unwrap();
    database.sql("UPDATE items SET v = 'y' WHERE id = 1");
    let line = running.wait_for_line(|line| line.contains("\"y\""));
    assert!(line.contains("third!"), "{line}");
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
fn a_copy_of_a_plugin_is_the_same_plugin_and_listed_with_a_word() {
    let host = Host::new();
    std::fs::create_dir(host.folder().join("plugins")).unwrap();
    let from = std::path::Path::new(&given("FLUSSO_TEST_PLUGINS")).join("pg.wasm");
    std::fs::copy(&from, host.folder().join("plugins/pg.wasm")).unwrap();
    let listed = host.run(&["plugin", "list"]).succeeded();
    let words = ["several files are named `pg`", "plugins/pg.wasm", &from.display().to_string()];
    assert!(words.iter().all(|word| listed.log.contains(word)), "{}", listed.log);
    host.run(&["check", "--plugin", "pg,connection_url=postgres://nobody@127.0.0.1:1/x", "--offline"]).succeeded();
}

/// Files, threads and resident bytes of a process.
fn taken_by(process: u32) -> (usize, u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    (files, number("Threads:"), number("VmRSS:") << 10)
}

/// How many traps, from `FLUSSO_TEST_TRAPS`.
fn traps() -> u64 {
    std::env::var("FLUSSO_TEST_TRAPS").ok().and_then(|number| number.parse().ok()).unwrap_or(50)
}

#[test]
fn a_sink_that_traps_at_every_other_flush_loses_nothing_and_leaves_nothing_behind() {
    let database = Postgres::with(
        "CREATE TABLE items (id bigint PRIMARY KEY, v bigint); INSERT INTO items SELECT g, 0 FROM generate_series(1, 20) g",
    );
    let host = Host::on(&database.url());
    let folder = host.folder().join("taken");
    std::fs::create_dir(&folder).unwrap();
    let (path, guest) = (folder.display(), plugin("tests/guests/misbehave"));
    host.file(
        "flusso.toml",
        &format!("[source]\nplugin = \"pg\"\n[batch]\nmax_delay = \"1ms\"\n[sinks.stumbles]\nplugin = \"{guest}\"\nhow = \"stumble\"\npath = \"{path}\"\n"),
    );
    let running = host.start(&[]);
    running.wait_for_log("ready");
    let flushes = || std::fs::metadata(folder.join("flushes")).map_or(0, |file| file.len());
    let (mut rounds, mut before) = (0, None);
    while flushes() < 2 * traps() {
        rounds += 1;
        database.sql(&format!("UPDATE items SET v = {rounds} WHERE id = 1 + {rounds} % 20"));
        if before.is_none() && flushes() > traps() / 2 {
            before = Some(taken_by(running.id()));
        }
        assert!(rounds < 100 * traps(), "{} flushes after {rounds} changes\n{:#?}", flushes(), running.log());
    }
    let (before, after) = (before.unwrap(), taken_by(running.id()));
    assert!(after.0 <= before.0 + 4 && after.1 <= before.1 + 4, "files and threads were {before:?}, and are {after:?}");
    assert!(after.2 < before.2 + before.2 / 10 + (4 << 20), "memory was {} and is {} bytes", before.2, after.2);
    running.signal("TERM");
    running.wait().succeeded();
    // What was changed when it was asked to end comes with the next run.
    let ended = host.run(&["--once"]).succeeded();
    // The last version of each document that was taken.
    let text = std::fs::read_to_string(folder.join("taken")).unwrap();
    let taken: BTreeMap<&str, Value> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(id, body)| (id, serde_json::from_str(body).unwrap()))
        .collect();
    let rows = database.sql("SELECT id, v FROM items ORDER BY id");
    for row in rows.lines() {
        let (id, v) = row.split_once('|').unwrap_or_else(|| panic!("{row:?}"));
        assert_eq!(taken[id]["v"], v.parse::<u64>().unwrap(), "document {id}\n{}", ended.log);
    }
    eprintln!(
        "{} flushes, half of them traps; {rounds} changes; files, threads, memory: {before:?}, {after:?}",
        flushes()
    );
}

#[test]
fn an_index_that_the_configuration_does_not_name_is_not_offered() {
    let database = Postgres::with(ITEMS);
    let host = Host::on(&database.url());
    let config = |index: &str| {
        let text =
            format!("[source]\nplugin = \"pg\"\n[builder]\nplugin = \"{}\"\n[[index]]\nname = \"{index}\"\n", guest());
        host.file("flusso.toml", &text).display().to_string()
    };
    let words = ["mistaken", "builder.mappings", "\"items\"", "the configuration does not name"];
    let ended = host.run(&["--config", &config("others"), "--once"]).refused(3, &words);
    assert!(ended.documents().is_empty());
    assert_eq!(host.documents(&["--config", &config("items"), "--once"]).len(), 3);
}
