//! One run, from an empty server to the last comparison.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::faults::{Victims, inject};
use super::follower::{End, Follower};
use super::index::Indexes;
use super::oracle::{self, Comparison};
use super::place::Place;
use super::random::Random;
use super::standby::Standby;
use super::writers::Writers;
use super::{Fault, Options, Report, world};
use crate::{Host, Server, Session};

/// How long the host may print nothing while a sentinel is waited for. Before it may be a backlog of large transactions.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long differences may take to go away while nothing is written and nothing seems to be under way.
const SETTLING: Duration = Duration::from_secs(15);
/// The host's word for a lost history.
const HISTORY_LOST: i32 = 6;

/// Runs it. What goes wrong is in the report.
pub fn run(options: &Options) -> Report {
    let folder = tempfile::Builder::new().prefix("flusso-converge.").tempdir();
    let folder = folder.unwrap_or_else(|error| panic!("no temporary folder: {error}"));
    let mut report = Report {
        options: options.clone(),
        transactions: 0,
        failed: 0,
        written: Duration::ZERO,
        faults: BTreeMap::new(),
        trouble: BTreeMap::new(),
        unconfirmed: Vec::new(),
        starts: 0,
        lines: 0,
        comparisons: 0,
        compared: 0,
        documents: 0,
        wrong: None,
        kept: None,
    };
    let mut run = Run::begin(folder.path(), options);
    report.wrong = run.go(&mut report).err();
    report.transactions = run.writers.committed();
    report.failed = run.writers.failed();
    report.starts = run.follower.starts;
    report.lines = run.place.progress();
    report.trouble = run.place.troubles();
    if report.wrong.is_none() && report.rate() < options.floor as f64 {
        report.wrong = Some(format!("{:.0} transactions a second are too few to prove anything", report.rate()));
    }
    drop(run);
    if report.wrong.is_some() {
        report.kept = Some(folder.keep());
    }
    report
}

struct Run {
    options: Options,
    // Dropped in this order: nobody writes, nobody reads, nobody is waited for, then the server.
    writers: Writers,
    follower: Follower,
    _standby: Option<Standby>,
    server: Server,
    place: Place,
    random: Random,
    sentinels: u64,
    columns: u64,
    history_lost: bool,
}

