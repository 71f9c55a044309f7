//! What a cluster may do to bulk requests, from a script. The same without the faults runs against a real one in
//! `cluster.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests, which stop at the first surprise"
)]

mod stand_in;

use flusso_plugin::{Error, Sink as _};
use serde_json::json;
use stand_in::{Reply, StandIn, document, mapping};

fn ids(range: std::ops::Range<u32>) -> Vec<String> {
    let mut ids: Vec<String> = range.map(|n| n.to_string()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn requests_are_cut_by_count_and_by_bytes() {
    let cluster = StandIn::new(|_, _| Reply::Apply);
    let (report, _) = cluster.write(json!({ "batch_size": 4, "requests_in_flight": 1 }), 10, 20_000);
    assert!(report.unwrap().rejected.is_empty());
    assert_eq!(cluster.sent().iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    let cluster = StandIn::new(|_, _| Reply::Apply);
    cluster.write(json!({ "max_bytes": 1024 }), 100, 20_000).0.unwrap();
    assert!(cluster.sent().len() >= 7 && cluster.sent().iter().all(|one| one.len() <= 14), "{:?}", cluster.sent());
    assert_eq!(cluster.ids(), ids(0..100));
}

#[test]
fn what_was_too_much_for_the_moment_is_tried_again_alone() {
    let cluster = StandIn::new(|number, lines| match number {
        0 => Reply::Each(
            lines
                .iter()
                .map(|line| {
                    if line.id == "3" || line.id == "7" { (429, "es_rejected_execution_exception") } else { (200, "") }
                })
                .collect(),
        ),
        1 => Reply::Each(
            lines
                .iter()
                .map(|line| if line.id == "7" { (503, "unavailable_shards_exception") } else { (200, "") })
                .collect(),
        ),
        _ => Reply::Apply,
    });
    let (report, _) = cluster.write(json!({}), 10, 20_000);
    assert!(report.unwrap().rejected.is_empty());
    assert_eq!(cluster.ids(), ids(0..10));
    let sent = cluster.sent();
    assert_eq!((sent.len(), &sent[1], &sent[2]), (3, &vec!["3".to_owned(), "7".to_owned()], &vec!["7".to_owned()]));
}

#[test]
fn a_cluster_that_stays_too_busy_is_waited_out_by_the_host() {
    let cluster =
        StandIn::new(|_, lines| Reply::Each(lines.iter().map(|_| (429, "es_rejected_execution_exception")).collect()));
    let (report, _) = cluster.write(json!({}), 3, 1_000);
    assert!(matches!(report, Err(Error::Transient(error)) if error.message.contains("too busy")));
    assert!(cluster.sent().len() > 1);
}

#[test]
fn a_request_that_fails_as_a_whole_goes_again_and_the_others_go_on() {
    let cluster = StandIn::new(|number, _| match number {
        // More often than a flush bears in a row.
        number if number % 2 == 0 && number < 24 => Reply::Refuse(503, "x"),
        5 => Reply::Refuse(429, "x"),
        7 => Reply::ApplyAndCut,
        _ => Reply::Apply,
    });
    let (report, _) = cluster.write(json!({ "batch_size": 10, "requests_in_flight": 2 }), 60, 20_000);
    assert!(report.unwrap().rejected.is_empty());
    assert_eq!(cluster.ids(), ids(0..60));
}

#[test]
fn a_cluster_that_fails_every_time_is_the_hosts_to_wait_for() {
    for (status, kind) in [(503, "x"), (429, "x"), (502, "x"), (403, "cluster_block_exception")] {
        let cluster = StandIn::new(move |_, _| Reply::Refuse(status, kind));
        let (report, _) = cluster.write(json!({}), 3, 20_000);
        assert!(matches!(report, Err(Error::Transient(_))), "{status}: {report:?}");
        assert_eq!(cluster.sent().len(), 6, "{status}");
    }
    let cluster = StandIn::new(|_, _| Reply::ApplyAndCut);
    assert!(matches!(cluster.write(json!({}), 1, 20_000).0, Err(Error::Transient(_))));
}

#[test]
fn the_server_says_how_long_the_host_should_wait() {
    let cluster = StandIn::new(|_, _| Reply::Later(503, 60));
    let (report, _) = cluster.write(json!({}), 3, 20_000);
    assert!(matches!(report, Err(Error::Transient(error)) if error.retry_after_ms == Some(60_000)));
    assert_eq!(cluster.sent().len(), 1);
}

#[test]
fn credentials_that_are_refused_are_the_operators_affair() {
    for status in [401, 403] {
        let cluster = StandIn::new(move |_, _| Reply::Refuse(status, "security_exception"));
        let (report, _) = cluster.write(json!({ "api_key": "SECRET" }), 1, 20_000);
        let Err(Error::Configuration(error)) = report else { panic!("{report:?}") };
        assert!(error.setting == "api_key" && !error.message.contains("SECRET"), "{error:?}");
        let cluster = StandIn::new(move |_, _| Reply::Each(vec![(status, "security_exception")]));
        let (report, _) = cluster.write(json!({ "username": "u", "password": "SECRET" }), 1, 20_000);
        assert!(matches!(report, Err(Error::Configuration(error)) if error.setting == "password"));
    }
}

#[test]
fn a_request_that_is_too_large_is_halved_until_only_what_is_too_large_itself_is_left() {
    let cluster = StandIn::new(|_, lines| {
        let large = lines.len() > 3 || lines.iter().any(|line| line.id == "5");
        if large { Reply::Refuse(413, "too_large") } else { Reply::Apply }
    });
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(mapping()).unwrap().target;
    let mut documents: Vec<_> = (0..10).map(|n| document(target, &n.to_string(), 1, n)).collect();
    documents[5].body = Some(json!({ "n": 5, "text": "x".repeat(70_000) }).to_string().into_bytes());
    sink.write(documents).unwrap();
    let rejected = sink.flush(false, 20_000).unwrap().rejected;
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!((rejected[0].id.as_str(), rejected[0].failure.class.as_str()), ("5", "too-large"));
    assert!(rejected[0].failure.reason.contains(" bytes"), "{rejected:?}");
    let mut left = ids(0..10);
    left.retain(|id| id != "5");
    assert_eq!(cluster.ids(), left);
}

#[test]
fn a_small_document_that_is_called_too_large_is_waited_for() {
    let cluster = StandIn::new(|number, _| if number < 4 { Reply::Refuse(413, "too_large") } else { Reply::Apply });
    let (report, _) = cluster.write(json!({}), 1, 20_000);
    assert!(report.unwrap().rejected.is_empty());
    assert_eq!(cluster.ids(), ids(0..1));
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again_by_the_host_and_changes_nothing() {
    let cluster = StandIn::new(|number, _| if number == 0 { Reply::ApplyAndCut } else { Reply::Apply });
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(mapping()).unwrap().target;
    sink.write(vec![document(target, "1", 7, 7)]).unwrap();
    // The connection was used before, so it is repeated once without a word.
    assert!(sink.flush(false, 20_000).unwrap().rejected.is_empty());
    assert_eq!((cluster.sent().len(), cluster.ids()), (2, ids(1..2)));
}

#[test]
fn a_flush_answers_before_its_time_is_over() {
    let cluster = StandIn::new(|_, _| Reply::Late);
    let (report, _) = cluster.write(json!({}), 1, 300);
    assert!(matches!(report, Err(Error::Transient(error)) if error.message.contains("in time")));
    // Also for what went out before it, which has more time of its own.
    let (report, _) = cluster.write(json!({ "batch_size": 1 }), 2, 300);
    assert!(matches!(report, Err(Error::Transient(error)) if error.message.contains("in time")));
}

#[test]
fn of_two_documents_with_one_id_the_later_wins_however_often_the_earlier_is_tried() {
    // One version for all: only the order tells which is the later.
    let cluster = StandIn::new(|number, lines| match number {
        0 => Reply::Each(lines.iter().map(|_| (429, "es_rejected_execution_exception")).collect()),
        _ => Reply::Apply,
    });
    let mut sink = cluster.open(json!({ "batch_size": 1, "requests_in_flight": 8 }));
    let target = sink.ensure_index(mapping()).unwrap().target;
    sink.write(vec![
        document(target, "a", 1, 1),
        document(target, "a", 1, 2),
        document(target, "a", 1, 3),
        document(target, "b", 1, 1),
    ])
    .unwrap();
    sink.flush(false, 20_000).unwrap();
    assert_eq!(cluster.documents.lock().unwrap()["a"].1, Some(json!({ "n": 3 })));
    assert_eq!(cluster.ids(), ["a", "b"]);
}

#[test]
fn of_two_documents_with_one_id_in_one_request_the_later_wins() {
    let cluster = StandIn::new(|number, lines| match number {
        0 => {
            let busy = lines.iter().enumerate();
            Reply::Each(
                busy.map(|(place, _)| if place == 0 { (429, "es_rejected_execution_exception") } else { (200, "") })
                    .collect(),
            )
        }
        _ => Reply::Apply,
    });
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(mapping()).unwrap().target;
    sink.write(vec![document(target, "a", 1, 1), document(target, "a", 1, 2)]).unwrap();
    sink.flush(false, 20_000).unwrap();
    assert_eq!(cluster.documents.lock().unwrap()["a"].1, Some(json!({ "n": 2 })));
}

#[test]
fn an_answer_that_is_late_keeps_no_other_waiting() {
    let cluster = StandIn::new(|_, lines| if lines[0].id == "0" { Reply::Late } else { Reply::Apply });
    let (report, _) = cluster.write(json!({ "batch_size": 1, "requests_in_flight": 2 }), 8, 3_000);
    assert!(matches!(report, Err(Error::Transient(_))), "the late one is not in time");
    assert_eq!(cluster.ids(), ids(1..8));
}

#[test]
fn what_is_late_for_its_size_goes_again_in_halves() {
    let cluster = StandIn::new(|_, lines| if lines.len() > 3 { Reply::Late } else { Reply::Apply });
    let (report, _) = cluster.write(json!({ "timeout_secs": 1, "requests_in_flight": 1 }), 10, 20_000);
    assert!(report.unwrap().rejected.is_empty());
    assert_eq!(cluster.ids(), ids(0..10));
    let sizes: Vec<usize> = cluster.sent().iter().map(Vec::len).collect();
    assert!(sizes[0] == 10 && sizes[1..].iter().all(|size| *size <= 5), "{sizes:?}");
}

#[test]
fn what_is_refused_for_being_too_much_at_once_goes_again_in_halves() {
    let cluster = StandIn::new(|_, lines| if lines.len() > 3 { Reply::Refuse(429, "x") } else { Reply::Apply });
    let (report, _) = cluster.write(json!({}), 10, 20_000);
    assert!(report.unwrap().rejected.is_empty());
    assert_eq!(cluster.ids(), ids(0..10));
    let sizes: Vec<usize> = cluster.sent().iter().map(Vec::len).collect();
    assert_eq!(
        (sizes[0], sizes[1], sizes[2]),
        (10, 10, 5),
        "the first time it may be somebody else's doing: {sizes:?}"
    );
}

#[test]
fn after_a_request_that_was_too_large_none_is_as_large() {
    let cluster = StandIn::new(|_, lines| if lines.len() > 25 { Reply::Refuse(413, "x") } else { Reply::Apply });
    let (report, mut sink) = cluster.write(json!({}), 40, 20_000);
    assert!(report.unwrap().rejected.is_empty());
    let before = cluster.sent().len();
    let target = sink.ensure_index(mapping()).unwrap().target;
    sink.write((0..40).map(|n| document(target, &n.to_string(), 2, n)).collect()).unwrap();
    sink.flush(false, 20_000).unwrap();
    let sizes: Vec<usize> = cluster.sent()[before..].iter().map(Vec::len).collect();
    assert!(sizes.iter().sum::<usize>() == 40 && sizes.iter().all(|size| *size <= 25), "{sizes:?}");
}

#[test]
fn a_half_comes_before_what_was_written_after_it() {
    let cluster = StandIn::new(|_, lines| if lines.len() > 3 { Reply::Refuse(413, "x") } else { Reply::Apply });
    let mut sink = cluster.open(json!({ "batch_size": 4, "requests_in_flight": 1 }));
    let target = sink.ensure_index(mapping()).unwrap().target;
    let document = |id: &str, n| document(target, id, 1, n);
    sink.write(vec![document("a", 1), document("b", 1), document("c", 1), document("d", 1), document("d", 2)]).unwrap();
    sink.flush(false, 20_000).unwrap();
    let held = cluster.documents.lock().unwrap().clone();
    assert_eq!(held.get("d").and_then(|(_, body)| body.clone()), Some(json!({ "n": 2 })), "{:?}", cluster.sent());
}

#[test]
fn a_flush_says_whether_all_of_it_can_be_found() {
    let cluster = StandIn::new(|_, _| Reply::Apply);
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(mapping()).unwrap().target;
    let flush = |sink: &mut flusso_opensearch::OpenSearch, id: &str, caught_up| {
        sink.write(if id.is_empty() { Vec::new() } else { vec![document(target, id, 1, 1)] }).unwrap();
        sink.flush(caught_up, 20_000).unwrap().visible
    };
    assert!(flush(&mut sink, "1", false), "what is not seeded counts for nobody");
    sink.mark_seeded(target, "h".into()).unwrap();
    assert!(!flush(&mut sink, "2", false));
    assert!(!flush(&mut sink, "", false), "nor was it made visible meanwhile");
    // Somebody waits for it, and nothing more is written.
    assert!(flush(&mut sink, "", true));
    assert!(flush(&mut sink, "", false));
}

#[test]
fn an_index_that_is_gone_is_looked_for_again() {
    let cluster = StandIn::new(|_, _| Reply::Each(vec![(404, "index_not_found_exception")]));
    let (report, _) = cluster.write(json!({}), 1, 20_000);
    assert!(matches!(report, Err(Error::Transient(error)) if error.message.contains("gone")));
}

#[test]
fn what_was_written_is_made_visible_when_nothing_more_waits() {
    let cluster = StandIn::new(|_, _| Reply::Apply);
    let (report, mut sink) = cluster.write(json!({}), 3, 20_000);
    report.unwrap();
    let before = *cluster.refreshes.lock().unwrap();
    sink.flush(true, 20_000).unwrap();
    sink.flush(true, 20_000).unwrap();
    let after = *cluster.refreshes.lock().unwrap();
    assert_eq!(after.0 - before.0, 1, "once for what was written before, and not for nothing");
}

#[test]
fn a_lone_change_is_made_visible_by_the_request_that_writes_it() {
    let cluster = StandIn::new(|number, _| match number {
        2 | 5 => Reply::Each(vec![(429, "es_rejected_execution_exception")]),
        _ => Reply::Apply,
    });
    let mut sink = cluster.open(json!({}));
    let target = sink.ensure_index(mapping()).unwrap().target;
    sink.mark_seeded(target, "h".into()).unwrap();
    let before = *cluster.refreshes.lock().unwrap();
    let mut flush = |id: &str, caught_up| {
        sink.write(vec![document(target, id, 1, 1)]).unwrap();
        let visible = sink.flush(caught_up, 20_000).unwrap().visible;
        let now = *cluster.refreshes.lock().unwrap();
        (now.0 - before.0, now.1 - before.1, visible)
    };
    assert_eq!(flush("lone", true), (0, 1, true));
    assert_eq!(flush("one of many", false), (0, 1, false));
    // Behind something that is hidden, in whatever shard: a request of its own shows both.
    assert_eq!(flush("busy", true), (1, 1, true));
    assert_eq!(flush("lone", true), (1, 2, true));
    // What is put off is not shown by the request that did not write it.
    assert_eq!(flush("busy", true), (2, 3, true));
}
