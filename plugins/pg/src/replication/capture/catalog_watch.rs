//! Compares the catalogue with the stored fingerprints: every `look_every`, and when the stream describes a table in a new
//! way. A difference that affects documents becomes a `table-changed` event; the new fingerprint is stored once the host has
//! confirmed that event, so that a crash in between repeats it.

use crate::catalog::fingerprint::Fingerprint;
use crate::catalog::shape_store::{ShapeStore, StoredShape, StoredShapes, label};
use crate::error::{Error, Result};
use crate::name_list::{NAMED, shortened};
use crate::protocol::session::Session;
use crate::replication::capture::{Capture, flush_log};
use crate::replication::position::{LogPosition, Lsn};
use crate::replication::relation::FollowedTable;
use crate::settings::Settings;
use flusso_plugin::{Event, TableChanged, log};
use std::time::{Duration, Instant};

/// The tables that are compared, and the fingerprints that wait for a confirmation.
pub struct CatalogWatch {
    publication: String,
    manage_replica_identity: bool,
    every: Duration,
    looked: Instant,
    memory: Box<dyn ShapeStore>,
    noted: Vec<Noted>,
    /// The last checkpoint that was handed out.
    last: Lsn,
}

/// A table that changed, until what reads it is durably to be built anew.
struct Noted {
    table: u32,
    name: String,
    fingerprint: Fingerprint,
    way: Way,
}

/// How far the event is.
#[derive(PartialEq, Eq)]
enum Way {
    Queued,
    /// It was handed out behind this checkpoint.
    HandedOut(Lsn),
    /// This checkpoint came behind it.
    Until(Lsn),
}

impl CatalogWatch {
    /// Begins now.
    pub fn new(settings: &Settings, memory: Box<dyn ShapeStore>) -> Self {
        Self {
            publication: settings.publication.clone(),
            manage_replica_identity: settings.manage_replica_identity,
            every: settings.look_every,
            looked: Instant::now(),
            memory,
            noted: Vec::new(),
            last: Lsn::default(),
        }
    }

    /// Whether it is time.
    pub(super) fn is_due(&self) -> bool {
        self.looked.elapsed() >= self.every
    }

    /// An event leaves. Only a later checkpoint than any before it says that it is durable.
    pub(super) fn handed_out(&mut self, event: &Event) {
        match event {
            Event::Checkpoint(checkpoint) => {
                let lsn = LogPosition::from_bytes(&checkpoint.position).map_or(self.last, |place| place.lsn);
                for noted in &mut self.noted {
                    if matches!(noted.way, Way::HandedOut(before) if before < lsn) {
                        noted.way = Way::Until(lsn);
                    }
                }
                self.last = self.last.max(lsn);
            }
            Event::TableChanged(changed) => {
                let queued = |noted: &&mut Noted| noted.table == changed.table && noted.way == Way::Queued;
                if let Some(noted) = self.noted.iter_mut().find(queued) {
                    noted.way = Way::HandedOut(self.last);
                }
            }
            Event::Change(_) => {}
        }
    }

    /// Everything up to here is durable, and so is that the documents of some tables are built anew.
    pub fn confirmed(&mut self, confirmed: Lsn) -> Result<()> {
        let (durable, noted): (Vec<_>, Vec<_>) =
            self.noted.drain(..).partition(|noted| matches!(noted.way, Way::Until(lsn) if lsn <= confirmed));
        self.noted = noted;
        if durable.is_empty() {
            return Ok(());
        }
        let remember = |it: Noted| (it.name, Some(StoredShape { fingerprint: it.fingerprint, stale: None }));
        self.memory.store(durable.into_iter().map(remember).collect())
    }
}

impl Capture {
    /// The tables as they stand now are what documents will be made of: nothing was built before.
    pub fn remember_all(&mut self) -> Result<()> {
        let old = self.watch.memory.load()?.into_keys().map(|name| (name, None));
        let now = self.followed.iter().map(|followed| {
            let fingerprint = followed.fingerprint.clone();
            (label(&followed.interest), Some(StoredShape { fingerprint, stale: None }))
        });
        let changes = old.chain(now).collect();
        self.watch.memory.store(changes)
    }

    /// Compares the tables with what is remembered of them.
    pub fn compare_with_memory(&mut self, session: &mut Session, mut known: StoredShapes) -> Result<()> {
        let (mut quiet, mut changed) = (Vec::new(), Vec::new());
        for followed in &self.followed {
            let (name, fingerprint) = (label(&followed.interest), followed.fingerprint.clone());
            let why = match known.remove(&name) {
                Some(StoredShape { stale: Some(why), .. }) => vec![why],
                Some(before) if before.fingerprint == fingerprint => continue,
                Some(before) => fingerprint.since(&before.fingerprint, &followed.interest),
                None => Vec::new(),
            };
            if why.is_empty() {
                quiet.push((name, Some(StoredShape { fingerprint, stale: None })));
            } else {
                changed.push((followed.number, name, fingerprint, why.join(", ")));
            }
        }
        if !quiet.is_empty() {
            self.watch.memory.store(quiet)?;
        }
        self.note(session, changed)
    }

