//! Messages of the stream → events of the contract: transactions, changes of rows, changed table definitions.

use crate::error::Result;
use crate::protocol::session::Session;
use crate::replication::capture::{Capture, Transaction};
use crate::replication::pgoutput::{self, Message, Old, Relation, Tuple};
use crate::replication::relation::{FollowedTable, Shape};
use flusso_plugin::{Change, Event, Key, Op, Row, TableChanged};
use std::rc::Rc;

/// What the stream sends of a row beside its key: its links before and after, and which columns changed.
#[derive(Default)]
struct SentRow {
    before: Option<Row>,
    after: Option<Row>,
    changed: Option<Vec<u32>>,
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
                            let (before, after) = (shape.links_of_no_row(), shape.links(&new, None));
                            let sent = SentRow { before, after, changed: None };
                            self.change(&shape, Op::Upsert, key, sent, bytes.len());
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
                            self.change(&shape, Op::Delete, key, SentRow { before, ..SentRow::default() }, bytes.len());
                        }
                        None => self.outgrown(session, relation, shape.number)?,
                    }
                }
            }
            Message::Truncate { relations } => {
                for relation in relations {
                    if let Some(shape) = self.shape(relation) {
                        self.change(&shape, Op::Truncate, Vec::new(), SentRow::default(), 16);
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

    /// `None` when the stream does not send the row's key.
    fn update(&mut self, shape: &Shape, old: Option<&Old<'_>>, new: &Tuple<'_>, bytes: usize) -> Option<()> {
        let before = old.map(|old| &old.tuple);
        let whole = old.filter(|old| old.whole).map(|old| &old.tuple);
        if whole.is_some_and(|old| shape.is_irrelevant(old, new)) {
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
                self.change(shape, Op::Delete, old_key, SentRow { before: links_before, ..SentRow::default() }, bytes);
                let sent = SentRow { before: shape.links_of_no_row(), after, changed: None };
                self.change(shape, Op::Upsert, key, sent, bytes);
                return Some(());
            }
        }
        let changed = whole.and_then(|old| shape.changed(old, new));
        self.change(shape, Op::Upsert, key, SentRow { before: links_before, after, changed }, bytes);
        Some(())
    }

    fn change(&mut self, shape: &Shape, op: Op, key: Key, sent: SentRow, bytes: usize) {
        let Some(transaction) = &mut self.transaction else { return };
        transaction.changes = true;
        let version = transaction.commit.0;
        let SentRow { before, after, changed } = sent;
        self.push(
            Event::Change(Change { table: shape.number, op, key, before, after, version, changed, extra: None }),
            64 + bytes.min(4096),
        );
    }

    /// A relation as the stream sees it at this place; the catalogue is read again when it does not fit. It is known by its
    /// oid: the stream gives the name that it had when the change was made.
    fn relation(&mut self, session: &mut Session, relation: &Relation<'_>) -> Result<()> {
        let named = |followed: &FollowedTable| {
            followed.interest.table.schema == relation.schema && followed.interest.table.name == relation.name
        };
        let place = self.followed.iter().position(|followed| followed.table.oid == relation.oid);
        let place = place.or_else(|| self.followed.iter().position(named));
        let Some(place) = place else {
            self.relations.insert(relation.oid, None);
            return Ok(());
        };
        let Some(followed) = self.followed.get(place) else { return Ok(()) };
        // The resolver relies on the old links. Changes from here on come without them, whatever the catalogue says now.
        let less = followed.sends_old_links && followed.shape(relation).is_some_and(|shape| !shape.sends_old_links);
        if less || !followed.fits(relation) {
            let queued = self.queue.len();
            self.look(session)?;
            if let Some(followed) = self.followed.get_mut(place) {
                followed.refresh(session)?;
                if less && self.queue.len() == queued {
                    let (table, detail) = (followed.number, "its replica identity told less for a while".to_owned());
                    self.push(Event::TableChanged(TableChanged { table, detail, extra: None }), 128);
                }
            }
        }
        let Some(followed) = self.followed.get_mut(place) else { return Ok(()) };
        let number = followed.number;
        match followed.shape(relation) {
            Some(shape) => {
                followed.sends_old_links = shape.sends_old_links;
                self.relations.insert(relation.oid, Some(Rc::new(shape)));
                Ok(())
            }
            None => self.outgrown(session, relation.oid, number),
        }
    }

    /// Changes of a relation have another key than the table has now: they are older than it. They are left out until the
    /// stream describes the relation anew, and everything that reads the table is built again.
    fn outgrown(&mut self, session: &mut Session, relation: u32, number: u32) -> Result<()> {
        if let Some(followed) = self.followed.iter_mut().find(|followed| followed.number == number) {
            followed.check_key(session)?;
        }
        self.relations.insert(relation, None);
        let detail = "it changed before its primary key was what it is now".to_owned();
        self.push(Event::TableChanged(TableChanged { table: number, detail, extra: None }), 128);
        Ok(())
    }
}
