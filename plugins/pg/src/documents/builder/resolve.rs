//! The resolver of `flusso-resolve` over the indexes of this builder, and the relations it follows through the link table.

use crate::catalog::table::Table;
use crate::documents::builder::{DocumentBuilder, DocumentOrigin, Index};
use crate::documents::lookup::facts;
use crate::error::{Error, Result};
use crate::links::LinkRelation;
use flusso_documents::RecordedRelation;
use flusso_plugin::TableName;
use flusso_resolve::{Documents, Relation, Resolver};

impl DocumentBuilder {
    /// For each relation, whether a child that goes or moves is followed to where it was.
    pub fn relations(&self) -> Vec<Relation> {
        self.resolver.relations()
    }

    /// Lays out anew how rows lead to documents, and which links are read beside them. What was followed once goes on being
    /// followed, so that what is remembered has no gaps.
    pub(super) fn connect(&mut self) -> Result<()> {
        let resolver = resolver(&self.indexes, self.manages)?;
        let (mut named, mut relations) = (Vec::new(), Vec::new());
        if self.links.is_some() {
            for relation in resolver.relations() {
                let Some(table) = table(&self.indexes, &relation.table) else { continue };
                let name = LinkRelation::of(&relation, table)?;
                if !relation.followed && !self.kept.contains(&name.name) {
                    continue;
                }
                self.kept.insert(name.name.clone());
                relations.push(RecordedRelation {
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
        .map(|index| match &index.origin_of_documents {
            DocumentOrigin::Rows { schema, table } => Some(TableName { schema: schema.clone(), name: table.clone() }),
            DocumentOrigin::Schema { .. } => None,
        })
        .collect();
    let documents: Vec<Documents<'_>> = indexes
        .iter()
        .zip(&rows)
        .filter_map(|(index, rows)| match (&index.origin_of_documents, rows) {
            (DocumentOrigin::Schema { schema, .. }, _) => Some(Documents::Schema(schema)),
            (DocumentOrigin::Rows { .. }, Some(name)) => Some(Documents::Rows(name)),
            (DocumentOrigin::Rows { .. }, None) => None,
        })
        .collect();
    let tables = indexes.iter().flat_map(|index| index.catalog.tables());
    let facts: Vec<_> = tables.map(|table| facts(table, manages)).collect();
    Resolver::new(&documents, &facts).map_err(|problem| Error::configuration("index", problem.to_string()))
}

pub(super) fn table<'a>(indexes: &'a [Index], name: &TableName) -> Option<&'a Table> {
    indexes.iter().find_map(|index| index.catalog.table(&name.schema, &name.name))
}
