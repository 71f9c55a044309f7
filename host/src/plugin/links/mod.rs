//! The link table (`wit/links.wit`): the links of the rows that a builder's documents were made of, where the store does not
//! tell the old links of a deleted or moved row. A small log-structured store in the state folder's database:
//!
//! ```text
//! build ──add──▶ memtable ──with the next transaction──▶ records on disk
//! resolve ──parents──▶ memtable and records      resolve ──end──▶ pending_removals ──with the confirmation──▶ records removed
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `memtable` | links that are not on disk yet |
//! | `store` | the records on disk, in the database that also holds the confirmed position |
//! | `encoding` | the format of a record |
//! | `link_buffer` | many links in one allocation |
//! | `lookups` | what the documents of tracked builders looked for, in the same records |
//! | `recent_lookups` | rows whose parents were looked up lately: a build that began before is overtaken |
//! | `pending_removals` | links that a batch ended, until its confirmation |
//!
//! Every read and change happens under one lock, which decides what came first:
//!
//! * A link is added before the documents made of it are handed on, and found by every lookup after that; it is on disk before
//!   any of these documents is written.
//! * A lookup that came before it, but after the build read the clock, makes the build start over.
//! * A removal waits in memory for the confirmation of its batch, in whose transaction it is carried out, and a build that
//!   records the link again cancels it. After a crash no removal is pending: the changes come again and end the link again.
//!
//! So a link may be there for nothing, and none is missing.

mod encoding;
mod link_buffer;
pub(in crate::plugin) mod lookups;
mod memtable;
mod pending_removals;
mod recent_lookups;
mod store;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

#[cfg(test)]
use redb::ReadableDatabase as _;
use redb::{Database, WriteTransaction};

use super::damage::guarded;
use super::state::StateError;
use crate::limits;
pub(in crate::plugin) use encoding::{packed, put_link};
use link_buffer::LinkBuffer;
use lookups::OpenBuilds;
use memtable::Memtable;
use pending_removals::PendingRemovals;
use recent_lookups::RecentLookups;
use store::Relations;

/// Links of some rows of one relation: for each the row's and the link's bytes, each with its length before it (LEB128).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLinks {
    /// The relation's name.
    pub relation: String,
    /// The links.
    pub packed: Vec<u8>,
}

/// The link table of one deployment, as its builder's instances share it: from before the state folder is opened.
#[derive(Clone, Default)]
pub struct LinkTable(Arc<Handle>);

#[derive(Default)]
struct Handle {
    recorded_relations: OnceLock<Vec<String>>,
    open: OnceLock<Table>,
}

impl LinkTable {
    /// Keeps the table in a database, of at most `limit` bytes.
    pub(super) fn open(&self, database: Arc<Database>, path: Arc<Path>, limit: u64) -> Result<Table, StateError> {
        let relations = guarded(&path, || store::relations(&database))?;
        let memory = Memory { relations, ..Memory::default() };
        let table = Table { database, path, limit, clock: Arc::default(), memory: Arc::new(Mutex::new(memory)) };
        Ok(self.0.open.get_or_init(|| table).clone())
    }

    /// The table, once its state folder is open.
    pub(super) fn get(&self) -> Option<Table> {
        self.0.open.get().cloned()
    }

    /// Sets the relations whose links this run records; the first instance of the builder decides.
    pub(super) fn set_recorded_relations(&self, relations: impl Iterator<Item = String>) {
        self.0.recorded_relations.get_or_init(|| {
            let mut relations: Vec<String> = relations.collect();
            relations.sort_unstable();
            relations.dedup();
            relations
        });
    }

    /// The relations whose links this run records.
    pub(super) fn recorded_relations(&self) -> Vec<String> {
        self.0.recorded_relations.get().cloned().unwrap_or_default()
    }
}

impl Memory {
    /// Whether anything is to be written.
    pub(super) fn is_unwritten(&self) -> bool {
        self.memtable.len() > 0 || self.relations.has_unwritten_own_keys()
    }
}

/// The table in an open database. Its functions block.
#[derive(Clone)]
pub struct Table {
    database: Arc<Database>,
    path: Arc<Path>,
    limit: u64,
    /// Grows with every lookup. Beside the lock, so that reading it does not wait for a write to disk.
    clock: Arc<AtomicU64>,
    memory: Arc<Mutex<Memory>>,
}

/// The part of the table that is not on disk.
#[derive(Default)]
pub(super) struct Memory {
    relations: Relations,
    lookups: RecentLookups,
    /// When the latest build of each document began, of those that ended lately.
    builds: RecentLookups,
    open_builds: OpenBuilds,
    removals: PendingRemovals,
    memtable: Memtable,
}

