//! Sessions that write at once, until they are told to pause or to stop.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::random::Random;
use super::workload;
use super::{Options, Workload};
use crate::{Answer, Session};

/// The writers of a run.
pub(super) struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    gate: Mutex<Gate>,
    changed: Condvar,
    /// Committed transactions.
    committed: AtomicU64,
    /// Transactions that failed, by deadlock or constraint mostly.
    failed: AtomicU64,
}

#[derive(Default)]
struct Gate {
    paused: bool,
    stopped: bool,
    parked: usize,
}

impl Shared {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while it is paused. False: it is over.
    fn pass(&self) -> bool {
        let mut gate = self.gate();
        if gate.paused && !gate.stopped {
            gate.parked += 1;
            self.changed.notify_all();
            while gate.paused && !gate.stopped {
                gate = self.changed.wait(gate).unwrap_or_else(PoisonError::into_inner);
            }
            gate.parked -= 1;
        }
        !gate.stopped
    }
}

impl Writers {
    pub(super) fn start(port: u16, folder: &Path, options: &Options) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..options.writers)
            .map(|number| {
                let (shared, options) = (Arc::clone(&shared), options.clone());
                let log = folder.join(format!("writer-{number}.sql"));
                let log = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
                std::thread::spawn(move || write(port, number, &options, &shared, BufWriter::new(log)))
            })
            .collect();
        Self { shared, threads }
    }

    /// Lets nothing be written from here on, and waits for what is under way.
    pub(super) fn pause(&self) {
        let mut gate = self.shared.gate();
        gate.paused = true;
        while gate.parked < self.threads.len() {
            gate = self.shared.changed.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn go_on(&self) {
        self.shared.gate().paused = false;
        self.shared.changed.notify_all();
    }

    pub(super) fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.gate().stopped = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn write(port: u16, writer: u64, options: &Options, shared: &Shared, mut log: BufWriter<File>) {
    let mut random = Random::new(options.seed, 1 + writer);
    let mut session = None;
    let started = Instant::now();
    let (mut number, mut due) = (0, Instant::now());
    let between = Duration::from_secs_f64(options.writers as f64 / options.rate.max(1) as f64);
    // Connected before it may park: what a lost session had prepared holds locks.
    while connected(&mut session, port, writer, shared).is_some() && shared.pass() {
        let pieces = match options.workload {
            Workload::Mixed => workload::transaction(&mut random, writer),
            Workload::Lone => vec![workload::lone(writer, number)],
        };
        number += 1;
        let Some(open) = connected(&mut session, port, writer, shared) else { return };
        let outcome = match pieces.iter().try_fold(Answer::default(), |before, sql| match before.error {
            None => open.run(sql),
            Some(_) => Ok(before),
        }) {
            Ok(answer) => {
                if answer.failed {
                    let _ = open.run("ROLLBACK");
                }
                let counter = if answer.error.is_some() { &shared.failed } else { &shared.committed };
                counter.fetch_add(1, Ordering::Relaxed);
                answer.error.map_or(answer.tag, |(code, message)| format!("{code} {message}"))
            }
            Err(error) => {
                session = None;
                format!("lost: {error}")
            }
        };
        let sql = pieces.join(";\n");
        let _ = writeln!(log, "-- {:.3} s\n{sql};\n-- {outcome}", started.elapsed().as_secs_f64());
        due += between;
        match due.checked_duration_since(Instant::now()) {
            Some(early) => std::thread::sleep(early),
            // What was missed while the server was away is not made up for.
            None => due = due.max(Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or(due)),
        }
    }
    let _ = log.flush();
}

/// A session, opened again when the last one was lost; none when it is over before the server is back.
fn connected<'a>(session: &'a mut Option<Session>, port: u16, writer: u64, shared: &Shared) -> Option<&'a mut Session> {
    while session.is_none() {
        match Session::open(port, "world") {
            Ok(mut opened) => {
                // What was prepared holds its locks until somebody ends it; mostly there is none.
                let _ = opened.run(&workload::recover(writer));
                *session = Some(opened);
            }
            Err(_) if shared.gate().stopped => return None,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    session.as_mut()
}
