//! From changed rows to the documents that they touch: the documents under the new and the old values of every relation of the
//! table, and those that are rooted in the row. The values of before come with the change where the source tells them, and from
//! the link table where it does not.

use std::collections::HashSet;
use std::sync::Arc;

use super::encoding;
use super::plan::{Plan, Relation, Table, documents_name};
use crate::limits;
use crate::model::{Change, DocumentId, IndexNumber, Op, TableNumber, Value};
use crate::plugin::links::lookups::{DocumentKey, Lookup, RelationNumber};
use crate::plugin::links::{RowLinks, Table as Links, packed};
use crate::plugin::state::StateError;

/// What a batch touches, in the order in which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// A document.
    Document(DocumentId),
    /// The documents that looked for something, of some indexes.
    Lookup(Lookup, Vec<IndexNumber>),
}

/// A batch, resolved but for the documents behind its lookups.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) touched: Vec<Touched>,
    pub(super) rebuild: Vec<IndexNumber>,
    pub(super) clear: Vec<IndexNumber>,
    /// The number by which the links that ended are removed with the batch's confirmation.
    pub(super) removals: u64,
}

/// How far the documents of a batch were handed out.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    touched: Arc<Vec<Touched>>,
    place: usize,
    from: Option<DocumentKey>,
}

impl Rest {
    pub(super) fn new(touched: Vec<Touched>) -> Self {
        Self { touched: Arc::new(touched), place: 0, from: None }
    }

    /// The next documents, at most about `max`, each once; and what is left after them.
    pub(super) fn next(
        mut self,
        links: &Links,
        indexes: &[(RelationNumber, IndexNumber)],
        max: usize,
    ) -> Result<(Vec<DocumentId>, Option<Self>), StateError> {
        let (mut ids, mut seen) = (Vec::new(), HashSet::new());
        while let Some(touched) = self.touched.get(self.place) {
            if ids.len() >= max {
                return Ok((ids, Some(self)));
            }
            match touched {
                Touched::Document(id) => {
                    if seen.insert(id.clone()) {
                        ids.push(id.clone());
                    }
                }
                Touched::Lookup(lookup, of) => {
                    let mut found = links.documents(lookup, self.from.as_ref(), max)?;
                    if self.from.is_none() {
                        found.documents.extend(by_own_key(links, indexes, lookup));
                    }
                    for document in found.documents {
                        let index =
                            indexes.iter().find(|(number, _)| *number == document.index).map(|(_, index)| *index);
                        let Some(index) = index.filter(|index| of.contains(index)) else { continue };
                        let Some(key) = encoding::read_key(&document.key) else { continue };
                        let id = DocumentId { index, key };
                        if seen.insert(id.clone()) {
                            ids.push(id);
                        }
                    }
                    if found.more.is_some() {
                        self.from = found.more;
                        continue;
                    }
                }
            }
            self.from = None;
            self.place += 1;
        }
        Ok((ids, None))
    }
}

/// The documents that these values lead to without a record, as their own keys.
fn by_own_key(
    links: &Links,
    indexes: &[(RelationNumber, IndexNumber)],
    lookup: &Lookup,
) -> impl Iterator<Item = DocumentKey> {
    let mut indexes = indexes.iter().filter(|(index, _)| links.goes_by_own_key(lookup.relation, *index)).peekable();
    let key = indexes.peek().is_some().then(|| encoding::key_of_values(&lookup.values)).flatten();
    indexes.filter_map(move |(index, _)| Some(DocumentKey { index: *index, key: key.clone()? }))
}

/// The number under which the documents of each index are recorded, and the index.
pub(super) fn index_numbers(plan: &Plan, links: &Links) -> Result<Vec<(RelationNumber, IndexNumber)>, StateError> {
    let number = |(index, offer): (usize, &super::plan::Offer)| {
        Ok((links.number(&documents_name(&offer.mapping.index))?, u32::try_from(index).unwrap_or(u32::MAX)))
    };
    plan.offers.iter().enumerate().map(number).collect()
}

/// Which documents a batch of changes touches.
pub(super) fn resolve(plan: &Plan, links: &Links, changes: &[Change]) -> Result<Resolved, StateError> {
    let mut batch = Batch {
        plan,
        links,
        resolved: Resolved::default(),
        ended: Vec::new(),
        emptied: Vec::new(),
        seen: HashSet::new(),
    };
    for change in changes {
        batch.change(change)?;
    }
    // Also without links that ended: what builds find to be ended goes with this batch.
    batch.resolved.removals = links.end(&batch.ended, &batch.emptied)?;
    Ok(batch.resolved)
}

struct Batch<'a> {
    plan: &'a Plan,
    links: &'a Links,
    resolved: Resolved,
    ended: Vec<RowLinks>,
    emptied: Vec<String>,
    seen: HashSet<(Lookup, Vec<IndexNumber>)>,
}