impl Table {
    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls one of the other functions on a thread that may block.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        function: impl FnOnce(&Self) -> Result<R, StateError> + Send + 'static,
    ) -> Result<R, StateError> {
        let table = self.clone();
        let call = move || guarded(&table.path, || function(&table));
        tokio::task::spawn_blocking(call).await.unwrap_or(Err(StateError::Gone))
    }

    /// The clock; read before a build's first read.
    pub(super) fn clock(&self) -> u64 {
        self.clock.load(Ordering::Acquire)
    }

    /// Advances the clock for a lookup, under the lock.
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Adds links. Returns the places of those that were refused, because the parents of their row were looked up since `since`.
    pub(super) fn add(&self, since: u64, lists: &[RowLinks]) -> Result<Vec<u32>, StateError> {
        let mut memory = self.lock();
        let (mut refused, mut adding, mut place) = (Vec::new(), LinkBuffer::default(), 0_u32);
        for list in lists {
            let relation = memory.relations.number(&list.relation)?;
            for link in encoding::unpack(&list.packed) {
                let (row, link) = link?;
                let row = encoding::row_key(relation, row);
                if memory.lookups.is_after(&row, since) {
                    refused.push(place);
                } else {
                    memory.removals.cancel(&row, link);
                    adding.push((&row, link));
                }
                place = place.saturating_add(1);
            }
        }
        self.add_sorted(&mut memory, adding)?;
        Ok(refused)
    }

    /// Adds links to the memtable, and writes it where it is full.
    fn add_sorted(&self, memory: &mut Memory, mut adding: LinkBuffer) -> Result<(), StateError> {
        adding.sort();
        memory.memtable.add(store::missing(&self.database, adding)?);
        if memory.memtable.len() > limits::state::MEMTABLE_LINKS {
            let writing = self.database.begin_write()?;
            self.flush(&writing, memory)?;
            writing.commit()?;
        }
        Ok(())
    }

    /// For each row, every recorded link.
    pub(super) fn parents(&self, relation: &str, rows: &[Vec<u8>]) -> Result<Vec<Vec<Vec<u8>>>, StateError> {
        let mut memory = self.lock();
        let relation = memory.relations.number(relation)?;
        let now = self.tick();
        let rows: Vec<Vec<u8>> = rows.iter().map(|row| encoding::row_key(relation, row)).collect();
        rows.iter().for_each(|row| memory.lookups.record(row, now));
        let mut links = store::find(&self.database, &rows)?;
        for (row, links) in rows.iter().zip(&mut links) {
            links.append(&mut memory.memtable.of(row));
        }
        Ok(links)
    }

    /// Removes what a batch ended once the batch is confirmed; returns the number to confirm it by.
    pub(super) fn end(&self, lists: &[RowLinks], emptied: &[String]) -> Result<u64, StateError> {
        let mut memory = self.lock();
        let batch = memory.removals.new_batch();
        for list in lists {
            let relation = memory.relations.number(&list.relation)?;
            for link in encoding::unpack(&list.packed) {
                let (row, link) = link?;
                memory.removals.add_link(batch, &encoding::row_key(relation, row), link);
            }
        }
        for relation in emptied {
            let relation = memory.relations.number(relation)?;
            let now = self.tick();
            memory.lookups.record_relation(relation, now);
            memory.removals.add_relation(batch, relation);
        }
        Ok(batch)
    }

    /// Writes the memtable within a transaction of the state.
    pub(super) fn flush(&self, writing: &WriteTransaction, memory: &mut Memory) -> Result<(), StateError> {
        let links = memory.memtable.drain();
        if links.is_empty() && !memory.relations.has_unwritten_own_keys() {
            Ok(())
        } else {
            store::add(writing, &mut memory.relations, &links, self.limit)
        }
    }

    /// Within the transaction that stores a confirmation: removes what these batches ended, except links recorded since.
    pub(super) fn confirm(
        &self,
        writing: &WriteTransaction,
        memory: &mut Memory,
        batches: &[u64],
    ) -> Result<(), StateError> {
        let (mut links, emptied) = memory.removals.take_confirmed(batches);
        links.sort();
        for (relation, kept) in emptied {
            store::empty_relation(writing, relation, &kept)?;
        }
        store::remove(writing, &links)
    }

    /// Within a transaction: removes the links of all relations but these.
    pub(super) fn retain(
        &self,
        writing: &WriteTransaction,
        memory: &mut Memory,
        names: &[String],
    ) -> Result<(), StateError> {
        for (name, number) in memory.relations.others(names) {
            store::empty_relation(writing, number, &[])?;
            store::forget_relation(writing, &name)?;
            memory.relations.forget(&name);
        }
        Ok(())
    }

    /// How many bytes of links there are.
    #[cfg(test)]
    pub(super) fn size(&self) -> Result<u64, StateError> {
        store::size(&self.database.begin_read()?)
    }
}
