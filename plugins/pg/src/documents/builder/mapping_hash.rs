//! The hash of a mapping covers everything that decides what the same rows render to, and the identity of the tables: a table
//! that was dropped and recreated, or renamed to the name of another, has other rows under the same name.

use crate::catalog::table::Table;
use crate::documents::builder::{DocumentOrigin, Index};
use crate::error::Result;
use flusso_documents::Content;

/// Change when the same row would render to other bytes.
const ROWS: &str = "rows-1";
const DOCUMENTS: &str = "documents-1";

/// An index's hash.
pub(super) fn of(index: &Index) -> Result<String> {
    let mut hash = Hash::default();
    match &index.origin_of_documents {
        DocumentOrigin::Rows { schema, table } => {
            hash.add(ROWS);
            if let Some(table) = index.catalog.table(schema, table) {
                rows(table, &mut hash);
            }
        }
        DocumentOrigin::Schema { schema, .. } => {
            hash.add(DOCUMENTS);
            hash.add(&schema.hash());
            for table in index.bare.tables() {
                hash.add(&index.catalog.of_plan(table)?.oid.to_string());
            }
            for node in &index.bare.nodes {
                let table = index.catalog.of_plan(&node.table)?;
                let junction =
                    node.link.through.as_ref().map(|through| index.catalog.of_plan(&through.table)).transpose()?;
                node.key.iter().for_each(|name| hash.add(name));
                let columns: Vec<(&Table, &str)> = match &node.content {
                    Content::Rows { cells, .. } => {
                        let of = |junctions: bool| junction.filter(|_| junctions).unwrap_or(table);
                        cells.iter().map(|cell| (of(cell.junction), cell.column.as_str())).collect()
                    }
                    Content::Aggregates(all) => {
                        all.iter().filter_map(|one| Some((table, one.op.column()?.as_str()))).collect()
                    }
                };
                for (table, name) in columns {
                    hash.add(name);
                    hash.add(&table.column(name)?.declared);
                }
            }
        }
    }
    Ok(hash.text())
}

fn rows(table: &Table, hash: &mut Hash) {
    hash.add(&table.oid.to_string());
    hash.add(&table.schema);
    hash.add(&table.name);
    table.key.iter().for_each(|name| hash.add(name));
    hash.add("");
    for column in &table.columns {
        hash.add(&column.name);
        hash.add(&column.declared);
        hash.add(&column.type_name);
    }
}

/// FNV-1a of 128 bits.
struct Hash(u128);

impl Default for Hash {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Hash {
    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    fn text(&self) -> String {
        format!("{:032x}", self.0)
    }
}
