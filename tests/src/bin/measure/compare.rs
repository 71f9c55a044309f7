//! Ours beside the ancestor and beside the server's own writing, interleaved, so that a machine that slows down does so for
//! all; whatever is measured is also measured against itself.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flusso_tests::{deployment, given};

use crate::memory;
use crate::shop::{Shop, Which, count};
use crate::tail::Tail;
use crate::timed::{median, number, resident, say, seconds};

/// Order items that one transaction changes.
const ITEMS: usize = 10_000;

/// What the words name, or all of it.
pub(crate) fn print(words: &[String]) {
    let wanted = |word: &str| words.is_empty() || words.iter().any(|one| one == word);
    let rounds = number("FLUSSO_MEASURE_ROUNDS", 5).max(1);
    if wanted("backfill") || wanted("drain") || wanted("lone") {
        let shop = Shop::open(number("FLUSSO_MEASURE_USERS", 20_000));
        shop.warm();
        if wanted("backfill") {
            backfill(&shop, rounds);
        }
        shop.indexes(true);
        if wanted("drain") {
            drain(&shop, rounds);
        }
        if wanted("lone") {
            lone(&shop, number("FLUSSO_MEASURE_CHANGES", 200), Which::Theirs, "the ancestor");
        }
    }
    if wanted("memory") {
        memory::print();
    }
}

/// This build beside an earlier one, interleaved, each also against itself: what is slower than its own spread shows.
pub(crate) fn before() {
    let rounds = number("FLUSSO_MEASURE_ROUNDS", 5).max(1);
    let shop = Shop::open(number("FLUSSO_MEASURE_USERS", 20_000));
    shop.warm();
    shop.seed(Which::Before);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for _ in 0..2 {
            theirs.push(shop.seed(Which::Before).0);
            ours.push(shop.seed(Which::Ours).0);
        }
    }
    let own = |times: &[Duration]| {
        format!("at least 1 within the spread; before against itself {:.2}", against_itself(times))
    };
    ratio(&format!("backfill of {}, before / now", shop.users), ("before", &theirs), &ours, &own(&theirs));
    shop.indexes(true);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (which, times) in [(Which::Before, &mut theirs), (Which::Ours, &mut ours)] {
            let (running, mut tail) = shop.follow(which);
            for _ in 0..2 {
                times.push(drained(&shop, &mut tail));
            }
            shop.end(running);
        }
    }
    ratio(&format!("drain of {ITEMS} changes, before / now"), ("before", &theirs), &ours, &own(&theirs));
    lone(&shop, number("FLUSSO_MEASURE_CHANGES", 200), Which::Before, "before");
}

/// How far the times of one thing are apart: the control of every ratio with it.
fn spread(times: &[Duration]) -> f64 {
    let least = times.iter().min().copied().unwrap_or_default();
    times.iter().max().copied().unwrap_or_default().as_secs_f64() / least.as_secs_f64()
}

/// Twice the same, one after the other, as a ratio: each round is one, and the middle one should be 1.
fn against_itself(times: &[Duration]) -> f64 {
    let mut ratios: Vec<f64> = times
        .chunks_exact(2)
        .filter_map(|pair| Some(pair.first()?.as_secs_f64() / pair.last()?.as_secs_f64()))
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(1.0)
}

fn ratio(what: &str, theirs: (&str, &[Duration]), ours: &[Duration], bound: &str) {
    let middle = |times: &[Duration]| median(&mut times.to_vec());
    let (a, b) = (middle(theirs.1), middle(ours));
    say(
        what,
        &format!("{:.2} ({} {} / {})", a.as_secs_f64() / b.as_secs_f64(), theirs.0, seconds(a), seconds(b)),
        &format!(
            "{bound}; ours against itself {:.2}, spread {:.2}; {} {:.2}",
            against_itself(ours),
            spread(ours),
            theirs.0,
            spread(theirs.1)
        ),
    );
}

/// The `users` documents, from starting a program to the last line in its file.
fn backfill(shop: &Shop, rounds: usize) {
    shop.indexes(false);
    let (mut copied, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_peak, mut their_peak) = (0, 0);
    for round in 0..rounds {
        for _ in 0..2 {
            copied.push(shop.copy());
            let (took, peak) = shop.seed(Which::Ours);
            ours.push(took);
            our_peak = our_peak.max(peak);
        }
        let (took, peak) = shop.seed(Which::Theirs);
        theirs.push(took);
        their_peak = their_peak.max(peak);
        if round == 0 {
            same_documents(shop);
        }
    }
    let users = shop.users;
    let rate = users as f64 / median(&mut ours.clone()).as_secs_f64();
    ratio(&format!("backfill of {users}, the ancestor / ours"), ("ancestor", &theirs), &ours, "aim 5, at least 3");
    ratio(&format!("backfill of {users}, one psql COPY / ours"), ("COPY", &copied), &ours, "aim 1, at least 0.8");
    say("backfill, ours", &format!("{rate:.0} documents/s"), "");
    memory_line("seeding", our_peak, their_peak);
}

