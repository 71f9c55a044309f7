//! What is left to do, as bytes that any instance can go on from: documents found and not handed out, values not looked up,
//! and questions with the place their answers have reached.

use crate::graph::Resolver;
use crate::key::{Reader, number, write_key};
use crate::lookup::Pair;
use crate::propagation::{Frontier, Group};
use flusso_plugin::Key;

/// These bytes are no cursor of the resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is damaged: the batch has to be resolved again")]
pub struct Unreadable;

/// What a cursor turned out to be.
pub(crate) enum Found {
    /// Frontier to go on with.
    Frontier(Frontier),
    /// A cursor of another network: schemas or tables changed since.
    Foreign,
}

impl Resolver {
    /// Writes down what is left.
    pub(crate) fn cursor(&self, work: &Frontier) -> Vec<u8> {
        let mut out = self.print.to_le_bytes().to_vec();
        number(work.found.len(), &mut out);
        for (id, _) in &work.found {
            out.extend_from_slice(&id.index.to_le_bytes());
            write_key(&id.key, &mut out);
        }
        number(work.fresh.len(), &mut out);
        work.fresh.iter().for_each(|group| write_group(group, &mut out));
        number(work.unfinished.len(), &mut out);
        for (group, after) in &work.unfinished {
            write_group(group, &mut out);
            write_key(&after.from, &mut out);
            write_key(&after.to, &mut out);
        }
        out
    }

    /// Reads it again.
    pub(crate) fn parse(&self, bytes: &[u8]) -> Result<Found, Unreadable> {
        let mut reader = Reader(bytes);
        let print = u64::from_le_bytes(reader.eight().ok_or(Unreadable)?);
        if print != self.print {
            return Ok(Found::Foreign);
        }
        self.work(&mut reader).filter(|_| reader.0.is_empty()).map(Found::Frontier).ok_or(Unreadable)
    }

    fn work(&self, reader: &mut Reader<'_>) -> Option<Frontier> {
        let mut work = Frontier::default();
        let found = reader.list(|reader| Some((u32::try_from(reader.number()?).ok()?, reader.key()?)))?;
        // They go first, whatever is found now.
        for (index, key) in found {
            work.document(index, key, 0);
        }
        work.fresh = reader.list(|reader| self.group(reader))?;
        work.unfinished = reader.list(|reader| {
            let group = self.group(reader)?;
            Some((group, Pair { from: reader.key()?, to: reader.key()? }))
        })?;
        Some(work)
    }

    fn group(&self, reader: &mut Reader<'_>) -> Option<Group> {
        let mut group = Group::new(reader.number()?);
        let width = self.entries.get(group.entry)?.by.len();
        let values: Vec<Key> = reader.list(Reader::key)?;
        for (rank, values) in (0..).zip(values) {
            if values.len() != width {
                return None;
            }
            group.add(values, rank);
        }
        Some(group)
    }
}

fn write_group(group: &Group, out: &mut Vec<u8>) {
    number(group.entry, out);
    number(group.values.len(), out);
    group.values.iter().for_each(|values| write_key(values, out));
}
