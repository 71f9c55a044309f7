//! The source: one control session for SQL, one replication session for the stream.

use crate::catalog::interest;
use crate::catalog::shape_store::{self, ShapeStore, StoredShapes, label};
use crate::error::{Error, Result};
use crate::protocol::session::{CALL_LIMIT, Mode, Session};
use crate::protocol::sql;
use crate::replication::capture::catalog_watch::{CatalogWatch, mark_stale, table_gone};
use crate::replication::capture::{Capture, Limits, flush_log};
use crate::replication::position::{LogPosition, Lsn, Origin};
use crate::replication::publication;
use crate::replication::relation::FollowedTable;
use crate::replication::slot::{self, Server, Slot, SlotCreation};
use crate::replication::stream::Stream;
use crate::replication::{replica_identity, slot_names};
use crate::settings::Settings;
use flusso_plugin as contract;
use flusso_plugin::{
    Continuity, Event, Inspection, PollRequest, Position, Preparation, Prepared, Source, TableInterest, log,
};
use std::collections::HashMap;
use std::time::Duration;

/// `prepare` answers `pending` after so long.
const SLOT_CREATION_WAIT: Duration = Duration::from_secs(1);

/// How the tables stand to what was read of them last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tables {
    /// As they were found.
    Found,
    /// Something was altered here since, or time has passed.
    Mended,
}

/// A source, opened.
pub struct PgSource {
    settings: Settings,
    interest: Vec<TableInterest>,
    control: Session,
    server: Server,
    slot: String,
    slot_creation: Option<SlotCreation>,
    /// The tables as `prepare` found them, until the slot is made.
    followed: Vec<FollowedTable>,
    capture: Option<Capture>,
    /// The history that was looked at last.
    origin: Option<Origin>,
    /// Where it is remembered how the tables stood; the capture's, once there is one.
    memory: Option<Box<dyn ShapeStore>>,
}

impl PgSource {
    /// Connects and looks around; changes nothing.
    pub fn start(settings: Settings, interest: Vec<TableInterest>) -> Result<Self> {
        let mut control = Session::open(&settings.connection, Mode::Sql)?;
        let server = Server::read(&mut control)?;
        let slot = slot_name(&mut control, &settings, &server)?;
        Ok(Self {
            settings,
            interest,
            control,
            server,
            slot,
            slot_creation: None,
            followed: Vec::new(),
            capture: None,
            origin: None,
            memory: None,
        })
    }

    /// Stores the shapes of its tables there.
    #[must_use]
    pub fn with_shape_store(self, memory: impl ShapeStore + 'static) -> Self {
        Self { memory: Some(Box::new(memory)), ..self }
    }

    fn history(&self, origin: Origin) -> String {
        format!("{}/{}/{}@{}", origin.system, origin.database, self.slot, origin.lsn)
    }

    /// The tables of the interest. One that never was, a column that is not there and a key that is none are the builder's
    /// fault; a table that was followed before and is gone is waited for.
    fn look_up(&mut self, resumed: bool, remembered: &StoredShapes) -> Result<Vec<FollowedTable>> {
        let found = FollowedTable::found(&mut self.control, &self.settings.publication, &self.interest)?;
        // A host that stores nothing for this plugin cannot tell what was there before.
        let unknown = resumed && remembered.is_empty();
        let (mut followed, mut problems) = (Vec::with_capacity(found.len()), Vec::new());
        let mut gone = None;
        for (interest, found) in found {
            match found {
                Some(found) => followed.push(found),
                None if unknown || remembered.contains_key(&label(interest)) => gone = gone.or(Some(label(interest))),
                None => {
                    let (schema, name) = (&interest.table.schema, &interest.table.name);
                    problems.push(interest::missing(&mut self.control, schema, name)?.message().to_owned());
                }
            }
        }
        if !unknown {
            problems.extend(self.compare(&mut followed, remembered)?);
        }
        if !problems.is_empty() {
            return Err(Error::configuration("interest", format!("what the builder reads: {}", problems.join("; "))));
        }
        gone.map_or(Ok(followed), |name| Err(table_gone(&name)))
    }