impl Batch<'_> {
    fn change(&mut self, change: &Change) -> Result<(), StateError> {
        let plan = self.plan;
        let Some(table) = plan.tables.get(change.table as usize) else { return Ok(()) };
        if change.op == Op::Truncate {
            self.truncate(table, change.table);
            return Ok(());
        }
        let touched = touched_indexes(table, change);
        for index in table.roots.iter().filter(|index| touched.contains(index)) {
            self.resolved.touched.push(Touched::Document(DocumentId { index: *index, key: change.key.clone() }));
        }
        let whole = table.whole.iter().copied().filter(|index| touched.contains(index));
        self.rebuild(whole, table, "a table that it reads as a whole was changed");
        for relation in &table.relations {
            self.relation(table, relation, change, &touched)?;
        }
        Ok(())
    }

    fn rebuild(&mut self, indexes: impl IntoIterator<Item = IndexNumber>, table: &Table, because: &str) {
        for index in indexes {
            if !self.resolved.rebuild.contains(&index) {
                let name = self.plan.offers.get(index as usize).map_or("", |offer| offer.mapping.index.as_str());
                tracing::info!(index = name, table = %table.name, because, "every document of an index is built again");
                self.resolved.rebuild.push(index);
            }
        }
    }

    fn truncate(&mut self, table: &Table, number: TableNumber) {
        // What was touched before is gone with the rows, and what comes after stands behind it.
        let roots = table.roots.clone();
        self.resolved.touched.retain(|touched| !matches!(touched, Touched::Document(id) if roots.contains(&id.index)));
        for index in &table.roots {
            if !self.resolved.clear.contains(index) {
                self.resolved.clear.push(*index);
            }
        }
        let others = self.plan.readers(number).into_iter().filter(|index| !roots.contains(index)).collect::<Vec<_>>();
        self.rebuild(others, table, "a table that it looks rows up in was truncated");
        self.emptied.extend(table.relations.iter().filter_map(|relation| relation.rows.clone()));
    }

    /// The documents that look for the row's values, those of now and those of before.
    fn relation(
        &mut self,
        table: &Table,
        relation: &Relation,
        change: &Change,
        touched: &[IndexNumber],
    ) -> Result<(), StateError> {
        let number = self.links.number(&relation.name)?;
        let values_of = |row: &[Value]| -> Option<Vec<u8>> {
            let values: Option<Vec<&Value>> = relation.places.iter().map(|place| row.get(*place)).collect();
            encoding::looked_for(values?)
        };
        if relation.in_key {
            self.lookup(number, values_of(change.key.parts()), touched);
            return Ok(());
        }
        let after = change.after.as_deref().filter(|_| change.op == Op::Upsert);
        let now = after.and_then(values_of);
        self.lookup(number, now.clone(), touched);
        match (&change.before, &relation.rows) {
            (Some(before), _) => self.lookup(number, values_of(before), touched),
            // A row that was inserted has no values of before, and none are recorded then.
            (None, Some(rows)) => self.recorded(rows, number, change, now.as_deref(), touched)?,
            // Nobody knows where the row was.
            (None, None) => self.rebuild(touched.iter().copied(), table, "a change does not say where its row was"),
        }
        if change.op == Op::Upsert && after.is_none() {
            // The source did not send the values of now: the row may belong to any document.
            self.rebuild(touched.iter().copied(), table, "a change does not say where its row is now");
        }
        Ok(())
    }

    /// The values of before, of a row that was read for some document.
    fn recorded(
        &mut self,
        rows: &str,
        relation: RelationNumber,
        change: &Change,
        now: Option<&[u8]>,
        touched: &[IndexNumber],
    ) -> Result<(), StateError> {
        let row = encoding::key(&change.key);
        let values = self.links.parents(rows, std::slice::from_ref(&row))?.pop().unwrap_or_default();
        let ended: Vec<&[u8]> = values.iter().map(Vec::as_slice).filter(|values| Some(*values) != now).collect();
        if !ended.is_empty() {
            let links = ended.into_iter().map(|values| (row.as_slice(), values));
            self.ended.push(RowLinks { relation: rows.to_owned(), packed: packed(links) });
        }
        for values in values {
            self.lookup(relation, Some(values), touched);
        }
        Ok(())
    }

    fn lookup(&mut self, relation: RelationNumber, values: Option<Vec<u8>>, touched: &[IndexNumber]) {
        let Some(values) = values else { return };
        let lookup = (Lookup { relation, values }, touched.to_vec());
        if !touched.is_empty() && self.seen.insert(lookup.clone()) {
            self.resolved.touched.push(Touched::Lookup(lookup.0, lookup.1));
        }
    }
}

/// The indexes whose documents a change of a row can touch: those that read a column that was changed.
fn touched_indexes(table: &Table, change: &Change) -> Vec<IndexNumber> {
    let changed = change.changed.as_ref();
    let touches = |read: &HashSet<u32>| {
        !read.is_empty() && changed.is_none_or(|changed| changed.iter().any(|place| read.contains(place)))
    };
    let indexes = table.read_by.iter().enumerate().filter(|(_, read)| touches(read));
    indexes.map(|(index, _)| u32::try_from(index).unwrap_or(u32::MAX)).collect()
}

/// How many documents one answer names.
pub(super) fn documents_an_answer(max: Option<u32>) -> usize {
    let asked = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(limits::state::DOCUMENTS_OF_LOOKUP);
    asked.clamp(1, limits::state::DOCUMENTS_OF_LOOKUP)
}
