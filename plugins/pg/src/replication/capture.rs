//! The live capture: messages of the stream become events, held back until their transaction is visible (I12).

pub mod catalog_watch;
mod translate;

use crate::error::{Error, Result};
use crate::protocol::session::Session;
use crate::replication::capture::catalog_watch::CatalogWatch;
use crate::replication::position::{LogPosition, Lsn, Origin};
use crate::replication::relation::{FollowedTable, Shape};
use crate::replication::stream::{Received, Stream};
use crate::replication::visibility::Visible;
use flusso_plugin::{Checkpoint, Event};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a poll sleeps before it asks again whether a transaction has become visible. It takes microseconds as a rule.
const VISIBILITY_RECHECK_INTERVAL: Duration = Duration::from_micros(300);
/// The shortest time between two positions of an idle stream, unless the host waits for one.
const IDLE_CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);
/// How often the server is asked for its position while the host waits for one.
const HEAD_REQUEST_INTERVAL: Duration = Duration::from_millis(2);

/// A running capture.
pub struct Capture {
    /// The stream.
    pub stream: Stream,
    origin: Origin,
    followed: Vec<FollowedTable>,
    relations: HashMap<u32, Option<Rc<Shape>>>,
    transaction: Option<Transaction>,
    queue: VecDeque<Queued>,
    bytes: usize,
    visible: Visible,
    /// Whether changes wait until they are visible; only a test says no.
    patient: bool,
    version: u64,
    /// Up to here the server has sent everything, and it is whole transactions; not handed out yet.
    idle: Option<Lsn>,
    idle_at: Instant,
    target: Option<Lsn>,
    watch: CatalogWatch,
}

struct Transaction {
    commit: Lsn,
    at: u64,
    xid: u32,
    changes: bool,
}

struct Queued {
    event: Event,
    /// `None`: not a transaction's, to be handed out at once.
    xid: Option<u32>,
    bytes: usize,
}

/// What one poll may hand out, and how long it may wait.
pub struct Limits {
    /// Events.
    pub max: usize,
    /// Bytes of keys and columns.
    pub max_bytes: usize,
    /// Until the first event.
    pub wait: Duration,
}

impl Capture {
    /// Over a stream that was just started.
    pub fn new(stream: Stream, origin: Origin, followed: Vec<FollowedTable>, watch: CatalogWatch) -> Self {
        Self {
            version: stream.confirmed().0,
            stream,
            origin,
            followed,
            relations: HashMap::new(),
            transaction: None,
            queue: VecDeque::new(),
            bytes: 0,
            visible: Visible::default(),
            patient: true,
            idle: None,
            idle_at: Instant::now(),
            target: None,
            watch,
        }
    }

    /// Hands changes out as they arrive, visible or not: what the rule is measured against.
    #[doc(hidden)]
    pub fn impatient(&mut self) {
        self.patient = false;
    }

    /// Which history this is.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The position that the host waits for.
    pub fn wait_for_position(&mut self, target: Lsn) -> Result<()> {
        self.target = Some(target);
        self.stream.status(true)
    }

    /// Everything up to here is durable.
    pub fn confirm(&mut self, confirmed: Option<Lsn>) -> Result<()> {
        if let Some(lsn) = confirmed {
            self.watch.confirmed(lsn)?;
        }
        self.stream.confirm(confirmed)
    }

    /// Confirms once more and ends the stream.
    pub fn close(mut self, confirmed: Option<Lsn>) -> Result<()> {
        if let Some(lsn) = confirmed {
            self.watch.confirmed(lsn)?;
        }
        self.stream.close(confirmed)
    }

    /// The next events. `session` is asked what is visible.
    pub fn poll(&mut self, session: &mut Session, limits: &Limits) -> Result<Vec<Event>> {
        if self.watch.is_due() {
            self.look(session)?;
        }
        let deadline = Instant::now() + limits.wait;
        loop {
            self.read(session, limits, deadline)?;
            let events = self.take(session, limits)?;
            if !events.is_empty() {
                return Ok(events);
            }
            if Instant::now() >= deadline {
                return Ok(events);
            }
            if !self.queue.is_empty() {
                std::thread::sleep(VISIBILITY_RECHECK_INTERVAL);
            }
        }
    }

