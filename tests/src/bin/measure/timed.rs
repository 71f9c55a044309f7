//! Times, peaks of memory, and lines of figures.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) fn say(what: &str, measured: &str, bound: &str) {
    let _ = writeln!(std::io::stdout(), "{what:<52} {measured:<28} {bound}");
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Runs a program with its output in a file. Returns how long it took and the most memory it had resident, in MiB.
pub(crate) fn timed(command: &mut Command, out: &Path) -> (Duration, u64) {
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

pub(crate) fn peak_kib(status: &str) -> Option<u64> {
    kib(status, "VmHWM:")
}

fn kib(status: &str, what: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(what))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The most memory a process has had resident, and what it has now, in MiB.
pub(crate) fn resident(process: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    (peak_kib(&status).unwrap_or(0) / 1024, kib(&status, "VmRSS:").unwrap_or(0) / 1024)
}

/// How long a process has worked, in all its threads.
pub(crate) fn cpu(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: user and system time are the 12th and 13th, in hundredths of a second.
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks: u64 = behind.split_whitespace().skip(11).take(2).filter_map(|one| one.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
