//! Links that are read beside the documents, for the link table: the key of a row, and the link values that it holds.

use super::{Body, Cell, Content, Grouping, Node, Plan, Table};

/// A relation whose links are wanted: rows of a table, and the columns by which they lead up to documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRelation {
    /// Its number.
    pub relation: u32,
    /// The table.
    pub table: Table,
    /// The columns.
    pub columns: Vec<String>,
    /// The columns that tell its rows apart.
    pub key: Vec<String>,
}

/// Where the links of a relation stand in the rows of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkCells {
    /// The relation.
    pub relation: u32,
    /// The cells of the row's key.
    pub row: Vec<usize>,
    /// The cells of its links.
    pub links: Vec<usize>,
}

impl Plan {
    /// Reads the links of these relations beside the documents. Where rows are only counted or added up, and no other node
    /// fetches them, a node of their own does. Documents stay the same.
    pub fn follow(&mut self, relations: &[RecordedRelation]) {
        for number in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(number) else { continue };
            let wanted = node.followed(relations);
            if wanted.is_empty() {
                continue;
            }
            if let Content::Rows { .. } = node.content {
                wanted.into_iter().for_each(|(relation, junction)| self.track(number, relation, junction));
                continue;
            }
            if self.nodes.iter().any(|other| other.fetches(node)) {
                continue;
            }
            let content = Content::Rows { cells: Vec::new(), body: Body::default() };
            let alone = Node { content, order: Vec::new(), link_cells: Vec::new(), ..node.clone() };
            let place = self.nodes.len();
            self.nodes.push(alone);
            wanted.into_iter().for_each(|(relation, junction)| self.track(place, relation, junction));
        }
    }

    fn track(&mut self, number: usize, relation: &RecordedRelation, junction: bool) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        // The first cell of a row is its link, but for the root's.
        let first = number > 0 && node.link.grouping == Grouping::Text && node.link.columns == relation.columns;
        let first = first && junction == node.link.through.is_some();
        let row = relation.key.iter().map(|column| node.cell(column, junction)).collect();
        let links = match first {
            true => vec![0],
            false => relation.columns.iter().map(|column| node.cell(column, junction)).collect(),
        };
        node.link_cells.push(LinkCells { relation: relation.relation, row, links });
    }
}

impl Node {
    /// The relations whose rows it fetches, and whether they are those of its junction.
    fn followed<'r>(&self, relations: &'r [RecordedRelation]) -> Vec<(&'r RecordedRelation, bool)> {
        let (link, key) = (&self.link.columns, &self.key);
        let of = |table: &Table, columns: &Vec<String>, junction| {
            relations
                .iter()
                .find(|relation| relation.table == *table && relation.columns == *columns)
                .map(|relation| (relation, junction))
        };
        match &self.link.through {
            None => of(&self.table, link, false).into_iter().collect(),
            Some(through) => {
                [of(&through.table, link, true), of(&self.table, key, false)].into_iter().flatten().collect()
            }
        }
    }

    /// Whether it fetches every row that another is about.
    fn fetches(&self, other: &Self) -> bool {
        matches!(self.content, Content::Rows { .. })
            && (&self.table, &self.source, &self.link, &self.key)
                == (&other.table, &other.source, &other.link, &other.key)
            && self.limit.is_none()
            && (self.filters.is_empty() || self.filters == other.filters)
    }

    /// The place of a column's cell, which is asked for once however often it is used.
    fn cell(&mut self, column: &str, junction: bool) -> usize {
        let Content::Rows { cells, .. } = &mut self.content else { return 0 };
        let wanted = Cell { junction, ..Cell::plain(column) };
        let at = cells.iter().position(|cell| *cell == wanted).unwrap_or_else(|| {
            cells.push(wanted);
            cells.len() - 1
        });
        at + 1
    }
}
