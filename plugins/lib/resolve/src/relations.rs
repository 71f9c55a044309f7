//! For each relation: whether a child that is deleted or moved is followed to where it was, and what would help.

use crate::graph::Resolver;
use crate::table_info::Identity;
use flusso_plugin::TableName;

/// A relation: the rows of a table, and the columns by which they lead up to documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    /// Its number, for [`crate::Links`].
    pub number: u32,
    /// The table.
    pub table: TableName,
    /// The columns.
    pub columns: Vec<String>,
    /// Those of the table's primary key.
    pub key: Vec<String>,
    /// Where its rows show: index and path.
    pub paths: Vec<(u32, String)>,
    /// Which way it goes.
    pub tracing: Tracing,
    /// Whether its links are asked of a link table.
    pub followed: bool,
}

/// How the old links of a changed or deleted row are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracing {
    /// Exact: the columns belong to the primary key, which every change carries.
    Key,
    /// Exact: the replica identity covers them. `whole`: because it is the whole row, which costs log.
    Identity {
        /// Whether it is `FULL`.
        whole: bool,
    },
    /// Not told. Exact with a link table alone; or after the statement, where one helps.
    Untold {
        /// What the owner of the table can run.
        remedy: Option<String>,
    },
}

impl Tracing {
    /// Whether the store tells the old links.
    pub fn is_exact(&self) -> bool {
        !matches!(self, Self::Untold { .. })
    }
}

impl Resolver {
    /// Every relation, by its number.
    pub fn relations(&self) -> Vec<Relation> {
        let relation = |(number, (table, columns)): (u32, &(usize, Vec<String>))| {
            let facts = &self.tables.get(*table)?.facts;
            let nodes: Vec<_> = self.nodes.iter().filter(|node| node.relation == Some(number)).collect();
            let generated = columns.iter().any(|column| facts.column(column).is_some_and(|found| found.generated));
            let tracing = if columns.iter().all(|column| facts.key.contains(column)) {
                Tracing::Key
            } else if nodes.iter().all(|node| node.exact) {
                Tracing::Identity { whole: facts.identity == Identity::Full }
            } else {
                Tracing::Untold { remedy: (!generated).then(|| full_identity(&facts.name)) }
            };
            let paths =
                nodes.iter().flat_map(|node| node.paths.iter().map(|path| (node.index, path.clone()))).collect();
            let followed = nodes.iter().any(|node| node.followed);
            let (table, columns, key) = (facts.name.clone(), columns.clone(), facts.key.clone());
            Some(Relation { number, table, columns, key, paths, tracing, followed })
        };
        (0..).zip(&self.relations).filter_map(relation).collect()
    }
}

/// The statement that makes the store tell whole old rows of a table. A partitioned table wants it for each partition, too.
pub fn full_identity(table: &TableName) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("ALTER TABLE {}.{} REPLICA IDENTITY FULL", quoted(&table.schema), quoted(&table.name))
}
