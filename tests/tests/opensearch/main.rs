//! A real PostgreSQL into a real OpenSearch: every document read back and compared, as JSON, with what plain SQL says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

mod applications;
mod changes;
mod check;
mod refused;
mod reindex;
mod searches;
mod shop;
mod typed;

use std::time::Duration;

use flusso_tests::converge::{Fault, Identity, Options, Sink, run};
use flusso_tests::search::{Door, Moment, Node, Proxy, Search, Trouble};
use flusso_tests::{Host, Postgres};
use shop::{Shop, workload};

/// Keys of every kind, a soft delete, filters, joins: seeded, changed while it runs, changed while it does not.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn every_index_is_what_sql_says() {
    let shop = Shop::open("words", &Search::shared(), None);
    shop.host.run(&["--once"]).succeeded();
    shop.compare("seeded");
    assert!(!shop.has("people", "3") && !shop.has("people", "4") && shop.has("people", "5"));

    let mut running = shop.host.start(&[]);
    for (what, sql) in shop::STEPS {
        shop.database.sql(sql);
        shop.barrier(&mut running);
        shop.compare(what);
    }
    assert!(shop.has("people", "3") && !shop.has("people", "5"), "a soft delete cleared, another set");
    running.signal("TERM");
    running.wait().succeeded();

    shop.database.sql(&workload(1, 400));
    shop.host.run(&["--once"]).succeeded();
    shop.compare("what was missed is made up for");
    // What can be searched is what was written: nothing waits for a refresh.
    assert_eq!(shop.search.visible(&shop.name("people")), shop.search.documents(&shop.name("people")));
    let again = shop.host.run(&["--once"]).succeeded();
    assert!(again.log.contains("nothing to seed"), "{}", again.log);
}

/// Over TLS, by name, to a cluster that asks who is there.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn a_cluster_that_asks_for_a_client_certificate_is_shown_one() {
    let door = Door::before(Search::shared().address());
    let shop = Shop::open("door", &Search::shared(), None);
    let file = |setting: &str, name: &str| format!("{setting} = {{ file = \"{}\" }}\n", Door::file(name).display());
    let ours = file("client_certificate", "client.crt") + &file("client_key", "client.key");
    shop.configure(&door.url(), &(file("ca", "ca.crt") + &ours));
    shop.host.run(&["--once"]).succeeded();
    shop.compare("seeded through the door");

    for (settings, word) in [(file("ca", "ca.crt"), "client_certificate"), (ours, "ca")] {
        shop.configure(&door.url(), &settings);
        let refused = shop.host.run(&["--once"]);
        assert_eq!(refused.code, Some(2), "{}", refused.log);
        assert!(refused.log.contains(&format!("`{word}`")), "{}", refused.log);
    }
}

