//! An index built anew while it serves, and the wait for what was committed.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flusso_tests::Running;
use flusso_tests::search::{Moment, Proxy, Search};

use crate::shop::{Shop, workload};

/// Rows that no workload touches.
const STILL: &str = r#"{ "query": { "range": { "id": { "gte": 1000, "lt": 21000 } } } }"#;

/// How many documents a search finds; an index that is not there has none.
fn count(search: &Search, index: &str, query: &str) -> u64 {
    let (_, found) = search.ask("POST", &format!("/{index}/_count"), query);
    found["count"].as_u64().unwrap_or(0)
}

fn generation(shop: &Shop) -> Vec<u64> {
    let names = shop.search.indexes(&shop.name("by_int_"));
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.rsplit('_').next()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// Asks a running host for it; one that is starting is waited for.
fn reindex(shop: &Shop, running: &Running) {
    running.wait_for_log("ready");
    shop.host.run(&["reindex", "by_int"]).succeeded();
}

/// Ends those who go on until it is over, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Under load, killed while it is filled and on both sides of the swap: readers find every document at every moment.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn an_index_is_built_anew_while_it_serves() {
    let proxy = Proxy::before(Search::shared().address(), 3);
    let shop = Shop::open("reindex", &Search::shared(), Some(&proxy));
    shop.database.sql("INSERT INTO by_int SELECT g, 'still ' || g FROM generate_series(1000, 20999) g");
    shop.host.run(&["--once"]).succeeded();
    let (index, is_over) = (shop.name("by_int"), AtomicBool::new(false));
    assert_eq!((count(&shop.search, &index, STILL), generation(&shop)), (20_000, vec![1]));
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        let writer = scope.spawn(|| {
            for round in 100.. {
                shop.database.sql(&workload(round, 50));
                std::thread::sleep(Duration::from_millis(100));
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let reader = scope.spawn(|| {
            let mut looks = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(count(&shop.search, &index, STILL), 20_000, "a reader finds less, after {looks} looks");
                looks += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            looks
        });
        let mut last = 1;
        for (words, moment) in [
            (["POST", "by_int", "_write/_bulk"], Moment::After),
            (["POST", "/_aliases", ""], Moment::Before),
            (["POST", "/_aliases", ""], Moment::After),
        ] {
            let running = shop.host.start(&[]);
            running.wait_for_log("ready");
            let number = (last + 1).to_string();
            let words: Vec<String> =
                words.iter().map(|word| word.replace("_write", &format!("_{number}_write"))).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let held = proxy.hold(&words, moment);
            reindex(&shop, &running);
            held.wait();
            std::thread::sleep(Duration::from_millis(300));
            let ended = running.kill();
            assert_eq!(ended.code, None, "it ended by itself: {}", ended.log);
            // It is remembered that it was asked for.
            let mut running = shop.host.start(&[]);
            let end = Instant::now() + Duration::from_secs(90);
            while generation(&shop).len() != 1 || generation(&shop)[0] <= last {
                assert!(running.is_running() && Instant::now() < end, "{:?}\n{:#?}", generation(&shop), running.log());
                std::thread::sleep(Duration::from_millis(50));
            }
            last = generation(&shop)[0];
            // A signal before it listens for signals would end it like any program.
            running.wait_for_log("ready");
            running.signal("TERM");
            running.wait().succeeded();
        }
        drop(over);
        writer.join().unwrap();
        assert!(reader.join().unwrap() > 100, "nobody looked");
    });
    shop.host.run(&["--once"]).succeeded();
    shop.compare("built anew three times");
}

/// Committed, waited for, found: without a refresh of our own.
#[test]
#[ignore = "needs an OpenSearch: tests/run starts one"]
fn what_was_committed_is_found_after_the_wait() {
    let mut shop = Shop::open("wait", &Search::shared(), None);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    shop.host.set("FLUSSO_PUBLIC_ADDRESS", &address);
    let mut running = shop.host.start(&[]);
    shop.barrier(&mut running);
    // A host that is busy all the while: it does not catch up, and makes nothing visible for that.
    let writer = shop.database.sql_in_background(&workload(300, 4_000));
    let server = Search::at(&address);
    for n in 0..20 {
        assert!(running.is_running(), "{:#?}", running.log());
        shop.database.sql(&format!("INSERT INTO by_uuid VALUES (gen_random_uuid(), 'mine {n}')"));
        let position = if n % 2 == 0 { "now".to_owned() } else { shop.database.sql("SELECT pg_current_wal_lsn()") };
        let (status, said) =
            server.ask("GET", &format!("/wait?index=by_uuid&position={}&timeout=60s", position.trim()), "");
        assert_eq!(status, 200, "{said}");
        let query = format!(r#"{{ "query": {{ "term": {{ "name.keyword": "mine {n}" }} }} }}"#);
        assert_eq!(count(&shop.search, &shop.name("by_uuid"), &query), 1, "change {n} at {position}");
    }
    assert_eq!(server.ask("GET", "/wait?index=nobody&position=now&timeout=1s", "").0, 404);
    writer.join().unwrap();
    running.signal("TERM");
    running.wait().succeeded();
}