    /// What the interest has wrong about the tables that are there.
    fn compare(&mut self, followed: &mut [FollowedTable], remembered: &StoredShapes) -> Result<Vec<String>> {
        let place = |(at, it): (usize, &FollowedTable)| (label(&it.interest), at);
        let places: HashMap<String, usize> = followed.iter().enumerate().map(place).collect();
        let mut problems = Vec::new();
        for (number, one) in (0..).zip(&self.interest) {
            let name = label(one);
            let Some(followed) = places.get(&name).and_then(|at| followed.get_mut(*at)) else { continue };
            let before = remembered.get(&name).map(|shape| &shape.fingerprint);
            let first = followed.number == number;
            let found = interest::compare(&mut self.control, one, &followed.table, before, first)?;
            followed.by_primary_key &= !found.by_other_key;
            problems.extend(found.misfits.iter().map(|misfit| misfit.message().to_owned()));
        }
        Ok(problems)
    }

    /// The tables that the publication does not cover: they were taken out of it, or they are new. Not those whose shape is
    /// stored: what happened to them is found by comparing fingerprints, and becomes events.
    fn unrecorded(&mut self) -> Result<Vec<u32>> {
        let covered = publication::covered(&mut self.control, &self.settings.publication)?;
        let uncovered: Vec<_> = (0..).zip(&self.interest).filter(|(_, one)| !covered.contains(&label(one))).collect();
        if uncovered.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.memory.as_mut().map_or_else(|| Ok(StoredShapes::new()), |memory| memory.load())?;
        let missed = uncovered.into_iter().filter(|(_, one)| !known.contains_key(&label(one)));
        Ok(missed.map(|(number, _)| number).collect())
    }

    /// Why a place cannot be gone on from; `None` when it can.
    fn gap(&self, place: &LogPosition, slot: Option<&Slot>) -> Option<String> {
        let (system, database) = (place.origin.system, place.origin.database);
        if (system, database) != (self.server.system, self.server.database) {
            return Some(format!(
                "the last confirmed position is of server {system}, database {database}, and this is server {}, database {}",
                self.server.system, self.server.database
            ));
        }
        match slot {
            Some(slot) => slot.gap(place.lsn),
            None => Some(format!("the slot `{}` is gone", self.slot)),
        }
    }

    fn create_slot(&mut self) -> Result<Preparation> {
        let session = Session::open(&self.settings.connection, Mode::Replication)?;
        self.wait_for(SlotCreation::begin(session, &self.slot)?)
    }

    fn wait_for(&mut self, slot_creation: SlotCreation) -> Result<Preparation> {
        match slot_creation.poll(&mut self.control, SLOT_CREATION_WAIT)? {
            Err((slot_creation, reason)) => {
                self.slot_creation = Some(slot_creation);
                Ok(Preparation::Pending(reason))
            }
            Ok((point, session)) => {
                log::info(&format!("the slot `{}` was created at {point}", self.slot), &[("slot", &self.slot)]);
                let place = LogPosition { origin: self.server.origin(point), lsn: point };
                self.follow(place, Some(session), Tables::Mended, None)
            }
        }
    }

