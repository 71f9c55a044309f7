//! Ours alone: starting, one flat table, a lone change.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flusso_tests::{Host, Postgres, given};

use crate::timed::{median, number, peak_kib, say, seconds, timed};

/// The whole table once, against the server's own way to write it.
fn seed(rows: usize) {
    let database = Postgres::with(&format!(
        "CREATE TABLE narrow (id int PRIMARY KEY, name text, amount int);
         INSERT INTO narrow SELECT g, 'name ' || g, g % 1000 FROM generate_series(1, {rows}) g; VACUUM ANALYZE narrow"
    ));
    let folder = Host::new();
    let out = folder.folder().join("out");
    let psql = PathBuf::from(given("FLUSSO_TEST_PG_BIN")).join("psql");
    let copy = || {
        let mut command = Command::new(&psql);
        command.args(["-X", "-d", &database.url(), "-c", "COPY (SELECT row_to_json(t) FROM narrow t) TO STDOUT"]);
        timed(&mut command, &out).0
    };
    let host = |cache: &str| {
        let state = folder.folder().join(format!("state-{cache}"));
        let command = |words: &[&str]| {
            let mut command = folder.command(words);
            command.env("DATABASE_URL", database.url()).env("FLUSSO_STATE_DIR", &state).env("FLUSSO_LOG_LEVEL", "warn");
            command.env("FLUSSO_CACHE_DIR", folder.folder().join(cache));
            command
        };
        let measured = timed(&mut command(&["--plugin", "pg.wasm", "--once"]), &out);
        let lines = std::fs::read(&out).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, rows, "every row once");
        timed(&mut command(&["--plugin", "pg.wasm", "drop"]), &folder.folder().join("dropped"));
        let _ = std::fs::remove_dir_all(&state);
        measured
    };
    let (_, cold) = host("cache");
    // Interleaved, so that a machine that slows down does so for both; the first of the server's own is its control.
    let mut own = Vec::new();
    let mut ours = Vec::new();
    let mut warm = 0;
    for _ in 0..3 {
        own.push(copy());
        let (time, peak) = host("cache");
        ours.push(time);
        warm = warm.max(peak);
        own.push(copy());
    }
    let (least, most) = (own.iter().min().copied().unwrap_or_default(), own.iter().max().copied().unwrap_or_default());
    let control = most.as_secs_f64() / least.as_secs_f64();
    let (ours, own) = (median(&mut ours), median(&mut own));
    say(
        &format!("--once over {rows} rows / psql COPY row_to_json"),
        &format!("{:.2} ({} / {})", ours.as_secs_f64() / own.as_secs_f64(), seconds(ours), seconds(own)),
        &format!("aim 1, at most 2.5; COPY against itself {control:.2}"),
    );
    say("peak resident memory, seeding, warm (cold)", &format!("{warm} MiB ({cold} MiB)"), "warm below 150 MiB");
}

/// From a commit to its line, on an idle pipeline.
fn lone(count: usize) {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let host = Host::on(&database.url());
    let running = host.start(&["--plugin", "pg.wasm"]);
    running.wait_for_log("ready");
    database.sql("INSERT INTO t VALUES (0)");
    running.wait_for_line(|line| line.contains(r#""id":"0""#));
    // One connection that stays, so that connecting is not measured.
    let mut psql = Command::new(PathBuf::from(given("FLUSSO_TEST_PG_BIN")).join("psql"))
        .args(["-X", "-q", "-A", "-t", "-d", &database.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("psql: {error}"));
    let mut times = Vec::new();
    for id in 1..=count {
        std::thread::sleep(Duration::from_millis(20));
        let started = Instant::now();
        let input = psql
            .stdin
            .as_mut()
            .map(|input| writeln!(input, "INSERT INTO t VALUES ({id});").and_then(|()| input.flush()));
        assert!(matches!(input, Some(Ok(()))), "psql takes no more");
        let wanted = format!("\"id\":\"{id}\"");
        running.wait_for_line(|line| line.contains(&wanted));
        times.push(started.elapsed());
    }
    let peak = std::fs::read_to_string(format!("/proc/{}/status", running.id())).ok().and_then(|text| peak_kib(&text));
    let _ = psql.kill();
    let _ = psql.wait();
    let middle = median(&mut times);
    let worst = times.last().copied().unwrap_or_default();
    say(
        &format!("a lone change, statement sent to line out, of {count}"),
        &format!("{:.2} ms (worst {:.2} ms)", middle.as_secs_f64() * 1e3, worst.as_secs_f64() * 1e3),
        "median at most 10 ms",
    );
    say("peak resident memory, live", &format!("{} MiB", peak.unwrap_or(0) / 1024), "below 150 MiB");
}

/// Starting again, with the plugin compiled already.
fn start(count: usize) {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let host = Host::on(&database.url());
    host.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
    let mut times = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        let running = host.start(&["--plugin", "pg.wasm"]);
        running.wait_for_log("ready");
        times.push(started.elapsed());
        running.signal("TERM");
        running.wait().succeeded();
    }
    say("a second start, until ready", &format!("{:.0} ms", median(&mut times).as_secs_f64() * 1e3), "at most 300 ms");
}

fn list(count: usize) {
    let host = Host::new();
    let folder = host.folder().join("plugins");
    std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("{error}"));
    let real = PathBuf::from(given("FLUSSO_TEST_PLUGINS")).join("pg.wasm");
    for number in 0..count {
        let copied = std::fs::copy(&real, folder.join(format!("p{number}.wasm")));
        assert!(copied.is_ok(), "{copied:?}");
    }
    let mut times: Vec<_> = (0..20)
        .map(|_| {
            let started = Instant::now();
            host.run(&["plugin", "list"]).succeeded();
            started.elapsed()
        })
        .collect();
    say(
        &format!("plugin list over {count}"),
        &format!("{:.0} ms", median(&mut times).as_secs_f64() * 1e3),
        "at most 50 ms",
    );
}

/// All of them.
pub(crate) fn print() {
    list(20);
    start(10);
    lone(number("FLUSSO_MEASURE_CHANGES", 200));
    seed(number("FLUSSO_MEASURE_ROWS", 1_000_000));
}