    /// Looks at every table. What changed for the documents is queued; what has to be mended first (a table made again, or
    /// out of the publication) is remembered, and the source has to be opened again.
    pub(super) fn look(&mut self, session: &mut Session) -> Result<()> {
        self.watch.looked = Instant::now();
        let interest = self.followed.iter().map(|followed| &followed.interest);
        let fingerprints = Fingerprint::all(session, &self.watch.publication, interest)?;
        let (mut quiet, mut changed, mut broken, mut altered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (followed, now) in self.followed.iter_mut().zip(fingerprints) {
            let name = label(&followed.interest);
            let now = now.ok_or_else(|| table_gone(&name))?;
            if now == followed.fingerprint {
                continue;
            }
            let why = now.since(&followed.fingerprint, &followed.interest).join(", ");
            if now.is_broken_since(&followed.fingerprint, &followed.interest, self.watch.manage_replica_identity) {
                let fingerprint = followed.fingerprint.clone();
                broken.push((name, Some(StoredShape { fingerprint, stale: Some(why) })));
                continue;
            }
            followed.fingerprint = now;
            altered.push((followed, name, why));
        }
        let mut tables: Vec<&mut FollowedTable> = altered.iter_mut().map(|(followed, ..)| &mut **followed).collect();
        FollowedTable::refresh_all(session, &mut tables)?;
        for (followed, name, why) in altered {
            if let Some(reason) = followed.obstacle() {
                return Err(Error::Fatal(format!(
                    "the table {name} cannot be followed any more: {reason}; then start again"
                )));
            }
            let now = followed.fingerprint.clone();
            if !why.is_empty() {
                changed.push((followed.number, name, now, why));
            } else if !self.watch.noted.iter().any(|noted| noted.name == name) {
                quiet.push((name, Some(StoredShape { fingerprint: now, stale: None })));
            }
        }
        if let Some((name, Some(StoredShape { stale: Some(why), .. }))) = broken.first() {
            let message = format!(
                "the table {name} changed ({why}): the source is opened again, and what reads it is built anew"
            );
            self.watch.memory.store(broken)?;
            return Err(Error::Transient(message));
        }
        if !quiet.is_empty() {
            self.watch.memory.store(quiet)?;
        }
        self.note(session, changed)
    }

    fn note(&mut self, session: &mut Session, changed: Vec<(u32, String, Fingerprint, String)>) -> Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let told = |(_, name, _, detail): &(u32, String, Fingerprint, String)| format!("{name} ({detail})");
        if changed.len() > NAMED {
            let (count, names) = (changed.len(), shortened(changed.iter().map(told)));
            log::warn(&format!("{count} tables changed, {names}: what reads them is built anew"), &[]);
        }
        let each = changed.len() <= NAMED;
        for (table, name, fingerprint, detail) in changed {
            if each {
                log::warn(
                    &format!("the table {name} changed ({detail}): what reads it is built anew"),
                    &[("table", &name)],
                );
            }
            self.watch.noted.push(Noted { table, name, fingerprint, way: Way::Queued });
            self.push(Event::TableChanged(TableChanged { table, detail, extra: None }), 128);
        }
        // So that a checkpoint comes behind it, however quiet the database is.
        flush_log(session).map(|_| ())
    }
}

/// Before anything is mended: what changed since it was remembered is marked, because what is mended does not show any more.
pub fn mark_stale(memory: &mut dyn ShapeStore, known: &mut StoredShapes, followed: &[FollowedTable]) -> Result<()> {
    let mut stale = Vec::new();
    for followed in followed {
        let name = label(&followed.interest);
        let Some(before) = known.get_mut(&name).filter(|before| before.stale.is_none()) else { continue };
        let why = followed.fingerprint.since(&before.fingerprint, &followed.interest);
        if !why.is_empty() {
            before.stale = Some(why.join(", "));
            stale.push((name, Some(before.clone())));
        }
    }
    if stale.is_empty() { Ok(()) } else { memory.store(stale) }
}

/// A table that is not there.
pub fn table_gone(name: &str) -> Error {
    Error::Transient(format!(
        "the table {name} is gone; it is waited for (if it stays away, take what reads it out of the configuration and start again)"
    ))
}