    /// Starts the stream. Documents were built of these tables before (`remembered`), or none is yet.
    fn follow(
        &mut self,
        place: LogPosition,
        session: Option<Session>,
        tables: Tables,
        remembered: Option<StoredShapes>,
    ) -> Result<Preparation> {
        let session = match session {
            Some(session) => session,
            None => Session::open(&self.settings.connection, Mode::Replication)?,
        };
        let stream = Stream::start(session, &self.slot, &self.settings.publication, place.lsn, self.server.timeout);
        let stream = stream.map_err(|error| match (error.code(), Slot::find(&mut self.control, &self.slot)) {
            (Some("55006"), Ok(Some(Slot { pid: Some(pid), .. }))) => {
                slot::in_use(&mut self.control, &self.slot, pid, self.server.timeout)
            }
            _ => error,
        })?;
        // As they stand now that everything is mended, and before any row is read.
        let mut followed = std::mem::take(&mut self.followed);
        if tables == Tables::Mended {
            let publication = &self.settings.publication;
            followed = FollowedTable::again(&mut self.control, publication, &self.interest, followed)?;
        }
        let watch = CatalogWatch::new(
            &self.settings,
            self.memory.take().unwrap_or_else(|| Box::new(shape_store::NoShapeStore)),
        );
        let mut capture = Capture::new(stream, place.origin, followed, watch);
        match remembered {
            Some(remembered) => capture.compare_with_memory(&mut self.control, remembered)?,
            None => capture.remember_all()?,
        }
        self.capture = Some(capture);
        Ok(Preparation::Ready(Prepared {
            history: self.history(place.origin),
            position: place.to_bytes(),
            version: place.lsn.0,
            resources: vec![
                format!(
                    "replication slot `{}` in database `{}` (keeps log on the server until it is read or dropped)",
                    self.slot, self.server.name
                ),
                format!("publication `{}`", self.settings.publication),
            ],
            extra: None,
        }))
    }

    /// See [`Capture::impatient`].
    #[doc(hidden)]
    pub fn impatient(&mut self) {
        if let Some(capture) = &mut self.capture {
            capture.impatient();
        }
    }
}

impl Source for PgSource {
    fn open(given: contract::Settings, interest: Vec<TableInterest>) -> contract::Result<Self> {
        let settings = Settings::from_json(given.parse()?)?;
        Ok(Self::start(settings, interest)?.with_shape_store(shape_store::Host))
    }

    /// Server, database and slot.
    fn identity(&mut self) -> contract::Result<String> {
        Ok(slot_names::file(&format!("pg-{}-{}-{}", self.server.system, self.server.name, self.slot)))
    }

    fn inspect(&mut self, resume: Option<Position>) -> contract::Result<Inspection> {
        self.control.within(CALL_LIMIT);
        self.server.check(&self.settings.connection.user, &self.settings.connection.application)?;
        let found = Slot::find(&mut self.control, &self.slot)?;
        if let Some(slot) = &found {
            slot.check(&self.slot, &self.server)?;
        }
        let Some(resume) = resume else {
            let history = match &found {
                Some(slot) if !slot.lost => {
                    log::info(
                        &format!("the slot `{}` is there already and is taken over at {}", self.slot, slot.confirmed),
                        &[("slot", &self.slot)],
                    );
                    Some(self.history(self.server.origin(slot.confirmed)))
                }
                _ => None,
            };
            return Ok(Inspection { history, continuity: Continuity::Fresh, unrecorded: Vec::new(), extra: None });
        };
        let place = match LogPosition::from_bytes(&resume) {
            Ok(place) => place,
            Err(error) => {
                let continuity = Continuity::Lost(error.to_string());
                return Ok(Inspection { history: None, continuity, unrecorded: Vec::new(), extra: None });
            }
        };
        self.origin = Some(place.origin);
        let mut gap = self.gap(&place, found.as_ref());
        if gap.is_none() && !publication::exists(&mut self.control, &self.settings.publication)? {
            gap = Some(format!(
                "the publication `{}` is gone, and what was written before it is made again cannot be read through it",
                self.settings.publication
            ));
        }
        let unrecorded = if gap.is_none() { self.unrecorded()? } else { Vec::new() };
        let continuity = gap.map_or(Continuity::Continuous, Continuity::Lost);
        Ok(Inspection { history: Some(self.history(place.origin)), continuity, unrecorded, extra: None })
    }

