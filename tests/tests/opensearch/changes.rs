//! What others do to the cluster while the host runs: it is noticed, mended and said, and no document is missing afterwards.

use std::time::{Duration, Instant};

use flusso_tests::Running;
use flusso_tests::search::Search;
use serde_json::{Value, json};

use crate::shop::Shop;

/// Looks at what others did every second.
const SETTINGS: &str = "look_every_secs = 1";
/// How long a change may take to be noticed where documents come, and where none come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A deployment that is followed, with an index of another client beside it.
fn followed(test: &str, settings: &str) -> (Shop, Running) {
    let shop = Shop::open(test, &Search::shared(), None);
    shop.configure(&shop.search.url(), &format!("{SETTINGS}\n{settings}"));
    ask(&shop, "PUT", &format!("/{}", shop.name("theirs")), &json!({ "settings": { "number_of_replicas": 0 } }));
    let mut running = shop.host.start(&[]);
    running.wait_for_log("ready");
    shop.barrier(&mut running);
    (shop, running)
}

fn ask(shop: &Shop, method: &str, path: &str, body: &Value) {
    let (status, said) = shop.search.ask(method, path, &body.to_string());
    assert_eq!(status, 200, "{method} {path}: {said}");
}

/// The generation that holds an index's documents.
fn generation(shop: &Shop, index: &str) -> String {
    let mut names = shop.search.indexes(&format!("{}_", shop.name(index)));
    names.sort();
    names.pop().unwrap()
}

/// Where an alias stands, and with what conditions.
fn alias(shop: &Shop, alias: &str) -> Value {
    let (status, found) = shop.search.ask("GET", &format!("/_alias/{alias}"), "");
    if status == 200 { found } else { json!({}) }
}

