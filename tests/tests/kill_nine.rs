//! The promise: whatever happens on the way, for each id the last line is the final row or its delete.
//!
//! The host is killed with SIGKILL at random moments of a stream of 50 000 transactions and started again each time. A line
//! that the kill tore is no line. What was not confirmed comes again; nothing is missing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flusso_tests::{Host, Line, Postgres};

const TRANSACTIONS: usize = 50_000;
const KILLS: usize = 20;
/// Larger than a live batch (256 changes).
const LARGE: usize = 700;
const IDS: u64 = 3_000;

/// A small generator, so that a run can be replayed from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// `count` transactions: most of one row, some of more than a batch, some rolled back.
fn workload(writer: u64, count: usize, random: &mut Random) -> String {
    let mut sql = String::new();
    for number in 0..count {
        let id = random.below(IDS);
        let value = random.next() % 1_000_000;
        let upsert = |id: u64, value: u64| {
            format!(
                "INSERT INTO t VALUES ({id}, {value}, 'v{value}') ON CONFLICT (id) DO UPDATE SET n = excluded.n, s = excluded.s;"
            )
        };
        if number % 2 == 0 {
            // So slow that the stream outlasts the kills, also where a machine is quick.
            sql.push_str("SELECT pg_sleep(0.001);\n");
        }
        if number % 2_500 == 1_250 {
            let large = LARGE as u64;
            let first = random.below(IDS - large);
            sql.push_str(&format!(
                "BEGIN; INSERT INTO t SELECT g, {value}, 'large' FROM generate_series({first}, {}) g ON CONFLICT (id) DO UPDATE SET n = excluded.n, s = excluded.s;
                 DELETE FROM t WHERE id = {first}; COMMIT;\n",
                first + large - 1
            ));
            continue;
        }
        match random.below(20) {
            0..=2 => sql.push_str(&format!("DELETE FROM t WHERE id = {id};\n")),
            3 => sql.push_str(&format!("BEGIN; {} ROLLBACK;\n", upsert(id, value))),
            4 => sql.push_str(&format!("BEGIN; DELETE FROM t WHERE id = {id}; {} COMMIT;\n", upsert(id, value))),
            5 => sql.push_str(&format!(
                "BEGIN; {} SAVEPOINT a; {} ROLLBACK TO a; COMMIT;\n",
                upsert(id, value),
                upsert(id, value + 1)
            )),
            6 => sql.push_str(&format!(
                "UPDATE t SET id = {} WHERE id = {id};\n",
                (writer + 1) * 1_000_000 + u64::try_from(number).unwrap()
            )),
            _ => {
                sql.push_str(&upsert(id, value));
                sql.push('\n');
            }
        }
    }
    sql
}

#[test]
fn nothing_is_missing_after_twenty_kills() {
    let seed = std::env::var("FLUSSO_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()) * 2 + 1)
    });
    println!("seed {seed}; replay with FLUSSO_TEST_SEED={seed}");
    let mut random = Random(seed);

    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY, n int, s text)");
    database.sql("INSERT INTO t SELECT g, 0, 'first' FROM generate_series(0, 1999) g");
    let host = Host::on(&database.url());
    let words = ["--plugin", "pg.wasm"];

    let mut last: BTreeMap<String, Line> = BTreeMap::new();
    let mut printed = 0;
    let mut in_flight = 0;
    let mut take = |lines: Vec<String>, last: &mut BTreeMap<String, Line>| {
        printed += lines.len();
        for line in lines {
            let line = Line::parse(&line);
            if line.op == "clear" {
                // A kill before anything of the first seeding was remembered: what was printed of it is void.
                last.clear();
                continue;
            }
            last.insert(line.id.clone(), line);
        }
    };

    // Two writers at once, so that commits and their visibility are in no simple order.
    let writers: Vec<_> =
        (0..2).map(|writer| database.sql_in_background(&workload(writer, TRANSACTIONS / 2, &mut random))).collect();
    for _ in 0..KILLS {
        let running = host.start(&words);
        // The first kill may hit the start itself; the others come after documents did.
        std::thread::sleep(Duration::from_millis(random.below(700)));
        if random.below(4) > 0 && !writers.iter().all(std::thread::JoinHandle::is_finished) {
            running.wait_for_line(|_| true);
        }
        if !writers.iter().all(std::thread::JoinHandle::is_finished) {
            in_flight += 1;
        }
        let ended = running.kill();
        assert!(ended.code.is_none() || ended.code == Some(0), "the host ended by itself: {}", ended.log);
        take(ended.lines, &mut last);
    }
    for writer in writers {
        writer.join().unwrap();
    }
    take(host.run(&[&words[..], &["--once"]].concat()).succeeded().lines, &mut last);
    println!("{printed} lines, {in_flight} of {KILLS} kills while changes were being written");
    assert!(in_flight * 2 >= KILLS, "the stream was over before half of the kills; it has to be longer");

    let mut wanted: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for row in database.sql("SELECT row_to_json(t) FROM t").lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        wanted.insert(row["id"].to_string(), row);
    }
    for (id, row) in &wanted {
        let line = last.get(id).unwrap_or_else(|| panic!("seed {seed}: nothing was ever printed for {id}"));
        assert_eq!((line.op.as_str(), &line.document), ("upsert", row), "seed {seed}: the last line of {id}");
    }
    for (id, line) in &last {
        assert!(
            wanted.contains_key(id) || line.op == "delete",
            "seed {seed}: {id} is gone, but its last line is {line:?}"
        );
    }
}