    /// Publication, slot, stream.
    fn prepare(&mut self, resume: Option<Position>) -> contract::Result<Preparation> {
        self.control.within(CALL_LIMIT);
        if let Some(slot_creation) = self.slot_creation.take() {
            return Ok(self.wait_for(slot_creation)?);
        }
        self.server.check(&self.settings.connection.user, &self.settings.connection.application)?;
        let publication = self.settings.publication.clone();
        let mut remembered = match &mut self.memory {
            Some(memory) => memory.load()?,
            None => StoredShapes::new(),
        };
        let mut followed = self.look_up(resume.is_some(), &remembered)?;
        if let (Some(memory), true) = (self.memory.as_deref_mut(), resume.is_some()) {
            mark_stale(memory, &mut remembered, &followed)?;
        }
        let manage = self.settings.manage_replica_identity;
        let identities = match replica_identity::ensure(&mut self.control, &mut followed, manage)? {
            replica_identity::Ensured::Pending(reason) => return Ok(Preparation::Pending(reason)),
            replica_identity::Ensured::Altered => Tables::Mended,
            replica_identity::Ensured::Found => Tables::Found,
        };
        for followed in &followed {
            if let Some(reason) = followed.obstacle() {
                if self.settings.manage_publication {
                    publication::release(&mut self.control, &publication)?;
                }
                let message = format!("the table {} cannot be followed: {reason}", followed.table.label());
                return Err(Error::configuration("", message).into());
            }
        }
        let tables: Vec<_> =
            followed.iter().map(|followed| &followed.table).filter(|table| table.is_streamed()).collect();
        for view in followed.iter().map(|followed| &followed.table).filter(|table| !table.is_streamed()) {
            let message = format!(
                "{} is a {}: it is read, and the change stream has no changes of it",
                view.label(),
                view.kind_word()
            );
            log::info(&message, &[("table", &view.label())]);
        }
        let ensured = publication::ensure(&mut self.control, &publication, &tables, self.settings.manage_publication)?;
        let young = ensured == publication::Ensured::Created;
        let tables = if ensured == publication::Ensured::Found { identities } else { Tables::Mended };
        self.followed = followed;
        let Some(slot) = Slot::find(&mut self.control, &self.slot)? else { return Ok(self.create_slot()?) };
        slot.check(&self.slot, &self.server)?;
        slot.check_free(&mut self.control, &self.slot, &self.server)?;
        let place = resume.as_deref().and_then(|resume| LogPosition::from_bytes(resume).ok());
        let gap = place.as_ref().and_then(|place| self.gap(place, Some(&slot)));
        match (place, gap) {
            (Some(place), None) if !young => Ok(self.follow(place, None, tables, Some(remembered))?),
            // Nothing to resume: what the slot holds back is a history of its own.
            (None, _) if resume.is_none() && !slot.lost && !young => {
                let origin = self.server.origin(slot.confirmed);
                Ok(self.follow(LogPosition { origin, lsn: slot.confirmed }, None, tables, None)?)
            }
            // A slot that does not fit would give the new history an old name.
            _ => {
                slot::drop(&mut self.control, &self.slot)?;
                log::warn(
                    &format!("the slot `{}` no longer fits and is made again", self.slot),
                    &[("slot", &self.slot)],
                );
                Ok(self.create_slot()?)
            }
        }
    }

    fn poll(&mut self, request: PollRequest) -> contract::Result<Vec<Event>> {
        self.control.within(CALL_LIMIT);
        let confirmed = request.confirmed.as_deref().map(LogPosition::from_bytes).transpose()?;
        let capture = self.capture.as_mut().ok_or_else(|| Error::Fatal("polled before it was prepared".into()))?;
        capture.confirm(confirmed.map(|place| place.lsn))?;
        if request.max == 0 {
            return Ok(Vec::new());
        }
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let limits = Limits {
            max: size(request.max),
            max_bytes: size(request.max_bytes).max(1),
            wait: Duration::from_millis(u64::from(request.wait_ms.min(1000))),
        };
        Ok(capture.poll(&mut self.control, &limits)?)
    }

    /// A position at or past everything committed. The stream reaches it, because the log is flushed up to it.
    fn head(&mut self) -> contract::Result<Position> {
        self.control.within(CALL_LIMIT);
        let capture =
            self.capture.as_mut().ok_or_else(|| Error::Fatal("asked for its head before it was prepared".into()))?;
        let lsn = flush_log(&mut self.control)?;
        capture.wait_for_position(lsn)?;
        Ok(LogPosition { origin: capture.origin(), lsn }.to_bytes())
    }

