//! Which documents a batch of changes touches: the resolver of `flusso-resolve` over this session.

use crate::catalog::table::Table;
use crate::documents::builder::{DocumentBuilder, Index, MadeOf};
use crate::documents::lookup::{PgLookup, facts};
use crate::error::{Error, Result};
use crate::links::{self, Asked, LinkTable, Named};
use crate::protocol::session::CALL;
use flusso_documents::Followed;
use flusso_plugin::{Affected, Change, TableName};
use flusso_resolve::{Documents, Relation, Resolver, Touched};

/// Documents in the first answer to a batch, at most.
const FIRST: usize = 8192;

impl DocumentBuilder {
    /// A whole batch: the first of the documents, and a cursor if there are very many.
    pub fn touched(&mut self, changes: &[Change]) -> Result<Affected> {
        self.session.within(CALL);
        self.release()?;
        let (indexes, session) = (&self.indexes, &mut self.session);
        let mut lookup = PgLookup { session, tables: &|name| table(indexes, name) };
        let table = self.links.as_mut().map(|table| &mut **table as &mut dyn LinkTable);
        let mut asked = Asked { table, relations: &self.followed };
        let Touched { mut affected, ended } = self.resolver.resolve(changes, FIRST, &mut lookup, &mut asked)?;
        links::ended(&mut affected, ended, &self.followed);
        Ok(affected)
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

impl DocumentBuilder {
    /// Lays out anew how rows lead to documents, and which links are read beside them. What was followed once goes on being
    /// followed, so that what is remembered has no gaps.
    pub(super) fn connect(&mut self) -> Result<()> {
        let resolver = resolver(&self.indexes, self.manages)?;
        let (mut named, mut relations) = (Vec::new(), Vec::new());
        if self.links.is_some() {
            for relation in resolver.relations() {
                let Some(table) = table(&self.indexes, &relation.table) else { continue };
                let name = Named::of(&relation, table)?;
                if !relation.followed && !self.kept.contains(&name.name) {
                    continue;
                }
                self.kept.insert(name.name.clone());
                relations.push(Followed {
                    relation: relation.number,
                    table: flusso_documents::Table { schema: table.schema.clone(), name: table.name.clone() },
                    columns: relation.columns,
                    key: relation.key,
                });
                named.push(name);
            }
        }
        let numbers: Vec<u32> = named.iter().map(|relation| relation.number).collect();
        for index in &mut self.indexes {
            index.follow(&relations)?;
        }
        self.resolver = resolver.following(&numbers);
        self.followed = named;
        Ok(())
    }
}

/// The resolver of some indexes. `manages`: the replica identity of tables is seen to before anything is followed.
pub(super) fn resolver(indexes: &[Index], manages: bool) -> Result<Resolver> {
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
    let tables = indexes.iter().flat_map(|index| index.known.tables());
    let facts: Vec<_> = tables.map(|table| facts(table, manages)).collect();
    Resolver::new(&documents, &facts).map_err(|problem| Error::configuration("index", problem.to_string()))
}

fn table<'a>(indexes: &'a [Index], name: &TableName) -> Option<&'a Table> {
    indexes.iter().find_map(|index| index.known.table(&name.schema, &name.name))
}