    /// Reads until there is enough, or nothing more is here. Waits only for the first.
    fn read(&mut self, session: &mut Session, limits: &Limits, deadline: Instant) -> Result<()> {
        while self.queue.len() < limits.max && self.bytes < limits.max_bytes {
            match self.stream.arrived()? {
                Received::Data(frame) => {
                    // The message leaves the buffer, because decoding it may read the catalogue.
                    let bytes = self.stream.payload(frame).to_vec();
                    self.message(session, &bytes)?;
                }
                Received::Keepalive(end, reply) => {
                    if self.transaction.is_none() {
                        self.idle = self.idle.max(Some(end));
                    }
                    if reply {
                        self.stream.status(false)?;
                    }
                }
                Received::Nothing => {
                    let nothing = self.queue.is_empty() && !self.idle_is_due();
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !nothing {
                        if !self.stream.fill(Duration::ZERO)? {
                            return Ok(());
                        }
                    } else if left.is_zero() {
                        return Ok(());
                    } else if self.target.is_some() {
                        if !self.stream.fill(left.min(HEAD_REQUEST_INTERVAL))? {
                            self.stream.status(true)?;
                        }
                    } else {
                        self.stream.fill(left)?;
                        self.stream.confirm(None)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes from the queue what is visible.
    fn take(&mut self, session: &mut Session, limits: &Limits) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        let mut asked = !self.patient;
        while let Some(first) = self.queue.front() {
            if events.len() >= limits.max {
                return Ok(events);
            }
            if self.patient && first.xid.is_some_and(|xid| !self.visible.has(xid)) {
                if asked {
                    return Ok(events);
                }
                self.visible = Visible::ask(session)?;
                asked = true;
                continue;
            }
            if let Some(queued) = self.queue.pop_front() {
                self.bytes = self.bytes.saturating_sub(queued.bytes);
                self.watch.handed_out(&queued.event);
                events.push(queued.event);
            }
        }
        if self.idle_is_due()
            && let Some(lsn) = self.idle.take()
        {
            self.idle_at = Instant::now();
            self.version = self.version.max(lsn.0);
            self.target = self.target.filter(|target| *target > lsn);
            let checkpoint = self.checkpoint(lsn, None);
            self.watch.handed_out(&checkpoint);
            events.push(checkpoint);
        }
        Ok(events)
    }

    fn idle_is_due(&self) -> bool {
        self.transaction.is_none()
            && self.idle.is_some_and(|lsn| {
                let wanted = self.target.is_some_and(|target| target <= lsn);
                lsn > self.stream.confirmed()
                    && lsn.0 > self.version
                    && (wanted || self.idle_at.elapsed() >= IDLE_CHECKPOINT_INTERVAL)
            })
    }

    fn checkpoint(&self, lsn: Lsn, at: Option<u64>) -> Event {
        let position = LogPosition { origin: self.origin, lsn }.to_bytes();
        Event::Checkpoint(Checkpoint { position, version: self.version, committed_at: at, extra: None })
    }

    fn push(&mut self, event: Event, bytes: usize) {
        let xid = self.transaction.as_ref().map(|transaction| transaction.xid);
        self.bytes += bytes;
        self.queue.push_back(Queued { event, xid, bytes });
    }
}

/// Moves the log on, and says where to. The commit of a transactional message flushes the log up to it and wakes the walsender;
/// where the role may not, the server's own writer does so within a fraction of a second.
pub fn flush_log(session: &mut Session) -> Result<Lsn> {
    let emitted = match session.one("SELECT pg_catalog.pg_logical_emit_message(true, 'flusso', '')") {
        Ok(answer) => answer,
        Err(Error::Server(_)) => session.one("SELECT pg_catalog.pg_current_wal_insert_lsn()")?,
        Err(error) => return Err(error),
    };
    Lsn::parse(&emitted.unwrap_or_default())
}
