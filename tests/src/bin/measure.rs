//! The figures of the project, as ratios of one run on one machine. Started by `tests/measure`, which brings the server.
//!
//! Every figure is printed with the aim and the least that will do, and with what it was measured beside.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flusso_tests::{Host, Postgres, given};

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn say(what: &str, measured: &str, bound: &str) {
    let _ = writeln!(std::io::stdout(), "{what:<52} {measured:<28} {bound}");
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Runs a program with its output in a file. Returns how long it took and the most memory it had resident, in MiB.
fn timed(command: &mut Command, out: &Path) -> (Duration, u64) {
    let out = File::create(out).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        // The peak is kept by the kernel; the last look before the end sees it.
        if let Some(kib) = std::fs::read_to_string(&status).ok().and_then(|text| peak_kib(&text)) {
            peak = peak.max(kib);
        }
        match child.try_wait() {
            Ok(Some(status)) => {
                assert!(status.success(), "{command:?}: {status}");
                return (started.elapsed(), peak / 1024);
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => panic!("{command:?}: {error}"),
        }
    }
}

fn peak_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

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

fn main() {
    list(20);
    start(10);
    lone(number("FLUSSO_MEASURE_CHANGES", 200));
    seed(number("FLUSSO_MEASURE_ROWS", 1_000_000));
}
