//! The lookups of tracked builders, in the same table: which documents looked for which values, and for each document its
//! lookups. A lookup is a record without a link, and a link of the document's record, which it shares with its neighbours:
//!
//! ```text
//! relation  values  document               found by the values of a row that changed
//! index     document ──▶ relation  values  found when the document is built again
//! ```
//!
//! Where the values are the key of the document itself (the items of an order, looked up by the order's number), they lead to it
//! without a record; only that it is so, of a relation and an index, is kept.
//!
//! A lookup is recorded before it is made; one whose values were resolved since the view of its build began is refused, and the
//! document is built again in a new view. What a build no longer looks for is removed with the confirmation of a later batch.

use std::collections::HashMap;

use super::encoding;
use super::link_buffer::LinkBuffer;
use super::{Memory, Table, store};
use crate::plugin::state::StateError;

/// A relation or an index, by its number in this state folder.
pub(in crate::plugin) type RelationNumber = u16;

/// What one document looks for: a relation, and values encoded so that none is the beginning of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::plugin) struct Lookup {
    /// The table and the columns by which it goes.
    pub(in crate::plugin) relation: RelationNumber,
    /// The values of these columns.
    pub(in crate::plugin) values: Vec<u8>,
}

/// A document: the number of its index, and its key, encoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::plugin) struct DocumentKey {
    /// The number under which the index's documents are recorded.
    pub(in crate::plugin) index: RelationNumber,
    /// The key, encoded so that none is the beginning of another.
    pub(in crate::plugin) key: Vec<u8>,
}

/// A lookup of a build.
#[derive(Clone, Debug)]
pub(in crate::plugin) struct DocumentLookup {
    /// What it looks for.
    pub(in crate::plugin) lookup: Lookup,
    /// For which document.
    pub(in crate::plugin) document: DocumentKey,
    /// The values are the document's own key: they lead to it without a record.
    pub(in crate::plugin) by_own_key: bool,
}

/// Some of the documents that looked for something.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Found {
    /// The documents, in an order that stays.
    pub(in crate::plugin) documents: Vec<DocumentKey>,
    /// Where the next ones begin; none: these are all.
    pub(in crate::plugin) more: Option<DocumentKey>,
}

impl Lookup {
    /// Under which its documents stand.
    fn prefix(&self) -> Vec<u8> {
        encoding::row_key(self.relation, &self.values)
    }
}

impl DocumentKey {
    /// Its key in the whole table: the number of its index before its own.
    fn prefix(&self) -> Vec<u8> {
        encoding::row_key(self.index, &self.key)
    }

    /// The row whose links are its lookups. Its last byte is split in two, so that 16 documents with neighbouring keys share a record
    /// and not 256: a record is read whole, and a document may make hundreds of lookups.
    fn row(&self) -> Vec<u8> {
        let mut row = self.prefix();
        if let Some(last) = row.pop() {
            row.extend([last >> 4, last & 15]);
        }
        row
    }
}

/// The two links of a lookup, each with its row.
fn links(lookup: &Lookup, document: &DocumentKey) -> [(Vec<u8>, Vec<u8>); 2] {
    let mut by_values = lookup.prefix();
    by_values.extend_from_slice(&document.prefix());
    [(by_values, Vec::new()), (document.row(), lookup.prefix())]
}

/// The number and the bytes that stand behind a prefix.
fn behind(row: &[u8], prefix: usize) -> Option<(RelationNumber, Vec<u8>)> {
    let (number, bytes) = row.get(prefix..)?.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), bytes.to_vec()))
}

/// The documents that builds which have not ended have recorded lookups for.
#[derive(Default)]
pub(super) struct OpenBuilds(HashMap<Vec<u8>, OpenBuild>);

struct OpenBuild {
    /// When the latest of them began.
    since: u64,
    /// There were several at the same time.
    contested: bool,
    /// Nothing was recorded of the document before: what is recorded now, the build has looked for.
    is_first: bool,
}

/// The end of a build.
struct Ending {
    /// Another was under way at the same time.
    contested: bool,
    /// Nothing was recorded of the document before.
    is_first: bool,
}

impl OpenBuilds {
    /// A build that began when the clock showed `since` records lookups of a document.
    fn recorded(&mut self, document: Vec<u8>, since: u64, is_first: impl FnOnce() -> bool) {
        let new = || OpenBuild { since, contested: false, is_first: is_first() };
        let build = self.0.entry(document).or_insert_with(new);
        build.contested |= build.since != since;
        build.since = build.since.max(since);
    }

    /// A build has ended.
    fn ended(&mut self, document: &[u8], since: u64) -> Ending {
        let Some(build) = self.0.get(document) else { return Ending { contested: false, is_first: false } };
        let ending = Ending { contested: build.contested || build.since != since, is_first: build.is_first };
        if build.since == since {
            self.0.remove(document);
        }
        ending
    }
}

impl Table {
    /// A build begins: what is resolved from now on is later, and so is every build that begins after it.
    pub(in crate::plugin) fn begin_build(&self) -> u64 {
        self.tick()
    }

