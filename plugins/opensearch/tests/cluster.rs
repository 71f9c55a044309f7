//! Against a real cluster, natively: `FLUSSO_TEST_OPENSEARCH_URL=http://127.0.0.1:9200 cargo test -p flusso-opensearch --
//! --ignored` (`tests/opensearch.sh` starts one, `tests/run` does it all). The same code runs in the component.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests, which stop at the first surprise"
)]

mod server;

use flusso_opensearch::OpenSearch;
use flusso_plugin::{Document, Error, IndexState, Inventory as _, Sink as _};
use serde_json::{Value, json};
use server::{Cluster, field, mapping};

fn upsert(target: u32, id: &str, version: u64, body: &Value) -> Document {
    Document { target, id: id.to_owned(), version, body: Some(body.to_string().into_bytes()) }
}

fn delete(target: u32, id: &str, version: u64) -> Document {
    Document { target, id: id.to_owned(), version, body: None }
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn what_is_written_is_found_and_what_is_deleted_is_not() {
    let cluster = Cluster::of("written");
    let mut sink = cluster.open(json!({ "batch_size": 7, "requests_in_flight": 3 }));
    let users = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap();
    assert!(users.empty);
    let documents = (0..100).map(|n| upsert(users.target, &format!("{n}"), 10, &json!({ "n": n }))).collect();
    sink.write(documents).unwrap();
    // Deleted in the same flush, written twice in it, and what is not there deleted.
    sink.write(vec![
        delete(users.target, "5", 10),
        upsert(users.target, "6", 10, &json!({ "n": -6 })),
        delete(users.target, "nobody", 10),
    ])
    .unwrap();
    assert!(sink.flush(true, 20_000).unwrap().rejected.is_empty());
    let found = cluster.documents("users");
    assert_eq!(found.len(), 99);
    assert!(!found.contains_key("5") && found["6"] == json!({ "n": -6 }) && found["99"] == json!({ "n": 99 }));
    assert!(!sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().empty);
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn an_older_document_never_takes_a_newer_ones_place() {
    let cluster = Cluster::of("older");
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    sink.write(vec![upsert(target, "1", 20, &json!({ "n": 20 })), delete(target, "2", 20)]).unwrap();
    sink.flush(false, 20_000).unwrap();
    // As after a crash: what was not confirmed comes again, from the start.
    sink.write(vec![upsert(target, "1", 10, &json!({ "n": 10 })), upsert(target, "2", 10, &json!({ "n": 10 }))])
        .unwrap();
    assert!(sink.flush(true, 20_000).unwrap().rejected.is_empty());
    assert_eq!(cluster.documents("users"), [("1".to_owned(), json!({ "n": 20 }))].into());
    // The same version again is the same or later.
    sink.write(vec![upsert(target, "1", 20, &json!({ "n": 21 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    assert_eq!(cluster.documents("users")["1"], json!({ "n": 21 }));
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn poison_is_rejected_by_id_and_the_rest_lands() {
    let cluster = Cluster::of("poison");
    let mut sink = cluster.open(json!({ "batch_size": 4, "strict": true }));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    let mut documents: Vec<_> = (0..10).map(|n| upsert(target, &format!("{n}"), 1, &json!({ "n": n }))).collect();
    documents[3] = upsert(target, "3", 1, &json!({ "n": "SECRET" }));
    documents[8] = upsert(target, "8", 1, &json!({ "unknown": 1 }));
    documents.push(upsert(target, &"x".repeat(513), 1, &json!({ "n": 1 })));
    documents.push(upsert(target, "", 1, &json!({ "n": 1 })));
    sink.write(documents).unwrap();
    let rejected = sink.flush(true, 20_000).unwrap().rejected;
    let mut found: Vec<_> =
        rejected.iter().map(|one| (one.id.len(), one.id.as_str(), one.failure.class.as_str())).collect();
    found.sort_unstable();
    assert_eq!(found, [(1, "3", "mapping"), (1, "8", "mapping")]);
    assert!(rejected.iter().all(|one| one.target == target && !one.failure.reason.contains("SECRET")), "{rejected:?}");
    assert!(rejected.iter().any(|one| one.failure.reason.contains("[n]")), "{rejected:?}");
    // Ids that the cluster does not take are written as others.
    let held = cluster.documents("users");
    assert_eq!(held.len(), 10);
    assert!(held.contains_key("flusso:empty") && held.keys().any(|id| id.starts_with("flusso:sha256:")), "{held:?}");
    sink.write(vec![delete(target, &"x".repeat(513), 2), delete(target, "", 2)]).unwrap();
    sink.flush(true, 20_000).unwrap();
    assert_eq!(cluster.documents("users").len(), 8);
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn a_value_that_cannot_be_indexed_is_kept_in_its_document() {
    let cluster = Cluster::of("lenient");
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    let values = [json!("NaN"), json!("infinity"), json!(1e300), json!("no number"), json!(5)];
    let documents =
        values.iter().enumerate().map(|(n, value)| upsert(target, &n.to_string(), 1, &json!({ "n": value })));
    sink.write(documents.collect()).unwrap();
    assert!(sink.flush(true, 20_000).unwrap().rejected.is_empty());
    let held = cluster.documents("users");
    for (n, value) in values.iter().enumerate() {
        assert_eq!(held[&n.to_string()]["n"], *value);
    }
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn a_document_over_the_limit_goes_alone() {
    let cluster = Cluster::of("large");
    let mut sink = cluster.open(json!({ "max_bytes": 1024, "compression": "gzip", "gzip_above": 100 }));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    let long = "y".repeat(100_000);
    sink.write(vec![
        upsert(target, "a", 1, &json!({ "n": 1 })),
        upsert(target, "b", 1, &json!({ "t": long })),
        upsert(target, "c", 1, &json!({ "n": 3 })),
    ])
    .unwrap();
    assert!(sink.flush(true, 20_000).unwrap().rejected.is_empty());
    assert_eq!(cluster.documents("users").len(), 3);
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn a_mark_holds_for_the_index_it_was_made_for() {
    let cluster = Cluster::of("marks");
    let mut sink = cluster.open(json!({ "refresh_interval": "7s", "number_of_replicas": 0 }));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    assert_eq!(sink.seeded(target), Ok(None));
    assert_eq!(cluster.setting("users", "refresh_interval"), "-1");
    sink.write(vec![upsert(target, "1", 1, &json!({ "n": 1 }))]).unwrap();
    sink.flush(false, 20_000).unwrap();
    sink.mark_seeded(target, "history-1".into()).unwrap();
    assert_eq!(cluster.setting("users", "refresh_interval"), "7s");
    assert_eq!(cluster.documents("users").len(), 1, "what is seeded can be searched");
    // Another instance reads the same.
    let mut other = cluster.open(json!({}));
    let again = other.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap();
    assert_eq!((again.target, other.seeded(again.target)), (target, Ok(Some("history-1".to_owned()))));
    other.mark_unseeded(target).unwrap();
    assert_eq!(sink.seeded(target), Ok(None));
    sink.mark_seeded(target, "history-2".into()).unwrap();
    // Removed behind our back: made anew, empty, under another target, and not seeded.
    cluster.remove("users");
    let mut after = cluster.open(json!({}));
    let made = after.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap();
    assert!(made.empty && made.target != target);
    assert_eq!(after.seeded(made.target), Ok(None));
    // An instance that still writes to the old one makes nothing by that.
    sink.write(vec![upsert(target, "2", 2, &json!({ "n": 2 }))]).unwrap();
    assert!(matches!(sink.flush(true, 20_000), Err(Error::Transient(_))));
    assert!(cluster.documents("users").is_empty());
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn an_index_that_others_made_anew_refuses_no_document() {
    let cluster = Cluster::of("anew");
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    sink.write(vec![upsert(target, "1", 1, &json!({ "n": 1 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    cluster.remove("users");
    let name = cluster.name("users_aaaaaaaa_1");
    let aliases = json!({ cluster.name("users"): {}, cluster.name("users_aaaaaaaa"): {}, format!("{name}_write"): {} });
    let body = json!({ "aliases": aliases, "mappings": { "dynamic": "strict" } });
    assert_eq!(cluster.ask("PUT", &format!("/{name}"), Some(&body)).0, 200);
    sink.write(vec![upsert(target, "1", 2, &json!({ "n": 2 }))]).unwrap();
    let flushed = sink.flush(true, 20_000);
    assert!(matches!(&flushed, Err(Error::Transient(one)) if one.message.contains("was made anew")), "{flushed:?}");
    let mut other = cluster.open(json!({}));
    let again = other.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap();
    assert!(again.target != target && again.empty, "an index with the mapping takes its place");
    let (_, holders) = cluster.ask("GET", &format!("/_alias/{}", cluster.name("users_aaaaaaaa")), None);
    let holders: Vec<&String> = holders.as_object().unwrap().keys().collect();
    assert_eq!(holders, [&cluster.name("users_aaaaaaaa_2")]);
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn an_index_that_sleeps_although_it_is_seeded_is_woken() {
    let cluster = Cluster::of("asleep");
    let mut sink = cluster.open(json!({ "refresh_interval": "7s" }));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    sink.mark_seeded(target, "h".into()).unwrap();
    cluster.set("users", json!({ "refresh_interval": "-1" }));
    let mut other = cluster.open(json!({ "refresh_interval": "7s" }));
    other.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap();
    other.seeded(target).unwrap();
    assert_eq!(cluster.setting("users", "refresh_interval"), "7s");
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn a_generation_takes_the_live_ones_place_at_one_moment() {
    let cluster = Cluster::of("generations");
    let mut sink = cluster.open(json!({ "keep_replaced_secs": 0 }));
    let users = || cluster.mapping("users", "aaaaaaaa");
    let live = sink.ensure_index(users()).unwrap().target;
    sink.write(vec![upsert(live, "old", 1, &json!({ "n": 1 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    sink.mark_seeded(live, "h".into()).unwrap();
    let first = sink.begin_rebuild(users(), false).unwrap();
    assert!(first != live);
    // It goes on after a restart, and begins anew when it should.
    let mut sink = cluster.open(json!({ "keep_replaced_secs": 0 }));
    assert_eq!(sink.ensure_index(users()).unwrap().target, live);
    assert_eq!(sink.begin_rebuild(users(), true).unwrap(), first);
    let second = sink.begin_rebuild(users(), false).unwrap();
    assert!(second != first && second != live);
    assert_eq!(sink.begin_rebuild(users(), true).unwrap(), second);
    sink.write(vec![upsert(second, "new", 1, &json!({ "n": 2 })), upsert(live, "new", 1, &json!({ "n": 2 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    assert_eq!(cluster.documents("users").len(), 2, "the live one serves until the end");
    sink.promote(second).unwrap();
    assert_eq!(cluster.documents("users"), [("new".to_owned(), json!({ "n": 2 }))].into());
    // Its answer was lost: that it has happened is seen, and it may be said again.
    let mut sink = cluster.open(json!({ "keep_replaced_secs": 0 }));
    assert_eq!(sink.ensure_index(users()).unwrap().target, second);
    sink.promote(second).unwrap();
    assert_eq!(sink.seeded(second), Ok(None), "the mark spoke of the one before");
    sink.mark_seeded(second, "h".into()).unwrap();
    sink.write(vec![upsert(second, "more", 2, &json!({ "n": 3 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    assert_eq!(cluster.generations("users"), 1, "the replaced one goes after its time");
    assert!(sink.abandon(second).is_err(), "what serves cannot be abandoned");
    let third = sink.begin_rebuild(users(), false).unwrap();
    sink.abandon(third).unwrap();
    sink.abandon(third).unwrap();
    assert_eq!((cluster.generations("users"), cluster.documents("users").len()), (1, 2));
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn another_mapping_fills_beside_the_one_that_serves() {
    let cluster = Cluster::of("mappings");
    let mut sink = cluster.open(json!({}));
    let old = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    sink.write(vec![upsert(old, "1", 1, &json!({ "n": 1 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    sink.mark_seeded(old, "h".into()).unwrap();
    let new = sink.ensure_index(cluster.mapping("users", "bbbbbbbb")).unwrap();
    assert!(new.empty && new.target != old);
    assert_eq!(cluster.documents("users")["1"], json!({ "n": 1 }), "the old one serves until the new one is seeded");
    sink.write(vec![upsert(new.target, "1", 1, &json!({ "n": 2 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    sink.mark_seeded(new.target, "h".into()).unwrap();
    assert_eq!(cluster.documents("users")["1"], json!({ "n": 2 }));
    assert_eq!(cluster.documents("users_aaaaaaaa")["1"], json!({ "n": 1 }), "who asks for the old mapping finds it");
    assert_eq!(sink.seeded(old), Ok(Some("h".to_owned())));
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn a_name_that_is_somebody_elses_stays_theirs() {
    let cluster = Cluster::of("foreign");
    cluster.make("users");
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    sink.write(vec![upsert(target, "1", 1, &json!({ "n": 1 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    sink.mark_seeded(target, "h".into()).unwrap();
    assert_eq!((cluster.documents("users").len(), cluster.documents("users_aaaaaaaa").len()), (0, 1));
    cluster.make("taken_aaaaaaaa");
    let error = sink.ensure_index(cluster.mapping("taken", "aaaaaaaa")).unwrap_err();
    assert!(matches!(&error, Error::Fatal(text) if text.contains("rename or remove it")), "{error:?}");
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn a_clear_removes_what_came_before_it_and_nothing_after() {
    let cluster = Cluster::of("clear");
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
    let write = |sink: &mut flusso_opensearch::OpenSearch| {
        sink.write((0..6_000).map(|n| upsert(target, &format!("{n}"), 10, &json!({ "n": n }))).collect()).unwrap();
        sink.clear(target, 11).unwrap();
        sink.write(vec![upsert(target, "after", 11, &json!({ "n": 1 })), upsert(target, "7", 11, &json!({ "n": 7 }))])
            .unwrap();
        sink.flush(true, 25_000).unwrap();
        let found: Vec<_> = cluster.documents("users").into_keys().collect();
        assert_eq!(found, ["7", "after"]);
    };
    write(&mut sink);
    // As when the answer was lost: all of it again, on a fresh instance.
    let mut sink = cluster.open(json!({}));
    sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap();
    write(&mut sink);
    // What is newer than a clear that comes again stays.
    sink.write(vec![upsert(target, "later", 12, &json!({ "n": 1 }))]).unwrap();
    sink.clear(target, 11).unwrap();
    sink.flush(true, 25_000).unwrap();
    assert_eq!(cluster.documents("users").into_keys().collect::<Vec<_>>(), ["later"]);
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn every_word_of_the_language_can_be_indexed_and_searched() {
    let cluster = Cluster::of("words");
    let mut sink = cluster.open(json!({}));
    let fields = [
        ("prose", "text"),
        ("code", "identifier"),
        ("word", "keyword"),
        ("id", "uuid"),
        ("yes", "boolean"),
        ("s", "short"),
        ("i", "integer"),
        ("l", "long"),
        ("f", "float"),
        ("d", "double"),
        ("m", "decimal"),
        ("day", "date"),
        ("at", "timestamp"),
        ("raw", "binary"),
        ("any", "json"),
        ("place", "geo_point"),
        ("one", "object"),
        ("one.name", "keyword"),
        ("many", "nested"),
        ("many.tier", "enum"),
    ];
    let mut fields: Vec<_> = fields.iter().map(|(path, word)| field(path, word)).collect();
    fields[19].variants = Some(vec!["low level".to_owned(), "high=>x".to_owned()]);
    let target = sink.ensure_index(mapping(&cluster.name("all"), "cccccccc", fields)).unwrap().target;
    let body = json!({
        "prose": "Crème brûlée for Ada", "code": "C-01234", "word": "MiXed", "id": "6f1c1c9e-6b3b-4f44-9a52-0f7c4f6c5b1a",
        "yes": true, "s": 1, "i": 2, "l": 9_007_199_254_740_993_i64, "f": 1.5, "d": 2.5, "m": 12.34, "day": "2024-02-29",
        "at": "2024-02-29T12:34:56.123456+00:00", "raw": "aGk=", "any": [1, { "a.b": [{}] }, "x"],
        "place": { "lat": 1.0, "lon": 2.0 }, "one": { "name": "n" }, "many": [{ "tier": "low level" }, { "tier": "high=>x" }],
    });
    sink.write(vec![
        upsert(target, "1", 1, &body),
        upsert(target, "2", 1, &json!({ "one": null, "many": [], "any": null })),
    ])
    .unwrap();
    let rejected = sink.flush(true, 20_000).unwrap().rejected;
    assert!(rejected.is_empty(), "{rejected:?}");
    assert_eq!(cluster.documents("all")["1"], body);
    for (name, query) in [
        ("accents are folded", json!({ "match": { "prose": "creme BRULEE" } })),
        ("part of a code", json!({ "match": { "code": "01234" } })),
        ("a code without its hyphen", json!({ "match": { "code": "c01234" } })),
        ("exactly", json!({ "term": { "prose.keyword": "Crème brûlée for Ada" } })),
        ("whatever its case", json!({ "term": { "word.keyword_lowercase": "mixed" } })),
        ("a keyword as text", json!({ "match": { "word.text": "mixed" } })),
        ("by rank", json!({ "nested": { "path": "many", "query": { "term": { "many.tier.sort": "high=>x" } } } })),
        (
            "its rank is a number",
            json!({ "nested": { "path": "many", "query": { "prefix": { "many.tier.sort": "1" } } } }),
        ),
        ("far from nothing", json!({ "geo_distance": { "distance": "1km", "place": { "lat": 1.0, "lon": 2.0 } } })),
        ("on that day", json!({ "range": { "at": { "gte": "2024-02-29", "lt": "2024-03-01" } } })),
    ] {
        assert_eq!(cluster.count("all", &query), 1, "{name}");
    }
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn what_is_not_there_is_said_with_the_setting_that_names_it() {
    let cluster = Cluster::of("absent");
    let error = cluster.try_open(json!({ "pipeline": "nobody" })).err().unwrap();
    assert!(matches!(&error, Error::Configuration(one) if one.setting == "pipeline"), "{error:?}");
    let mut sink = cluster.open(json!({ "text_analysis": "icu" }));
    match sink.ensure_index(cluster.mapping("users", "aaaaaaaa")) {
        Ok(_) => eprintln!("this cluster has icu"),
        Err(error) => {
            assert!(matches!(&error, Error::Configuration(one) if one.setting == "text_analysis"), "{error:?}")
        }
    }
    let error = flusso_opensearch::OpenSearch::open(flusso_plugin::Settings::from_json(
        json!({ "url": "http://127.0.0.1:1" }).to_string(),
    ));
    assert!(matches!(error.err(), Some(Error::Transient(_))));
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn what_is_held_is_listed_and_what_is_left_over_can_be_removed() {
    let cluster = Cluster::of("held");
    let mut sink = cluster.open(json!({}));
    let old = sink.ensure_index(cluster.mapping("users", "aaaaaaaa1111")).unwrap().target;
    sink.write(vec![upsert(old, "1", 1, &json!({ "n": 1 })), upsert(old, "2", 1, &json!({ "n": 2 }))]).unwrap();
    sink.flush(true, 20_000).unwrap();
    sink.mark_seeded(old, "h".into()).unwrap();
    let new = sink.ensure_index(cluster.mapping("users", "bbbbbbbb2222")).unwrap().target;
    cluster.make("users_aaaaaaaa_7");
    let list = || {
        let held = OpenSearch::list(cluster.settings(json!({})), cluster.name("")).unwrap();
        let shown = held.into_iter().map(|one| {
            assert!(one.index == cluster.name("users") && one.bytes.is_some(), "{one:?}");
            (one.name.replace(&cluster.name(""), ""), one.hash, one.state, one.documents, one.seeded)
        });
        shown.collect::<Vec<_>>()
    };
    let remove = |name: &str, force| {
        OpenSearch::remove(cluster.settings(json!({})), cluster.name(""), cluster.name(name), force)
    };
    let (a, b) = (
        ("users_aaaaaaaa_1".to_owned(), "aaaaaaaa1111".to_owned()),
        ("users_bbbbbbbb_1".to_owned(), "bbbbbbbb2222".to_owned()),
    );
    let h = Some("h".to_owned());
    assert_eq!(
        list(),
        [
            (a.0.clone(), a.1.clone(), IndexState::Frozen, Some(2), h.clone()),
            (b.0.clone(), b.1.clone(), IndexState::Building, None, None)
        ],
        "and not what somebody else made"
    );
    for (name, word) in
        [("users_aaaaaaaa_1", "serves"), ("users_bbbbbbbb_1", "being filled"), ("users_aaaaaaaa_7", "no index of")]
    {
        let refused = remove(name, false);
        assert!(matches!(&refused, Err(Error::Configuration(one)) if one.message.contains(word)), "{refused:?}");
    }
    assert!(remove("users_aaaaaaaa_7", true).is_err(), "what is not listed is never removed");
    assert_eq!(remove("users_aaaaaaaa_9", false), Ok(()), "what is not there is gone");
    sink.mark_seeded(new, "h".into()).unwrap();
    assert_eq!(
        list(),
        [(a.0.clone(), a.1, IndexState::Leftover, Some(2), h.clone()), (b.0, b.1, IndexState::Serving, Some(0), h)]
    );
    remove("users_aaaaaaaa_1", false).unwrap();
    assert_eq!(list().len(), 1);
    // Its mark is gone with it: who wants the mapping again begins anew.
    let again = sink.ensure_index(cluster.mapping("users", "aaaaaaaa1111")).unwrap();
    assert!(again.empty && again.target != old);
    assert_eq!(sink.seeded(again.target), Ok(None));
    let other = OpenSearch::list(cluster.settings(json!({})), "other_".to_owned()).unwrap();
    assert!(other.is_empty(), "another deployment's: {other:?}");
}

#[test]
#[ignore = "needs an OpenSearch: FLUSSO_TEST_OPENSEARCH_URL, or tests/run"]
fn a_document_that_is_sent_in_another_form_stays_behind_a_later_one() {
    let cluster = Cluster::of("forms");
    let raw = |target, id: &str, body: &str| Document {
        target,
        id: id.to_owned(),
        version: 1,
        body: Some(body.as_bytes().to_vec()),
    };
    for settings in [json!({}), json!({ "batch_size": 1, "requests_in_flight": 8 })] {
        let mut sink = cluster.open(settings);
        let target = sink.ensure_index(cluster.mapping("users", "aaaaaaaa")).unwrap().target;
        sink.write(vec![
            raw(target, "1", r#"{"n":1,"n":2}"#),
            raw(target, "1", r#"{"n":3}"#),
            raw(target, "2", r#"{"n":1}"#),
            raw(target, "2", r#"{"n":{"x":4}}"#),
            raw(target, "3", r#"{"n":5,"n":6,"t":{"x":1}}"#),
            delete(target, "4", 1),
        ])
        .unwrap();
        assert!(sink.flush(true, 20_000).unwrap().rejected.is_empty());
        let kept = |field: &str, value: Value| json!({ "fields": [field], "document": { field: value } });
        assert_eq!(
            cluster.documents("users"),
            [
                ("1".to_owned(), json!({ "n": 3 })),
                ("2".to_owned(), json!({ "flusso_unindexed": kept("n", json!({ "x": 4 })) })),
                ("3".to_owned(), json!({ "n": 6, "flusso_unindexed": kept("t", json!({ "x": 1 })) })),
            ]
            .into()
        );
    }
}
