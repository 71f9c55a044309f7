//! The resolver's side: the old parents of deleted and moved rows, and the links that a batch removed.

use crate::error::{Error, Result};
use crate::links::{LinkRelation, LinkTable, packed};
use flusso_plugin::{Affected, Key, RowLinks};
use flusso_resolve::{Ended, Link, Links};

/// Asks the table.
pub(crate) struct ParentLookup<'a> {
    pub(crate) table: Option<&'a mut dyn LinkTable>,
    pub(crate) relations: &'a [LinkRelation],
}

fn named(relations: &[LinkRelation], number: u32) -> Option<&LinkRelation> {
    relations.iter().find(|relation| relation.number == number)
}

impl Links<Error> for ParentLookup<'_> {
    fn parents(&mut self, relation: u32, rows: &[Key]) -> Result<Vec<Vec<Key>>> {
        let (Some(table), Some(relation)) = (&mut self.table, named(self.relations, relation)) else {
            return Ok(Vec::new());
        };
        let rows: Vec<Vec<u8>> = rows.iter().map(|row| packed::key(row)).collect();
        let damaged =
            || Error::Fatal(format!("the link table is damaged: an entry of {} cannot be decoded", relation.name));
        let links = |links: Vec<Vec<u8>>| links.iter().map(|link| packed::values(link).ok_or_else(damaged)).collect();
        table.parents(&relation.name, &rows)?.into_iter().map(links).collect()
    }
}

/// Fills in what ended.
pub(crate) fn put_ended(affected: &mut Affected, ended: Ended, relations: &[LinkRelation]) {
    let Ended { links, emptied } = ended;
    for Link { relation, row, values } in links {
        let Some(relation) = named(relations, relation) else { continue };
        let at = affected.ended_links.iter().position(|list| list.relation == relation.name).unwrap_or_else(|| {
            let list = RowLinks { relation: relation.name.clone(), packed: Vec::new(), extra: None };
            affected.ended_links.push(list);
            affected.ended_links.len() - 1
        });
        let Some(list) = affected.ended_links.get_mut(at) else { continue };
        for bytes in [packed::key(&row), packed::key(&values)] {
            packed::put_length(bytes.len(), &mut list.packed);
            list.packed.extend_from_slice(&bytes);
        }
    }
    let names = emptied.into_iter().filter_map(|number| Some(named(relations, number)?.name.clone()));
    affected.emptied_relations.extend(names);
}