    /// The number of a relation or an index by its name; stays as long as it is recorded.
    pub(in crate::plugin) fn number(&self, name: &str) -> Result<RelationNumber, StateError> {
        self.lock().relations.number(name)
    }

    /// Records lookups that are about to be made. Returns the places of those that came too late: their values were resolved since
    /// the clock showed `since`, so their documents are to be built in a new view.
    pub(in crate::plugin) fn add_lookups(
        &self,
        since: u64,
        lookups: &[DocumentLookup],
    ) -> Result<Vec<usize>, StateError> {
        let mut memory = self.lock();
        let rows: Vec<_> = lookups.iter().map(|lookup| lookup.document.row()).collect();
        let stored = store::Stored::among(&self.database, rows.iter())?;
        let (mut late, mut adding, mut new) = (Vec::new(), LinkBuffer::default(), LinkBuffer::default());
        for (place, (DocumentLookup { lookup, document, by_own_key }, row)) in lookups.iter().zip(&rows).enumerate() {
            let Memory { relations, open_builds, memtable, .. } = &mut *memory;
            let is_stored = stored.may_have(row);
            if *by_own_key {
                relations.set_by_own_key(lookup.relation, document.index)?;
            } else {
                open_builds.recorded(document.prefix(), since, || !is_stored && !memtable.has(row));
            }
            if memory.lookups.is_after(&lookup.prefix(), since) {
                late.push(place);
                continue;
            }
            if *by_own_key {
                continue;
            }
            // A document whose own record is not there has none under its values either: both come and go together.
            let adding = if is_stored { &mut adding } else { &mut new };
            for (row, link) in links(lookup, document) {
                memory.removals.cancel(&row, &link);
                adding.push((&row, &link));
            }
        }
        new.sort();
        memory.memtable.add(new);
        self.add_sorted(&mut memory, adding)?;
        Ok(late)
    }

    /// Documents that looked for something, at most `max`, from one on. From now on a build that began before is too late to
    /// record the same lookup.
    pub(in crate::plugin) fn documents(
        &self,
        lookup: &Lookup,
        from: Option<&DocumentKey>,
        max: usize,
    ) -> Result<Found, StateError> {
        let mut memory = self.lock();
        let prefix = lookup.prefix();
        if from.is_none() {
            let now = self.tick();
            memory.lookups.record(&prefix, now);
        }
        let start = from.map_or_else(|| prefix.clone(), |from| [prefix.clone(), from.prefix()].concat());
        let mut rows = scan(&store::Reading::begin(&self.database)?, &memory, &prefix, &start, max.saturating_add(1))?;
        let document = |row: &Vec<u8>| behind(row, prefix.len()).map(|(index, key)| DocumentKey { index, key });
        let more = if rows.len() > max { rows.pop().as_ref().and_then(document) } else { None };
        Ok(Found { documents: rows.iter().filter_map(document).collect(), more })
    }

    /// A build of a document has ended that began when the clock showed `since` and looked for these and nothing else: other
    /// lookups of the document go with the confirmation of a later batch. Unless a build that began later has ended already:
    /// the sinks have what that one made. Or unless another one is under way: what is not among these may be its own.
    pub(in crate::plugin) fn replace_lookups(
        &self,
        since: u64,
        built: &[(DocumentKey, Vec<Lookup>)],
    ) -> Result<(), StateError> {
        let mut memory = self.lock();
        let reading = store::Reading::begin(&self.database)?;
        for (document, made) in built {
            let prefix = document.prefix();
            let Ending { contested, is_first } = memory.open_builds.ended(&prefix, since);
            if memory.builds.is_after(&prefix, since) {
                continue;
            }
            memory.builds.record(&prefix, since);
            if contested || is_first {
                continue;
            }
            let row = document.row();
            let mut recorded = reading.links(&row)?;
            recorded.append(&mut memory.memtable.of(&row));
            for (relation, values) in recorded.iter().filter_map(|link| behind(link, 0)) {
                let lookup = Lookup { relation, values };
                if !made.contains(&lookup) {
                    links(&lookup, document).iter().for_each(|(row, link)| memory.removals.add_to_next(row, link));
                }
            }
        }
        Ok(())
    }

    /// Whether documents of an index are looked up by their own keys in a relation: a value of it leads to one more document than
    /// are recorded.
    pub(in crate::plugin) fn goes_by_own_key(&self, relation: RelationNumber, index: RelationNumber) -> bool {
        self.lock().relations.goes_by_own_key(relation, index)
    }
}

/// The rows that begin with a prefix, from one on, in order: at most `max`. Each is longer than the prefix.
fn scan(
    reading: &store::Reading,
    memory: &Memory,
    prefix: &[u8],
    start: &[u8],
    max: usize,
) -> Result<Vec<Vec<u8>>, StateError> {
    let mut rows = reading.scan(prefix, start, max)?;
    let unwritten = memory.memtable.scan(prefix, start, max);
    if !unwritten.is_empty() {
        rows.extend(unwritten);
        rows.sort_unstable_by(|a, b| encoding::record_key(a).cmp(&encoding::record_key(b)));
        rows.dedup();
        rows.truncate(max);
    }
    Ok(rows)
}