/// A kill at every kind of request that seeding, following and swapping make, before the cluster has done it and after.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn a_kill_at_any_request_loses_nothing() {
    let proxy = Proxy::before(Search::shared().address(), 1);
    let shop = Shop::open("kills", &Search::shared(), Some(&proxy));
    shop.database.sql("INSERT INTO by_int SELECT g, 'row ' || g FROM generate_series(1000, 9000) g");
    let both = [Moment::Before, Moment::After];
    let killed_at = |words: &[&str], moment, start: &[&str], sql: &str| {
        let held = proxy.hold(words, moment);
        let running = shop.host.start(start);
        if !sql.is_empty() {
            running.wait_for_log("ready");
            shop.database.sql(sql);
        }
        held.wait();
        // What believes that it is done has the time to say so.
        std::thread::sleep(Duration::from_millis(300));
        let ended = running.kill();
        assert_eq!(ended.code, None, "it ended by itself, {words:?} {moment:?}: {}", ended.log);
    };
    for moment in both {
        killed_at(&["PUT /", "by_int_", "_1 "], moment, &[], "");
    }
    for (words, moments) in [(["POST", "/_bulk"], both), (["PUT", "_settings"], both), (["PUT", "_doc/"], both)] {
        for moment in moments {
            killed_at(&words, moment, &[], "");
        }
    }
    shop.host.run(&["--once"]).succeeded();
    shop.compare("killed while seeding");

    for (round, moment) in both.into_iter().chain(both).enumerate() {
        killed_at(&["POST", "/_bulk"], moment, &[], &workload(10 + u64::try_from(round).unwrap(), 200));
        // A request of its own, or the one that writes.
        killed_at(&["POST", "refresh"], moment, &[], &workload(20 + u64::try_from(round).unwrap(), 20));
    }
    shop.host.run(&["--once"]).succeeded();
    shop.compare("killed while following");

    let rows = shop.search.count(&shop.name("by_int"));
    for moment in both {
        // The first start begins the rebuild, the next ones go on with it or find that it has happened.
        killed_at(&["POST /", "by_int", "_write/_bulk"], moment, &["--reseed", "by_int"], "");
        assert_eq!(shop.search.count(&shop.name("by_int")), rows, "readers see all of it until the swap");
        killed_at(&["POST /_aliases"], moment, &[], "");
        assert_eq!(shop.search.count(&shop.name("by_int")), rows, "before the swap and after it readers see all of it");
        shop.database.sql(
            "INSERT INTO by_int SELECT g, 'later ' || g FROM generate_series(20000, 20100) g ON CONFLICT DO NOTHING",
        );
        shop.host.run(&["--once"]).succeeded();
        shop.compare("killed while swapping");
        shop.database.sql("DELETE FROM by_int WHERE id >= 20000");
        shop.host.run(&["--once", "--reseed", "by_int"]).succeeded();
        shop.compare("swapped");
    }
}

/// A tenth of the documents refused for now, requests refused whole, done but not answered, answered late.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn a_cluster_in_trouble_gets_every_document_all_the_same() {
    let proxy = Proxy::before(Search::shared().address(), 7);
    let shop = Shop::open("trouble", &Search::shared(), Some(&proxy));
    shop.database.sql("INSERT INTO by_int SELECT g, 'row ' || g FROM generate_series(1000, 20000) g");
    shop.database.sql("INSERT INTO by_text SELECT 'many ' || g, 'row ' || g FROM generate_series(1, 3000) g");
    proxy.make(Trouble { busy: 100, away: 30, lost: 30, late: 5 });
    let mut running = shop.host.start(&[]);
    running.wait_for_log("ready");
    for round in 0..6 {
        shop.database.sql(&workload(30 + round, 150));
        std::thread::sleep(Duration::from_millis(500));
    }
    // A tenth of what is removed is refused for now as well; it is not begun again for that.
    shop.database.sql("BEGIN; TRUNCATE by_text; INSERT INTO by_text VALUES ('after', 'it'); COMMIT");
    // One of each at least, whatever was drawn.
    proxy.make(Trouble { busy: 100, away: 1_000, ..Trouble::default() });
    std::thread::sleep(Duration::from_secs(2));
    for trouble in [Trouble { lost: 1_000, ..Trouble::default() }, Trouble { late: 1_000, ..Trouble::default() }] {
        proxy.make(trouble);
        shop.database.sql(&workload(40 + trouble.late, 50));
        std::thread::sleep(Duration::from_secs(3));
    }
    proxy.make(Trouble { busy: 100, ..Trouble::default() });
    shop.database.sql(&workload(50, 200));
    shop.barrier(&mut running);
    proxy.make(Trouble::default());
    shop.barrier(&mut running);
    let counts = proxy.counts();
    println!("{counts:?}");
    assert!(
        ["busy", "away", "lost", "late"].iter().all(|what| counts.get(what).is_some_and(|count| *count > 0)),
        "{counts:?}"
    );
    shop.compare("after all of it");
    running.signal("TERM");
    running.wait().succeeded();
}

/// Away for twenty seconds, with changes meanwhile: nothing ends, nothing is missing.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn a_cluster_that_went_away_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(folder.path());
    let shop = Shop::open("away", &node.search(), None);
    let mut running = shop.host.start(&[]);
    shop.barrier(&mut running);
    let writer = shop.database.sql_in_background(&workload(60, 3_000));
    node.stop();
    shop.database.sql(&workload(61, 200));
    std::thread::sleep(Duration::from_secs(20));
    node.resume();
    writer.join().unwrap();
    shop.barrier(&mut running);
    shop.compare("after it came back");
    running.signal("TERM");
    running.wait().succeeded();
}