fn memory_line(when: &str, ours: u64, theirs: u64) {
    say(&format!("peak resident memory, {when}"), &format!("{ours} MiB (ancestor {theirs})"), "below 200 MiB");
}

/// Every document of one run of each.
fn same_documents(shop: &Shop) {
    let read = |which| {
        let path = shop.out(which);
        assert_eq!(count(&path), shop.users, "{}: every user once", path.display());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        deployment::documents(text.lines())
    };
    let (ours, theirs) = (read(Which::Ours), read(Which::Theirs));
    assert_eq!(ours.len(), theirs.len(), "as many documents");
    let mut found = Vec::new();
    for (key, theirs) in &theirs {
        let none = serde_json::Value::Null;
        deployment::differences(&key.1, theirs, ours.get(key).unwrap_or(&none), &mut found);
    }
    assert!(found.is_empty(), "{} differences: {:?}", found.len(), found.iter().take(3).collect::<Vec<_>>());
    say("documents that differ from the ancestor's", &format!("0 of {}", theirs.len()), "0");
}

/// One transaction over many order items, from its commit until a change behind it is a line.
fn drain(shop: &Shop, rounds: usize) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut our_peak, mut live, mut their_peak) = (0, 0, 0);
    for _ in 0..rounds {
        let (running, mut tail) = shop.follow(Which::Ours);
        for _ in 0..2 {
            ours.push(drained(shop, &mut tail));
        }
        let (peak, now) = resident(running.id());
        (our_peak, live) = (our_peak.max(peak), live.max(now));
        shop.end(running);
        let (running, mut tail) = shop.follow(Which::Theirs);
        theirs.push(drained(shop, &mut tail));
        their_peak = their_peak.max(resident(running.id()).0);
        shop.end(running);
    }
    let rate = |times: &[Duration]| ITEMS as f64 / median(&mut times.to_vec()).as_secs_f64();
    ratio(
        &format!("drain of {ITEMS} changes, the ancestor / ours"),
        ("ancestor", &theirs),
        &ours,
        "aim 20, at least 8",
    );
    say("drain, ours (the ancestor)", &format!("{:.0} changes/s ({:.0})", rate(&ours), rate(&theirs)), "");
    memory_line("draining", our_peak, their_peak);
    say("resident memory, following", &format!("{live} MiB"), "below 200 MiB");
}

fn drained(shop: &Shop, tail: &mut Tail) -> Duration {
    shop.database.sql(&format!("UPDATE order_items SET quantity = quantity % 100 + 1 WHERE id <= {ITEMS}"));
    let took = shop.barrier(tail);
    // What came before the barrier: each user and each order that the items belong to.
    let lines = tail.read.split(|byte| *byte == b'\n').filter(|line| line.len() > 1).count();
    let least = ITEMS.div_ceil(3) + ITEMS.div_ceil(15);
    assert!(lines > least / 2, "{lines} lines for {least} documents");
    took
}

/// One change at a time, from its statement to its second document.
fn lone(shop: &Shop, changes: usize, beside: Which, name: &str) {
    let mut middles = Vec::new();
    for (round, which) in [Which::Ours, beside, Which::Ours, beside].into_iter().enumerate() {
        let (running, mut tail) = shop.follow(which);
        let mut psql = Command::new(PathBuf::from(given("FLUSSO_TEST_PG_BIN")).join("psql"))
            .args(["-X", "-q", "-A", "-t", "-d", &shop.database.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("psql: {error}"));
        let mut times = Vec::new();
        for change in 0..changes {
            std::thread::sleep(Duration::from_millis(20));
            // Another each time: what changes nothing that a document reads is not built.
            let quantity = (round + 1) * 1_000_000 + change;
            tail.forget();
            let started = Instant::now();
            let statement = format!("UPDATE order_items SET quantity = {quantity} WHERE id = {};", 1 + change * 15);
            let sent = psql.stdin.as_mut().map(|input| writeln!(input, "{statement}").and_then(|()| input.flush()));
            assert!(matches!(sent, Some(Ok(()))), "psql takes no more");
            tail.wait_for(&format!("\"quantity\":{quantity}"), 2);
            times.push(started.elapsed());
        }
        let _ = psql.kill();
        let _ = psql.wait();
        middles.push((median(&mut times), times.last().copied().unwrap_or_default()));
        shop.end(running);
    }
    let text = |at: usize| {
        let (middle, worst) = middles.get(at).copied().unwrap_or_default();
        format!("{:.2} ms (worst {:.1})", middle.as_secs_f64() * 1e3, worst.as_secs_f64() * 1e3)
    };
    say(
        &format!("a lone change of {changes}, two documents"),
        &text(0),
        &format!("median at most 10 ms; again {}", text(2)),
    );
    say(&format!("the same, {name}"), &text(1), &format!("again {}", text(3)));
}
