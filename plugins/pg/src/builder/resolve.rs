//! Which documents a batch of changes touches: the resolver of `flusso-resolve` over this session.

use super::{DocumentBuilder, Index, MadeOf};
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::lookup::{PgLookup, facts};
use crate::session::CALL;
use flusso_plugin::{Affected, Change, TableName};
use flusso_resolve::{Documents, NoLinks, Relation, Resolver};

/// Documents in the first answer to a batch, at most.
const FIRST: usize = 8192;

impl DocumentBuilder {
    /// A whole batch: the first of the documents, and a cursor if there are very many.
    pub fn touched(&mut self, changes: &[Change]) -> Result<Affected> {
        self.session.within(CALL);
        self.release()?;
        let (indexes, session) = (&self.indexes, &mut self.session);
        let mut lookup = PgLookup { session, tables: &|name| table(indexes, name) };
        self.resolver.resolve(changes, FIRST, &mut lookup, &mut NoLinks)
    }

    /// What is left of a batch.
    pub fn touched_more(&mut self, cursor: &[u8], max: usize) -> Result<Affected> {
        self.session.within(CALL);
        self.release()?;
        let (indexes, session) = (&self.indexes, &mut self.session);
        let mut lookup = PgLookup { session, tables: &|name| table(indexes, name) };
        self.resolver.resolve_more(cursor, max, &mut lookup)
    }

    /// For each relation, whether a child that goes or moves is followed to where it was.
    pub fn relations(&self) -> Vec<Relation> {
        self.resolver.relations()
    }
}

/// The resolver of some indexes.
pub(super) fn resolver(indexes: &[Index]) -> Result<Resolver> {
    let rows: Vec<Option<TableName>> = indexes
        .iter()
        .map(|index| match &index.made_of {
            MadeOf::Rows { schema, table } => Some(TableName { schema: schema.clone(), name: table.clone() }),
            MadeOf::Schema { .. } => None,
        })
        .collect();
    let documents: Vec<Documents<'_>> = indexes
        .iter()
        .zip(&rows)
        .filter_map(|(index, rows)| match (&index.made_of, rows) {
            (MadeOf::Schema { schema, .. }, _) => Some(Documents::Schema(schema)),
            (MadeOf::Rows { .. }, Some(name)) => Some(Documents::Rows(name)),
            (MadeOf::Rows { .. }, None) => None,
        })
        .collect();
    let facts: Vec<_> = indexes.iter().flat_map(|index| index.known.tables()).map(facts).collect();
    Resolver::new(&documents, &facts).map_err(|problem| Error::configuration("index", problem.to_string()))
}

fn table<'a>(indexes: &'a [Index], name: &TableName) -> Option<&'a Table> {
    indexes.iter().find_map(|index| index.known.table(&name.schema, &name.name))
}
