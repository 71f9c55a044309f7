//! What has to be fetched for documents, and how it is rendered: a tree of nodes as a list, parents before children.

mod compile;
mod link_reads;
mod rows;
mod scalar_cell;

pub use link_reads::{LinkCells, RecordedRelation};
pub use rows::rows_of_table;
pub(crate) use scalar_cell::typed;

use crate::render::Render;
use flusso_schema::{AggregateOp, Filter, OrderBy, Transform};
use std::fmt;

/// The plan of one kind of document.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The root first.
    pub nodes: Vec<Node>,
    /// Which cells of a root row hold the document's key.
    pub key: Vec<usize>,
}

/// A table by its names, in the store's own case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

/// Rows to fetch: those of one table that belong to some links.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where in the document they show, parts joined by `.`; empty for the root.
    pub path: String,
    /// The table.
    pub table: Table,
    /// The columns that name one row of it.
    pub key: Vec<String>,
    /// Where the values of the link come from.
    pub source: Source,
    /// How rows are found.
    pub link: Link,
    /// All must hold for a row to count.
    pub filters: Vec<Filter>,
    /// Rows that do not count although the filters hold; only at the root.
    pub deleted: Option<Deleted>,
    /// The order of the rows of one link; the key decides last. Means nothing for aggregates, and where a link leads to one
    /// row.
    pub order: Vec<OrderBy>,
    /// At most this many rows a link.
    pub limit: Option<u64>,
    /// What is wanted of them.
    pub content: Content,
    /// Which links are read beside it ([`Plan::follow`]).
    pub link_cells: Vec<LinkCells>,
}

/// Where the values of a link come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The keys of the documents; known before anything is fetched.
    Documents,
    /// Cells of the rows of another node.
    Rows {
        /// The node.
        node: usize,
        /// Its cells.
        cells: Vec<usize>,
    },
}

/// How the rows of a node are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The columns that equal the values: of the node's table, or of the junction.
    pub columns: Vec<String>,
    /// The junction, if there is one.
    pub through: Option<Through>,
    /// The columns that the values come from, in the same order: their types are those of the values.
    pub values: Vec<(Table, String)>,
    /// What the first cell of each row says.
    pub grouping: Grouping,
}

/// A junction between the links and the node's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// Its table.
    pub table: Table,
    /// Its columns that equal the node's key.
    pub right: Vec<String>,
    /// All must hold for a row of it to count.
    pub filters: Vec<Filter>,
    /// The order of the node's rows by its columns, before the node's own.
    pub order: Vec<OrderBy>,
}

/// How a row says which link it belongs to: in its first cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// The text of its one link column.
    Text,
    /// The number of the link, counted from 1.
    Number,
}

/// Which rows count as deleted: the mark is set and all of `when` holds. What is null does not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Deleted {
    /// The mark.
    pub column: String,
    /// Whether it is a boolean, set when true; any other is set when not null.
    pub boolean: bool,
    /// Conditions beside it.
    pub when: Vec<Filter>,
}

/// What is wanted of the rows of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Cells of each row; they stand after the first, which is the grouping's.
    Rows {
        /// The cells.
        cells: Vec<Cell>,
        /// How a row is rendered.
        body: Body,
    },
    /// Values over all rows of a link, one row a link that has any.
    Aggregates(Vec<Reduction>),
}

/// A cell of a row: a column, and what is done to it where it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The column.
    pub column: String,
    /// Done to its text, in this order.
    pub transforms: Vec<Transform>,
    /// Read in the column's type where the column is null.
    pub default: Option<String>,
    /// Asked for as JSON.
    pub json: bool,
    /// A column of the junction, not of the node's table.
    pub junction: bool,
    /// Conditions on its row: null where one does not hold.
    pub when: Vec<Filter>,
}

/// A value over the rows of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduction {
    /// What is computed.
    pub op: AggregateOp,
    /// Asked for as JSON.
    pub json: bool,
}

/// How a row becomes JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Body(pub(crate) Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// Bytes as they are.
    Text(Vec<u8>),
    /// A cell of the row, or `none`.
    Value { cell: usize, render: Render, none: Vec<u8> },
    /// Two cells as a point; null if one is.
    Point { lat: (usize, Render), lon: (usize, Render) },
    /// The first row of a node, or null.
    One { node: usize },
    /// All rows of a node.
    Many { node: usize },
    /// A cell of the one row of a node of aggregates, or `none`.
    Reduced { node: usize, cell: usize, render: Render, none: Vec<u8> },
}

/// In which way a schema does not fit the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// There is no such table.
    NoTable,
    /// There is no such column.
    NoColumn,
    /// It is there, and is not what it would have to be.
    Type,
}

/// Why a schema does not fit the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing it is.
    pub misfit: Misfit,
    /// The field, parts joined by `.`, or another key of the file.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Plan {
    /// Whether documents are made of root rows alone.
    pub fn is_flat(&self) -> bool {
        self.nodes.len() == 1
    }

    /// Every table it reads, each once.
    pub fn tables(&self) -> Vec<&Table> {
        let mut tables: Vec<&Table> = Vec::new();
        for node in &self.nodes {
            for table in
                [Some(&node.table), node.link.through.as_ref().map(|through| &through.table)].into_iter().flatten()
            {
                if !tables.contains(&table) {
                    tables.push(table);
                }
            }
        }
        tables
    }
}

impl Node {
    /// How many cells its rows have, the grouping's among them.
    pub fn width(&self) -> usize {
        1 + match &self.content {
            Content::Rows { cells, .. } => cells.len(),
            Content::Aggregates(reductions) => reductions.len(),
        }
    }
}

impl Cell {
    /// A column as it is.
    pub fn plain(column: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            transforms: Vec::new(),
            default: None,
            json: false,
            junction: false,
            when: Vec::new(),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.schema, self.name)
    }
}

impl From<&flusso_schema::TableName> for Table {
    fn from(name: &flusso_schema::TableName) -> Self {
        Self { schema: name.schema.to_string(), name: name.name.to_string() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for Problem {}