/// Changes a row again and again until something is so.
fn until(shop: &Shop, running: &mut Running, what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(running.is_running(), "{what}: it ended by itself.\n{:#?}", running.log());
        assert!(Instant::now() < end, "{what}: it was not noticed.\n{:#?}", running.log());
        shop.database.sql("UPDATE by_int SET name = 'changed ' || clock_timestamp() WHERE id = 7");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn has_said(running: &Running, words: &str) -> bool {
    running.log().iter().any(|line| line.contains(words))
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn aliases_that_others_change_are_put_back_and_no_document_is_missing() {
    let (shop, mut running) = followed("aliases", "");
    let (theirs, index) = (shop.name("theirs"), generation(&shop, "by_int"));
    let (plain, hash, write) = (shop.name("by_int"), index.trim_end_matches("_1").to_owned(), format!("{index}_write"));
    let add = |to: &str, alias: &str, given: Value| {
        let mut add = json!({ "index": to, "alias": alias });
        add.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        json!({ "add": add })
    };
    let remove = |alias: &str| json!({ "remove": { "index": index, "alias": alias } });
    let doubled = format!("was put before {theirs} as well");
    let moved = format!("was moved to {theirs}");
    for (alias_name, actions, change) in [
        (&write, vec![remove(&write)], "was removed"),
        (&write, vec![remove(&write), add(&theirs, &write, json!({}))], moved.as_str()),
        (&write, vec![add(&theirs, &write, json!({}))], &doubled),
        (&write, vec![add(&index, &write, json!({ "is_write_index": false }))], "was given is_write_index = false"),
        (&hash, vec![remove(&hash)], "was removed"),
        (&hash, vec![remove(&hash), add(&theirs, &hash, json!({}))], &moved),
        (&hash, vec![add(&theirs, &hash, json!({}))], &doubled),
        (&hash, vec![add(&index, &hash, json!({ "filter": { "term": { "id": 1 } } }))], "was given filter"),
        (&plain, vec![remove(&plain)], "was removed"),
    ] {
        let what = format!("{alias_name} {change}");
        ask(&shop, "POST", "/_aliases", &json!({ "actions": actions }));
        shop.database.sql(&format!("INSERT INTO by_int (id, name) SELECT max(id) + 1, '{what}' FROM by_int"));
        let wanted = json!({ index.as_str(): { "aliases": { alias_name.as_str(): {} } } });
        until(&shop, &mut running, &what, || alias(&shop, alias_name) == wanted);
        assert!(has_said(&running, &what), "{what} was not said.\n{:#?}", running.log());
        shop.barrier(&mut running);
        shop.compare(&what);
    }
    // A person who puts the plain name before an index of their own means it.
    let actions = vec![remove(&plain), add(&theirs, &plain, json!({}))];
    ask(&shop, "POST", "/_aliases", &json!({ "actions": actions }));
    let end = Instant::now() + PATIENCE;
    while !has_said(&running, "belongs to index") {
        assert!(Instant::now() < end, "{:#?}", running.log());
        shop.database.sql("UPDATE by_int SET name = 'changed' WHERE id = 8");
        std::thread::sleep(Duration::from_millis(300));
    }
    std::thread::sleep(Duration::from_secs(3));
    shop.barrier(&mut running);
    assert_eq!(alias(&shop, &plain), json!({ theirs.as_str(): { "aliases": { plain.as_str(): {} } } }));
    assert_eq!(running.log().iter().filter(|line| line.contains("belongs to index")).count(), 1, "it is said once");
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn an_index_that_is_closed_or_blocked_is_waited_for_by_name() {
    let (shop, mut running) = followed("closed", "");
    let index = generation(&shop, "by_int");
    let settings = format!("/{index}/_settings");
    for (method, path, body, back, words) in [
        (
            "POST",
            format!("/{index}/_close"),
            json!({}),
            ("POST", format!("/{index}/_open"), json!({})),
            "is closed; open it with POST",
        ),
        (
            "PUT",
            settings.clone(),
            json!({ "index.blocks.write": true }),
            ("PUT", settings.clone(), json!({ "index.blocks.write": null })),
            "index.blocks.write",
        ),
        (
            "PUT",
            settings.clone(),
            json!({ "index.blocks.read_only": true }),
            ("PUT", settings.clone(), json!({ "index.blocks.read_only": null })),
            "index.blocks.read_only",
        ),
    ] {
        ask(&shop, method, &path, &body);
        shop.database.sql("INSERT INTO by_int (id, name) SELECT max(id) + 1, 'while it waits' FROM by_int");
        let line = running.wait_for_log(words);
        assert!(line.contains(&index), "{line}");
        std::thread::sleep(Duration::from_secs(2));
        assert!(running.is_running(), "{:#?}", running.log());
        ask(&shop, back.0, &back.1, &back.2);
        shop.barrier(&mut running);
        shop.compare(words);
    }
    running.signal("TERM");
    running.wait().succeeded();

    // The same at a start: it waits as long as it may.
    ask(&shop, "POST", &format!("/{index}/_close"), &json!({}));
    let ended = shop.host.run(&["--once", "--timeout", "3s"]);
    assert_eq!(ended.code, Some(4), "{}", ended.log);
    assert!(ended.log.contains(&format!("index {index} is closed")), "{}", ended.log);
    let mut running = shop.host.start(&[]);
    running.wait_for_log("is closed; open it with POST");
    ask(&shop, "POST", &format!("/{index}/_open"), &json!({}));
    shop.barrier(&mut running);
    shop.compare("opened while it starts");
    running.signal("TERM");
    running.wait().succeeded();
}

#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn an_index_that_others_remove_or_make_anew_is_seeded_again() {
    let (shop, mut running) = followed("anew", "number_of_shards = 2");
    let index = generation(&shop, "by_int");
    let (plain, hash) = (shop.name("by_int"), index.trim_end_matches("_1").to_owned());
    let rows = || shop.database.sql("SELECT count(*) FROM by_int").trim().parse::<u64>().unwrap();
    let count = || shop.search.count(&plain);

    // With every alias, and without the mapping.
    let (aliases, body) =
        (json!({ &plain: {}, &hash: {}, format!("{index}_write"): {} }), json!({ "number_of_replicas": 0 }));
    ask(&shop, "DELETE", &format!("/{index}"), &json!({}));
    ask(&shop, "PUT", &format!("/{index}"), &json!({ "aliases": aliases, "settings": body }));
    until(&shop, &mut running, "made anew", || generation(&shop, "by_int") != index && count() == rows());
    assert!(has_said(&running, "was made anew"), "{:#?}", running.log());
    shop.barrier(&mut running);
    shop.compare("made anew");

    // Documents that went to the shard of another id would never be replaced.
    let by_text = generation(&shop, "by_text");
    let routed = json!({ "add": { "index": by_text, "alias": format!("{by_text}_write"), "index_routing": "x" } });
    ask(&shop, "POST", "/_aliases", &json!({ "actions": [routed] }));
    shop.database.sql("UPDATE by_text SET name = 'routed'");
    until(&shop, &mut running, "routed", || generation(&shop, "by_text") != by_text);
    assert!(has_said(&running, "may be in the wrong shards"), "{:#?}", running.log());
    shop.barrier(&mut running);
    until(&shop, &mut running, "built anew", || shop.search.indexes(&format!("{}_", shop.name("by_text"))).len() == 1);
    shop.barrier(&mut running);
    shop.compare("built anew, without routing");

    // Nothing is written: an idle sink looks as well.
    let last = generation(&shop, "by_int");
    ask(&shop, "DELETE", &format!("/{last}"), &json!({}));
    let end = Instant::now() + PATIENCE;
    while shop.search.indexes(&format!("{plain}_")).is_empty() || count() != rows() {
        assert!(running.is_running() && Instant::now() < end, "{:#?}", running.log());
        std::thread::sleep(Duration::from_millis(300));
    }
    shop.barrier(&mut running);
    shop.compare("removed");
    running.signal("TERM");
    running.wait().succeeded();
}
