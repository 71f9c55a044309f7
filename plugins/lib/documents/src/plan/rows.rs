//! The plan of documents that are the rows of one table, every column under its own name.

use super::{Body, Cell, Content, Grouping, Link, Node, Piece, Plan, Source, Table, scalar_cell};
use crate::catalogue::Column;
use crate::render::quoted;

/// Rows of a table as documents.
pub fn rows_of_table(table: Table, key: &[String], columns: &[(String, Column)]) -> Plan {
    let (mut cells, mut pieces) = (Vec::new(), Vec::new());
    for (name, column) in columns {
        let mut before = vec![if cells.is_empty() { b'{' } else { b',' }];
        quoted(name.as_bytes(), &mut before);
        before.push(b':');
        cells.push(scalar_cell::cell(name, column));
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Value {
            cell: cells.len(),
            render: scalar_cell::natural(column.form),
            none: b"null".to_vec(),
        });
    }
    pieces.push(Piece::Text(b"}".to_vec()));
    let mut places = Vec::with_capacity(key.len());
    for name in key {
        let plain = Cell::plain(name);
        let at = cells.iter().position(|cell| *cell == plain).unwrap_or_else(|| {
            cells.push(plain);
            cells.len() - 1
        });
        places.push(at + 1);
    }
    let alike = |name: &String| columns.iter().any(|(column, of)| column == name && of.alike.is_some());
    let link = Link {
        columns: key.to_vec(),
        through: None,
        values: key.iter().map(|column| (table.clone(), column.clone())).collect(),
        grouping: match key {
            [one] if alike(one) => Grouping::Text,
            _ => Grouping::Number,
        },
    };
    let node = Node {
        path: String::new(),
        table,
        key: key.to_vec(),
        source: Source::Documents,
        link,
        filters: Vec::new(),
        deleted: None,
        order: Vec::new(),
        limit: None,
        content: Content::Rows { cells, body: Body(pieces) },
        link_cells: Vec::new(),
    };
    Plan { nodes: vec![node], key: places }
}
