//! The calls a builder passes on: a batch, and what is left of one.

use crate::cursor::Found;
use crate::graph::Resolver;
use crate::links::{Links, Touched};
use crate::lookup::Lookup;
use crate::propagation::Frontier;
use flusso_plugin::{Affected, Change, affected};

impl Resolver {
    /// Which documents a whole batch of changes touches; about the first `max` of them, and a cursor if there are more.
    ///
    /// # Errors
    ///
    /// Those of the lookups and of the links.
    pub fn resolve<L: Lookup>(
        &self,
        changes: &[Change],
        max: usize,
        lookup: &mut L,
        links: &mut dyn Links<L::Error>,
    ) -> Result<Touched, L::Error> {
        let (work, whole) = self.begin(changes, links)?;
        let mut affected = self.go_on(work, max, lookup)?;
        affected.rebuild = whole.rebuild.into_iter().collect();
        affected.clear = whole.clear.into_iter().collect();
        Ok(Touched { affected, ended: whole.ended })
    }

    /// Goes on from a cursor, with at most `max` documents. A cursor of before a change of schemas or tables can no longer be
    /// followed: every index is built again.
    ///
    /// # Errors
    ///
    /// Those of the lookups, and [`Lookup::unreadable`].
    pub fn resolve_more<L: Lookup>(&self, cursor: &[u8], max: usize, lookup: &mut L) -> Result<Affected, L::Error> {
        match self.parse(cursor).map_err(|error| lookup.unreadable(error))? {
            Found::Frontier(work) => self.go_on(work, max, lookup),
            Found::Foreign => {
                let rebuild = self.scopes().into_iter().map(|scope| scope.index).collect();
                Ok(Affected { rebuild, ..affected(Vec::new()) })
            }
        }
    }

    fn go_on<L: Lookup>(&self, mut work: Frontier, max: usize, lookup: &mut L) -> Result<Affected, L::Error> {
        let max = max.max(1);
        self.run(&mut work, max, lookup)?;
        work.found.sort_by_key(|(_, rank)| *rank);
        let rest = work.found.split_off(work.found.len().min(max));
        let ids = std::mem::replace(&mut work.found, rest).into_iter().map(|(id, _)| id).collect();
        let more = if work.found.is_empty() && work.is_done() { None } else { Some(self.cursor(&work)) };
        Ok(Affected { more, ..affected(ids) })
    }
}