/// What authorises arrives at the cluster, and never in a log.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn secrets_reach_the_cluster_and_no_log() {
    let proxy = Proxy::before(Search::shared().address(), 1);
    let shop = Shop::open("secrets", &Search::shared(), Some(&proxy));
    for (settings, header, secrets) in [
        (
            "username = \"ada\"\npassword = { env = \"SECRET\" }",
            "Basic YWRhOnMzc3M6dC1wYXNz",
            &["s3ss:t-pass", "YWRhOnMzc3M6dC1wYXNz"][..],
        ),
        ("api_key = { env = \"SECRET\" }", "ApiKey s3ss:t-pass", &["s3ss:t-pass"]),
        ("bearer = \"s3ss:t-pass\"", "Bearer s3ss:t-pass", &["s3ss:t-pass"]),
    ] {
        shop.configure(&proxy.url(), settings);
        shop.database.sql(&workload(70, 50));
        let ended = shop.host.run(&["--once", "--log-level", "trace", "--log-format", "json"]).succeeded();
        assert_eq!(proxy.authorization().as_deref(), Some(header));
        assert!(ended.log.contains("\"TRACE\"") || ended.log.contains("\"DEBUG\""), "{}", ended.log);
        for secret in secrets.iter() {
            assert!(!ended.log.contains(secret), "a secret is in the log");
        }
        // Nor what rows hold.
        assert!(!ended.log.contains("by workload"), "contents of rows are in the log");
    }
}

/// The convergence test in its short form, into a cluster in trouble. For longer ones: `tests/run converge --sink opensearch`.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn every_index_equals_its_rebuild_after_faults_on_both_sides() {
    // What makes it build whole indexes anew, again and again, is for longer runs; and what comes faster than the cluster
    // takes it would drain when it is in little trouble.
    let faults = vec![Fault::Kill, Fault::Terminate, Fault::Sender, Fault::Readers];
    let mixed = Options::mixed(20, 21, Identity::Full);
    let report =
        run(&Options { sink: Sink::OpenSearch, faults, rate: 60, floor: 10, every: 2.0, round: 10.0, ..mixed });
    println!("{report}");
    assert!(report.wrong.is_none(), "{report}");
}

/// `examples/opensearch` is what its README says it is, with the addresses of these servers.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn the_example_shows_what_it_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/opensearch");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (database, search) = (Postgres::with(&read("shop.sql")), Search::shared());
    let host = Host::new();
    let prefix = format!("example_{}_", std::process::id());
    let file = read("flusso.toml")
        .replace("postgres://shop:shop@127.0.0.1:5432/shop", &database.url())
        .replace("http://127.0.0.1:9200", &search.url());
    assert!(file.contains(&search.url()) && file.contains(&database.url()), "{file}");
    host.file("flusso.toml", &format!("prefix = \"{prefix}\"\n{file}"));
    host.file("customers.schema.yml", &read("customers.schema.yml"));
    let run = || drop(host.run(&["--once"]).succeeded());
    let found = |query: &str| {
        let (_, answer) = search.ask("POST", &format!("/{prefix}customers/_search"), query);
        let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
        hits.iter().map(|hit| hit["_id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let sky = r#"{ "query": { "nested": { "path": "orders.lines", "query": { "match": { "orders.lines.product.title": "sky" } } } } }"#;
    run();
    assert_eq!(found(r#"{ "query": { "query_string": { "query": "lovelace" } } }"#), ["1"]);
    assert_eq!((found(sky).len(), search.count(&format!("{prefix}customers"))), (0, 3), "nobody yet; one is deleted");
    database.sql("UPDATE products SET title = 'Mug, sky blue' WHERE id = 1; UPDATE customers SET deleted_at = now() WHERE id = 2");
    run();
    assert_eq!((found(sky), search.count(&format!("{prefix}customers"))), (vec!["1".to_owned()], 2));
    assert_eq!(search.count(&format!("{prefix}products")), 5);
    search.clean(&prefix);
}
