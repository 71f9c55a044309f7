//! What a source has to watch, and where documents are rooted.

use crate::network::Resolver;
use flusso_plugin::{Affected, Scope, TableInterest, TableNumber};

/// Asks the source to say which of the columns read an update changed (`changed` in a change's `extra`).
const CHANGED: &str = r#"{"changed":true}"#;

impl Resolver {
    /// The tables, each once; their places are their numbers. Links that are part of the key are not listed among the
    /// links: the key tells them.
    pub fn interest(&self) -> Vec<TableInterest> {
        self.tables
            .iter()
            .map(|table| {
                // Where a table stands at one place, an update that matters to none is dropped by the source already.
                let several = table.nodes.len() > 1 && table.reads.is_some();
                TableInterest {
                    table: table.facts.name.clone(),
                    key: table.facts.key.clone(),
                    links: table.links.clone(),
                    reads: table.reads.clone(),
                    extra: several.then(|| CHANGED.to_owned()),
                }
            })
            .collect()
    }

    /// One scope an index: the table of its root.
    pub fn scopes(&self) -> Vec<Scope> {
        let roots = self.nodes.iter().filter(|node| node.parent.is_none());
        roots.map(|node| Scope { index: node.index, root: number(node.table), extra: None }).collect()
    }

    /// What changes when tables changed their shape: every index that reads one of them.
    pub fn reshaped(&self, tables: &[TableNumber]) -> Affected {
        let reads = self.nodes.iter().filter(|node| tables.contains(&number(node.table)));
        let mut rebuild: Vec<u32> = reads.map(|node| node.index).collect();
        rebuild.sort_unstable();
        rebuild.dedup();
        Affected { ids: Vec::new(), more: None, rebuild, clear: Vec::new(), extra: None }
    }
}

fn number(table: usize) -> TableNumber {
    TableNumber::try_from(table).unwrap_or(TableNumber::MAX)
}