impl Run {
    fn begin(folder: &Path, options: &Options) -> Self {
        let of_server = folder.join("server");
        let indexes = Arc::new(Indexes::default());
        let place = Place::open(options, &indexes);
        let made = std::fs::create_dir(&of_server).and_then(|()| world::configure(folder, options, &place));
        assert!(made.is_ok(), "{}: {made:?}", folder.display());
        let open = std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755));
        assert!(open.is_ok(), "{}: {open:?}", folder.display());
        let server = Server::start(
            &of_server,
            &[
                "wal_level=logical",
                "full_page_writes=off",
                "deadlock_timeout=100ms",
                "wal_sender_timeout=3s",
                "max_connections=100",
                "max_prepared_transactions=10",
                "log_min_messages=fatal",
            ],
        );
        let prepared = Session::open(server.port(), "postgres")
            .and_then(|mut session| session.rows("CREATE DATABASE world"))
            .and_then(|_| Session::open(server.port(), "world"))
            .and_then(|mut session| {
                session.rows(world::TABLES)?;
                session.rows(options.identity.statements())
            });
        assert!(prepared.is_ok(), "the tables: {prepared:?}");
        let standby = options
            .standby
            .then(|| Standby::start(folder, &server).unwrap_or_else(|error| panic!("the standby: {error}")));
        let host = Host::at(folder).with("DATABASE_URL", &server.url("world"));
        let follower = Follower::new(host, indexes);
        // They write before the host was ever started: its first seeding has company.
        let writers = Writers::start(server.port(), folder, options);
        Self {
            options: options.clone(),
            writers,
            follower,
            _standby: standby,
            server,
            place,
            random: Random::new(options.seed, 0),
            sentinels: 0,
            columns: 0,
            history_lost: false,
        }
    }

    fn go(&mut self, report: &mut Report) -> Result<(), String> {
        self.follower.start(&[]);
        // On a slow machine it goes on until there is something to prove, within reason.
        let wanted = self.options.floor * self.options.seconds;
        let seconds = Duration::from_secs(self.options.seconds);
        while report.written < seconds || (self.writers.committed() < wanted && report.written < seconds * 3) {
            let started = Instant::now();
            let round = Duration::from_secs_f64(self.options.round).min(seconds);
            self.place.trouble(true);
            self.trouble(started + round, report)?;
            self.writers.pause();
            self.place.trouble(false);
            report.written += started.elapsed();
            self.settle(report)?;
            self.writers.go_on();
        }
        self.writers.pause();
        self.finish(report)
    }

    /// Faults until then.
    fn trouble(&mut self, end: Instant, report: &mut Report) -> Result<(), String> {
        loop {
            // Between a quarter and seven quarters of the mean.
            let pause = self.options.every * (0.25 + self.random.below(1_500) as f64 / 1_000.0);
            let next = Instant::now() + Duration::from_secs_f64(pause);
            while Instant::now() < next.min(end) {
                std::thread::sleep(Duration::from_millis(10));
                self.look()?;
            }
            if Instant::now() >= end {
                return Ok(());
            }
            let Some(fault) = self.random.one_of(&self.options.faults) else { continue };
            if fault == Fault::Kill {
                report.unconfirmed.extend(self.unconfirmed());
            }
            self.history_lost |= fault == Fault::Slot;
            let victims =
                Victims { server: &mut self.server, follower: &mut self.follower, columns: &mut self.columns };
            inject(fault, victims, &mut self.random)?;
            *report.faults.entry(fault).or_default() += 1;
        }
    }

    fn unconfirmed(&self) -> Option<u64> {
        let mut session = Session::open(self.server.port(), "world").ok()?;
        let rows = session.rows("SELECT greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn))::bigint FROM pg_replication_slots");
        rows.ok()?.pop()?.pop()??.parse().ok()
    }

    /// Whether the host ended by itself: it may, where its history was lost, and is started as it says.
    fn look(&mut self) -> Result<(), String> {
        match self.follower.ended() {
            None => Ok(()),
            Some(End { code: Some(HISTORY_LOST), .. }) if self.history_lost => {
                self.follower.start(&["--reseed"]);
                Ok(())
            }
            Some(end) => Err(format!("the host ended by itself with {:?}: {}", end.code, end.log)),
        }
    }

    /// Waits until a row committed now has its document.
    fn barrier(&mut self) -> Result<(), String> {
        self.sentinels += 1;
        let id = self.sentinels.to_string();
        let sentinel = Session::open(self.server.port(), "world")
            .and_then(|mut session| session.rows(&format!("INSERT INTO sentinels VALUES ({id})")));
        sentinel.map_err(|error| format!("the sentinel: {error}"))?;
        let (mut lines, mut end) = (0, Instant::now() + PATIENCE);
        while Instant::now() < end {
            if self.place.wait_for("sentinels", &id, Duration::from_millis(500)) {
                return Ok(());
            }
            self.look()?;
            let now = self.place.progress();
            if now > lines {
                (lines, end) = (now, Instant::now() + PATIENCE);
            }
        }
        Err(format!("sentinel {id} has no document, and nothing was written for {PATIENCE:?}"))
    }

    /// Waits until all is quiet, and compares.
    fn settle(&mut self, report: &mut Report) -> Result<(), String> {
        let mut end = Instant::now() + SETTLING;
        loop {
            self.barrier()?;
            while self.follower.is_seeding() {
                std::thread::sleep(Duration::from_millis(20));
                self.look()?;
                end = Instant::now() + SETTLING;
            }
            let comparison = self.compare(report)?;
            if comparison.differing == 0 {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(described(&comparison));
            }
            // A rebuild may be about to begin.
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Ends the host in order, lets it follow to the end once more, and compares for the last time.
    fn finish(&mut self, report: &mut Report) -> Result<(), String> {
        let end = self.follower.terminate();
        if let Some(end) = end.filter(|end| end.code != Some(0)) {
            return Err(format!("SIGTERM ended it with {:?}: {}", end.code, end.log));
        }
        self.follower.start(&["--once"]);
        let end = self.follower.wait();
        if let Some(end) = end.filter(|end| end.code != Some(0)) {
            return Err(format!("--once ended with {:?}: {}", end.code, end.log));
        }
        let comparison = self.compare(report)?;
        if comparison.differing == 0 { Ok(()) } else { Err(described(&comparison)) }
    }

    fn compare(&mut self, report: &mut Report) -> Result<Comparison, String> {
        let comparison = Session::open(self.server.port(), "world")
            .and_then(|mut session| oracle::compare(&mut session, self.options.builder, &self.place.read()))
            .map_err(|error| format!("nothing to compare with: {error}"))?;
        report.comparisons += 1;
        report.compared += comparison.documents;
        report.documents = comparison.documents;
        match self.place.nonsense() {
            Some(line) => Err(format!("the host printed what is no line of a document: {line}")),
            None => Ok(comparison),
        }
    }
}

fn described(comparison: &Comparison) -> String {
    let first: Vec<String> = comparison.first.iter().map(ToString::to_string).collect();
    format!("{} of {} documents differ; the first:\n{}", comparison.differing, comparison.documents, first.join(""))
}
