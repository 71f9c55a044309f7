//! What a source has to watch, and where documents are rooted.

use crate::graph::Resolver;
use flusso_plugin::{Affected, Scope, TableInterest, TableNumber, affected};

impl Resolver {
    /// The tables, each once; their places are their numbers. Links that are part of the key are not listed among the
    /// links: the key tells them. Behind them stand tables once more whose documents are named by other columns than the
    /// primary key's, or in another order: places for scopes to name, from which no change comes.
    pub fn interest(&self) -> Vec<TableInterest> {
        let tables = self.tables.iter().map(|table| {
            // Where a table stands at one place, an update that matters to none is dropped by the source already.
            let several = table.nodes.len() > 1 && table.reads.is_some();
            TableInterest {
                table: table.facts.name.clone(),
                key: table.facts.key.clone(),
                links: table.links.clone(),
                reads: table.reads.clone(),
                wants_changed: several,
                extra: None,
            }
        });
        let named = self.renamed().into_iter().filter_map(|(table, key)| {
            let table = self.tables.get(table)?.facts.name.clone();
            let (links, reads) = (Vec::new(), Some(Vec::new()));
            Some(TableInterest { table, key: key.to_vec(), links, reads, wants_changed: false, extra: None })
        });
        tables.chain(named).collect()
    }

    /// One scope an index: the table of its root, with the key that names its documents. What it remembers is not filled in.
    pub fn scopes(&self) -> Vec<Scope> {
        let renamed = self.renamed();
        let roots = self.nodes.iter().filter(|node| node.parent.is_none());
        roots
            .map(|node| {
                let place = renamed.iter().position(|(table, key)| (*table, *key) == (node.table, &node.from));
                let root = place.map_or(node.table, |place| self.tables.len() + place);
                Scope { index: node.index, root: number(root), recorded_relations: Vec::new(), extra: None }
            })
            .collect()
    }

    /// Roots by a key that is not the primary key, each once.
    fn renamed(&self) -> Vec<(usize, &Vec<String>)> {
        let mut renamed = Vec::new();
        for node in self.nodes.iter().filter(|node| node.parent.is_none()) {
            let by_key = self.tables.get(node.table).is_some_and(|table| table.facts.key == node.from);
            if !by_key && !renamed.contains(&(node.table, &node.from)) {
                renamed.push((node.table, &node.from));
            }
        }
        renamed
    }

    /// What changes when the columns of tables change: every index that reads one of them.
    pub fn resolve_table_changes(&self, tables: &[TableNumber]) -> Affected {
        let reads = self.nodes.iter().filter(|node| tables.contains(&number(node.table)));
        let mut rebuild: Vec<u32> = reads.map(|node| node.index).collect();
        rebuild.sort_unstable();
        rebuild.dedup();
        Affected { rebuild, ..affected(Vec::new()) }
    }
}

fn number(table: usize) -> TableNumber {
    TableNumber::try_from(table).unwrap_or(TableNumber::MAX)
}