    fn compare(&mut self, a: Position, b: Position) -> contract::Result<i32> {
        let (a, b) = (LogPosition::from_bytes(&a)?, LogPosition::from_bytes(&b)?);
        if a.origin != b.origin {
            return Err(contract::Error::HistoryLost("the two positions are of different histories".into()));
        }
        Ok(a.lsn.cmp(&b.lsn) as i32)
    }

    /// A position as `print` writes it, or as the server does (`pg_current_wal_lsn()`): a bare one is of the history that is
    /// followed, or was inspected last.
    fn parse(&mut self, text: String) -> contract::Result<Position> {
        let text = text.trim();
        let origin = self.capture.as_ref().map(Capture::origin).or(self.origin);
        match (Lsn::parse(text), origin) {
            (Ok(lsn), Some(origin)) => Ok(LogPosition { origin, lsn }.to_bytes()),
            _ => Ok(LogPosition::parse(text)?.to_bytes()),
        }
    }

    fn print(&mut self, position: Position) -> contract::Result<String> {
        Ok(LogPosition::from_bytes(&position)?.to_string())
    }

    fn lag(&mut self) -> contract::Result<Option<u64>> {
        self.control.within(CALL_LIMIT);
        let slot = Slot::find(&mut self.control, &self.slot)?;
        Ok(slot.map(|slot| slot.current.0.saturating_sub(slot.confirmed.0)))
    }

    fn close(&mut self, confirmed: Option<Position>) -> contract::Result<()> {
        let confirmed = confirmed.as_deref().map(LogPosition::from_bytes).transpose()?.map(|place| place.lsn);
        match self.capture.take() {
            Some(capture) => Ok(capture.close(confirmed)?),
            None => Ok(()),
        }
    }

    /// Drops slot and publication.
    fn discard(&mut self) -> contract::Result<Vec<String>> {
        self.control.within(CALL_LIMIT);
        let mut removed = Vec::new();
        if let Some(slot) = Slot::find(&mut self.control, &self.slot)? {
            slot.check(&self.slot, &self.server)?;
            slot.check_free(&mut self.control, &self.slot, &self.server)?;
            slot::drop(&mut self.control, &self.slot)?;
            removed.push(format!("replication slot `{}`", self.slot));
        }
        if self.settings.manage_publication {
            let publication = &self.settings.publication;
            let owned = self.control.one(&format!(
                "SELECT CASE WHEN pg_catalog.obj_description(oid, 'pg_publication') IS DISTINCT FROM {} THEN 'foreign'
                     ELSE pg_catalog.pg_has_role(pubowner, 'USAGE')::text END FROM pg_catalog.pg_publication WHERE pubname = {}",
                sql::text(publication::CREATED),
                sql::text(publication)
            ))?;
            match owned.as_deref() {
                Some("true") => {
                    self.control.simple(&format!("DROP PUBLICATION IF EXISTS {}", sql::name(publication)))?;
                    removed.push(format!("publication `{publication}`"));
                }
                // Another consumer may read through it; it retains no log.
                Some("foreign") => log::warn(
                    &format!(
                        "the publication `{publication}` stays: it was not created by this host (or by one older than 0.2); if nothing else reads through it: DROP PUBLICATION {};",
                        sql::name(publication)
                    ),
                    &[("publication", publication)],
                ),
                // An administrator created it for this role; it retains no log.
                Some(_) => log::info(
                    &format!("the publication `{publication}` stays: another role owns it"),
                    &[("publication", publication)],
                ),
                None => {}
            }
        }
        Ok(removed)
    }
}

/// What the slot is called.
pub(crate) fn slot_name(control: &mut Session, settings: &Settings, server: &Server) -> Result<String> {
    match &settings.slot {
        Some(name) => Ok(name.clone()),
        None => {
            // The ancestor's name for it, and that of this host before 0.2.
            for name in ["flusso".to_owned(), slot_names::plain_slot(&server.name)] {
                if Slot::find(control, &name)?.is_some_and(|slot| slot.check(&name, server).is_ok()) {
                    return Ok(name);
                }
            }
            Ok(slot_names::slot(&server.name))
        }
    }
}
