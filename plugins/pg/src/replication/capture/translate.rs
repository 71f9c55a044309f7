//! What the stream's messages say, as events: transactions, changes of rows, tables that are no longer what they were.

use crate::error::Result;
use crate::protocol::session::Session;
use crate::replication::capture::{Capture, Transaction};
use crate::replication::pgoutput::{self, Message, Old, Relation, Tuple};
use crate::replication::relation::{Shape, Watched};
use flusso_plugin::{Change, Event, Key, Op, Row, TableChanged};
use std::rc::Rc;

/// What is told of a row beside its key: its links before and after, and what changed.
#[derive(Default)]
struct Told {
    before: Option<Row>,
    after: Option<Row>,
    extra: Option<String>,
}

impl Capture {
    pub(super) fn message(&mut self, session: &mut Session, bytes: &[u8]) -> Result<()> {
        match pgoutput::decode(bytes)? {
            Message::Begin { commit, at, xid } => {
                self.version = self.version.max(commit.0);
                self.transaction = Some(Transaction { commit, at, xid, changes: false });
            }
            Message::Commit { end } => {
                match &self.transaction {
                    Some(transaction) if transaction.changes => {
                        let event = self.checkpoint(end, Some(transaction.at));
                        self.idle = None;
                        self.push(event, 64);
                    }
                    _ => self.idle = Some(end),
                }
                self.transaction = None;
            }
            Message::Relation(relation) => self.relation(session, &relation)?,
            Message::Insert { relation, new } => {
                if let Some(shape) = self.shape(relation) {
                    match shape.key(&new, None) {
                        Some(key) => {
                            let told = Told { after: shape.links(&new, None), ..Told::default() };
                            self.change(&shape, Op::Upsert, key, told, bytes.len());
                        }
                        None => self.outgrown(session, relation, shape.number)?,
                    }
                }
            }
            Message::Update { relation, old, new } => {
                if let Some(shape) = self.shape(relation)
                    && self.update(&shape, old.as_ref(), &new, bytes.len()).is_none()
                {
                    self.outgrown(session, relation, shape.number)?;
                }
            }
            Message::Delete { relation, old } => {
                if let Some(shape) = self.shape(relation) {
                    let before = if old.whole || shape.indexed { shape.links(&old.tuple, None) } else { None };
                    match shape.key(&old.tuple, None) {
                        Some(key) => {
                            self.change(&shape, Op::Delete, key, Told { before, ..Told::default() }, bytes.len());
                        }
                        None => self.outgrown(session, relation, shape.number)?,
                    }
                }
            }
            Message::Truncate { relations } => {
                for relation in relations {
                    if let Some(shape) = self.shape(relation) {
                        self.change(&shape, Op::Truncate, Vec::new(), Told::default(), 16);
                    }
                }
            }
            Message::Other => {}
        }
        Ok(())
    }

    fn shape(&self, relation: u32) -> Option<Rc<Shape>> {
        self.relations.get(&relation).cloned().flatten()
    }

    /// `None` when the row's key cannot be told.
    fn update(&mut self, shape: &Shape, old: Option<&Old<'_>>, new: &Tuple<'_>, bytes: usize) -> Option<()> {
        let before = old.map(|old| &old.tuple);
        let whole = old.filter(|old| old.whole).map(|old| &old.tuple);
        if whole.is_some_and(|old| shape.is_idle(old, new)) {
            return Some(());
        }
        let after = shape.links(new, whole);
        let links_before = match (whole, before) {
            (Some(old), _) => shape.links(old, None),
            (None, Some(old)) if shape.indexed => shape.links(old, None),
            // An identity that did not change is not sent.
            (None, None) if shape.indexed => after.clone(),
            _ => None,
        };
        let key = shape.key(new, before)?;
        if let Some(old) = before {
            let old_key = shape.key(old, Some(new))?;
            if old_key != key {
                self.change(shape, Op::Delete, old_key, Told { before: links_before, ..Told::default() }, bytes);
                self.change(shape, Op::Upsert, key, Told { after, ..Told::default() }, bytes);
                return Some(());
            }
        }
        let extra = whole.and_then(|old| shape.changed(old, new));
        self.change(shape, Op::Upsert, key, Told { before: links_before, after, extra }, bytes);
        Some(())
    }

    fn change(&mut self, shape: &Shape, op: Op, key: Key, told: Told, bytes: usize) {
        let Some(transaction) = &mut self.transaction else { return };
        transaction.changes = true;
        let version = transaction.commit.0;
        let Told { before, after, extra } = told;
        self.push(
            Event::Change(Change { table: shape.number, op, key, before, after, version, extra }),
            64 + bytes.min(4096),
        );
    }

    /// A relation as the stream sees it at this place; the catalogue is read again when it does not fit. It is known by its
    /// oid: the stream gives the name that it had when the change was made.
    fn relation(&mut self, session: &mut Session, relation: &Relation<'_>) -> Result<()> {
        let named = |watched: &Watched| {
            watched.interest.table.schema == relation.schema && watched.interest.table.name == relation.name
        };
        let place = self.watched.iter().position(|watched| watched.known.oid == relation.oid);
        let place = place.or_else(|| self.watched.iter().position(named));
        let Some(place) = place else {
            self.relations.insert(relation.oid, None);
            return Ok(());
        };
        let Some(watched) = self.watched.get(place) else { return Ok(()) };
        // Whoever resolves trusts that old links are told. Those of changes from here on are not, whatever the catalogue says now.
        let less = watched.told && watched.shape(relation).is_some_and(|shape| !shape.told);
        if less || !watched.fits(relation) {
            let queued = self.queue.len();
            self.look(session)?;
            if let Some(watched) = self.watched.get_mut(place) {
                watched.refresh(session)?;
                if less && self.queue.len() == queued {
                    let (table, detail) = (watched.number, "its replica identity told less for a while".to_owned());
                    self.push(Event::TableChanged(TableChanged { table, detail, extra: None }), 128);
                }
            }
        }
        let Some(watched) = self.watched.get_mut(place) else { return Ok(()) };
        let number = watched.number;
        match watched.shape(relation) {
            Some(shape) => {
                watched.told = shape.told;
                self.relations.insert(relation.oid, Some(Rc::new(shape)));
                Ok(())
            }
            None => self.outgrown(session, relation.oid, number),
        }
    }

    /// Changes of a relation have another key than the table has now: they are older than it. They are left out until the
    /// stream describes the relation anew, and everything that reads the table is built again.
    fn outgrown(&mut self, session: &mut Session, relation: u32, number: u32) -> Result<()> {
        if let Some(watched) = self.watched.iter_mut().find(|watched| watched.number == number) {
            watched.check_key(session)?;
        }
        self.relations.insert(relation, None);
        let detail = "it changed before its primary key was what it is now".to_owned();
        self.push(Event::TableChanged(TableChanged { table: number, detail, extra: None }), 128);
        Ok(())
    }
}
