//! `flusso-host demo`, as a newcomer starts it, without the wait for the building of plugins.

use std::path::Path;

use flusso_tests::{Ended, Host, Postgres, native, plugin};

/// Runs the demo in a folder in which it may leave nothing.
fn demo(host: &Host, words: &[&str], plugins: &[String]) -> Ended {
    let temporary = host.folder().join("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let usual = std::env::var("FLUSSO_TEST_PLUGINS").unwrap_or_default();
    let mut all = vec!["demo", "--plugin-dir", &usual];
    all.extend(words);
    for plugin in plugins {
        let folder = Path::new(plugin).parent().and_then(Path::to_str).unwrap_or_default();
        all.extend(["--plugin-dir", folder]);
    }
    let ended = host.run(&all).succeeded();
    let left: Vec<_> = std::fs::read_dir(&temporary).unwrap().filter_map(Result::ok).map(|it| it.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    ended
}

fn in_folder(mut host: Host) -> Host {
    let temporary = host.folder().join("temporary").display().to_string();
    host.set("TMPDIR", &temporary);
    host
}

/// That every change is found, and by what.
fn tells_the_story(ended: &Ended) {
    let text = ended.lines.join("\n");
    for wanted in [
        "6 orders are found after",
        "\"customer\":{\"name\":",
        "search orders 'burr'  → 0 found\n",
        "search orders 'burr'  → 1 found, ",
        "1004  Ada Lovelace of London: Burr mill, Dot grid notebook",
        "search orders 'customer.city:Cambridge'  → 2 found, ",
        "1007  Alan Kay: Dot grid notebook",
        "search orders 'lamp'  → 1 found\n",
        "search orders 'lamp'  → 0 found, ",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}\n{}", ended.log);
    }
}

#[test]
fn it_needs_no_server() {
    let host = in_folder(Host::new());
    let plugins = [plugin("plugins/files"), plugin("plugins/schema-builder"), native("plugins/tantivy")];
    let ended = demo(&host, &[], &plugins);
    tells_the_story(&ended);
    let text = ended.lines.join("\n");
    assert!(text.contains("shop/products.csv  + 2,Burr mill,74.50") && text.contains("demo --postgres"), "{text}");
}

#[test]
fn it_tells_the_same_on_a_database() {
    let database = Postgres::with("");
    let slots = || database.sql("SELECT count(*) FROM pg_replication_slots WHERE database LIKE 'flusso_demo_%'");
    let host = in_folder(Host::on(&database.url()));
    let ended = demo(&host, &["--postgres"], &[native("plugins/tantivy")]);
    tells_the_story(&ended);
    assert!(!ended.log.contains("clean up"), "{}", ended.log);
    let text = ended.lines.join("\n");
    assert!(
        text.contains("UPDATE products SET name = 'Burr mill'") && text.contains("DATABASE_URL=postgres"),
        "{text}"
    );
    assert_eq!(slots().trim(), "0");
    assert_eq!(database.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'flusso_demo_%'").trim(), "0");
}

#[test]
fn it_says_what_it_needs() {
    let host = in_folder(Host::new());
    host.run(&["demo", "--opensearch"]).refused(2, &["OPENSEARCH_URL"]);
    host.run(&["demo", "--install"]).refused(2, &["--postgres"]);
}
