//! The link table (`wit/links.wit`): which rows a builder's documents were made of, where the store does not tell.
//!
//! Kept in the state folder's file, so that what a batch ended is removed in the very transaction that stores its
//! confirmation. Everything that reads or changes it happens under one lock, which decides what came first:
//!
//! * a link is added before the documents that it stands for are handed on, and found by every question after that; it is on
//!   disk before any of these documents is written ([`young`]);
//! * a question that came before it, but after the build's moment, makes the build do it over ([`asked`]);
//! * what a batch ended waits in memory for the confirmation, and a build that remembers it meanwhile keeps it ([`ended`]).
//!   After a crash nothing waits any more, the changes come again and end it again.
//!
//! So a link may be there for nothing, and none is missing.

mod asked;
mod block;
mod ended;
mod list;
mod store;
#[cfg(test)]
mod tests;
mod young;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

#[cfg(test)]
use redb::ReadableDatabase as _;
use redb::{Database, WriteTransaction};

use super::state::StateError;
use asked::Asked;
use ended::Ended;
use list::Links;
use store::Relations;
use young::Young;

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
    followed: OnceLock<Vec<String>>,
    open: OnceLock<Table>,
}

impl LinkTable {
    /// Keeps it in a state folder from now on, of at most `limit` bytes.
    pub(super) fn open(&self, database: Arc<Database>, limit: u64) -> Result<Table, StateError> {
        let relations = store::relations(&database)?;
        let memory = Memory { relations, ..Memory::default() };
        let table = Table { database, limit, moment: Arc::default(), memory: Arc::new(Mutex::new(memory)) };
        Ok(self.0.open.get_or_init(|| table).clone())
    }

    /// The table, once its folder is open.
    pub(super) fn get(&self) -> Option<Table> {
        self.0.open.get().cloned()
    }

    /// What this run follows, said once, by its first instance.
    pub(super) fn follow(&self, relations: impl Iterator<Item = String>) {
        self.0.followed.get_or_init(|| {
            let mut relations: Vec<String> = relations.collect();
            relations.sort_unstable();
            relations.dedup();
            relations
        });
    }

    /// What this run follows.
    pub(super) fn followed(&self) -> Vec<String> {
        self.0.followed.get().cloned().unwrap_or_default()
    }
}

impl Memory {
    /// Whether builds have added links that are not on disk.
    pub(super) fn is_waiting(&self) -> bool {
        self.young.len() > 0
    }
}

/// The table in an open folder. Its functions block.
#[derive(Clone)]
pub struct Table {
    database: Arc<Database>,
    limit: u64,
    /// Grows with every question. Beside the lock: whoever asks for it does not wait for what is being written.
    moment: Arc<AtomicU64>,
    memory: Arc<Mutex<Memory>>,
}

/// What is not on disk.
#[derive(Default)]
pub(super) struct Memory {
    relations: Relations,
    asked: Asked,
    ended: Ended,
    young: Young,
}

impl Table {
    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    pub(super) fn moment(&self) -> u64 {
        self.moment.load(Ordering::Acquire)
    }

    /// A question begins, under the lock.
    fn ask(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Adds links; the places of those that were not taken, because their row was asked for since the moment.
    pub(super) fn remember(&self, since: u64, lists: &[RowLinks]) -> Result<Vec<u32>, StateError> {
        let mut memory = self.lock();
        let (mut refused, mut adding, mut place) = (Vec::new(), Links::default(), 0_u32);
        for list in lists {
            let relation = memory.relations.number(&list.relation)?;
            for link in block::links(&list.packed) {
                let (row, link) = link?;
                let row = block::row(relation, row);
                if memory.asked.since(&row, since) {
                    refused.push(place);
                } else {
                    memory.ended.keep(&row, link);
                    adding.push((&row, link));
                }
                place = place.saturating_add(1);
            }
        }
        adding.sort();
        memory.young.add(store::missing(&self.database, adding)?);
        if memory.young.len() > young::MOST {
            let writing = self.database.begin_write()?;
            self.write(&writing, &mut memory)?;
            writing.commit()?;
        }
        Ok(refused)
    }

    /// For each row every link that is remembered of it.
    pub(super) fn parents(&self, relation: &str, rows: &[Vec<u8>]) -> Result<Vec<Vec<Vec<u8>>>, StateError> {
        let mut memory = self.lock();
        let relation = memory.relations.number(relation)?;
        let moment = self.ask();
        let rows: Vec<Vec<u8>> = rows.iter().map(|row| block::row(relation, row)).collect();
        rows.iter().for_each(|row| memory.asked.note(row, moment));
        let mut links = store::find(&self.database, &rows)?;
        for (row, links) in rows.iter().zip(&mut links) {
            links.append(&mut memory.young.of(row));
        }
        Ok(links)
    }

    /// What a batch ended waits for its confirmation; under the number that is returned.
    pub(super) fn end(&self, lists: &[RowLinks], emptied: &[String]) -> Result<u64, StateError> {
        let mut memory = self.lock();
        let ticket = memory.ended.begin();
        for list in lists {
            let relation = memory.relations.number(&list.relation)?;
            for link in block::links(&list.packed) {
                let (row, link) = link?;
                memory.ended.link(ticket, &block::row(relation, row), link);
            }
        }
        for relation in emptied {
            let relation = memory.relations.number(relation)?;
            let moment = self.ask();
            memory.asked.all(relation, moment);
            memory.ended.relation(ticket, relation);
        }
        Ok(ticket)
    }

    /// Within a transaction that stores anything: what builds have added goes with it.
    pub(super) fn write(&self, writing: &WriteTransaction, memory: &mut Memory) -> Result<(), StateError> {
        let links = memory.young.take();
        if links.is_empty() { Ok(()) } else { store::add(writing, &mut memory.relations, &links, self.limit) }
    }

    /// Within the transaction that stores a confirmation: removes what these batches ended, and nothing has kept since.
    pub(super) fn confirm(
        &self,
        writing: &WriteTransaction,
        memory: &mut Memory,
        tickets: &[u64],
    ) -> Result<(), StateError> {
        let (mut links, emptied) = memory.ended.take(tickets);
        links.sort();
        for (relation, kept) in emptied {
            store::empty(writing, relation, &kept)?;
        }
        store::remove(writing, &links)
    }

    /// Within a transaction: forgets the links of all relations but these.
    pub(super) fn retain(
        &self,
        writing: &WriteTransaction,
        memory: &mut Memory,
        names: &[String],
    ) -> Result<(), StateError> {
        for (name, number) in memory.relations.others(names) {
            store::empty(writing, number, &[])?;
            store::drop_name(writing, &name)?;
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
