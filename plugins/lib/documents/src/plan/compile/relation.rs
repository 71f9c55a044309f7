//! Joins and aggregates: where their links come from, and what they lead to.

use super::{Compiler, Row, names};
use crate::catalogue::Catalogue;
use crate::plan::{Cell, Content, Grouping, Link, Node, Piece, Source, Table, Through, scalar_cell};
use flusso_schema::{Aggregate, AggregateLink, AggregateOp, Filter, Join, Link as SchemaLink, OrderBy, TableName};

impl<C: Catalogue> Compiler<'_, C> {
    pub(super) fn join<'s>(&mut self, row: &mut Row<'s>, path: &str, join: &'s Join) {
        let table = &join.table;
        if self.table(path, table).is_none() {
            return;
        }
        let key = names(&join.primary_key);
        let at = |sibling: &str| format!("{path}.{sibling}");
        let (source, link, limit) = match &join.link {
            SchemaLink::BelongsTo { column, when, .. } => {
                let column = names(column);
                let link = self.link(&at("column"), table, &key, row.table, &column);
                self.filters(&at("when"), row.table, when);
                (self.cells_of(row, &column, when), link, None)
            }
            SchemaLink::HasOne { foreign_key, .. } => {
                let link = self.link(&at("foreign_key"), table, &names(foreign_key), row.table, &row.key);
                // A key without an order is taken to be unique; with one, the first is meant.
                (self.key_of(row), link, (!join.order_by.is_empty()).then_some(1))
            }
            SchemaLink::HasMany { foreign_key, limit } => {
                let link = self.link(&at("foreign_key"), table, &names(foreign_key), row.table, &row.key);
                (self.key_of(row), link, *limit)
            }
            SchemaLink::ManyToMany { through, limit } => {
                let link = self.through(&at("through"), through, table, &key, row);
                (self.key_of(row), link, *limit)
            }
        };
        self.filters(&at("filters"), table, &join.filters);
        for order in &join.order_by {
            self.column(&at("order_by"), table, order.column.as_str());
        }
        for column in &key {
            self.column(&at("primary_key"), table, column);
        }
        let node = self.node(Node {
            path: path.to_owned(),
            table: table.into(),
            key: key.clone(),
            source,
            link,
            filters: join.filters.clone(),
            deleted: None,
            order: join.order_by.clone(),
            limit,
            content: Content::Aggregates(Vec::new()),
            link_cells: Vec::new(),
        });
        let (cells, pieces, reduced) = (Vec::new(), Vec::new(), Vec::new());
        let mut inner = Row { node, table, key, cells, pieces, reduced, junction: false };
        let below = format!("{path}.");
        self.members(&mut inner, &below, &join.fields, b'{');
        if let SchemaLink::ManyToMany { through, .. } = &join.link {
            (inner.table, inner.junction) = (&through.table, true);
            self.members(&mut inner, &below, &through.fields, b',');
            (inner.table, inner.junction) = (table, false);
        }
        inner.text(b"}");
        self.close(inner);
        row.pieces.push(if join.is_to_many() { Piece::Many { node } } else { Piece::One { node } });
    }

    pub(super) fn aggregate<'s>(&mut self, row: &mut Row<'s>, path: &str, one: &'s Aggregate) {
        let Some(key) = self.table(path, &one.table) else { return };
        let column = one.op.column().map(|column| self.column(path, &one.table, column.as_str()));
        let column = match column {
            Some(None) => return,
            Some(Some(column)) => Some(column),
            None => None,
        };
        if matches!(one.op, AggregateOp::Ids { .. }) && key.len() != 1 {
            self.problem(
                path,
                format!("`ids` lists primary keys of one column, and that of {} has {}", one.table, key.len()),
            );
            return;
        }
        let same = |known: &&(&Aggregate, usize)| {
            known.0.table == one.table && known.0.link == one.link && known.0.filters == one.filters
        };
        let node = match row.reduced.iter().find(same) {
            Some((_, node)) => *node,
            None => {
                let link = match &one.link {
                    AggregateLink::ForeignKey(columns) => {
                        self.link(&format!("{path}.foreign_key"), &one.table, &names(columns), row.table, &row.key)
                    }
                    AggregateLink::Through(through) => {
                        self.through(&format!("{path}.through"), through, &one.table, &key, row)
                    }
                };
                self.filters(&format!("{path}.filters"), &one.table, &one.filters);
                let source = self.key_of(row);
                let node = self.node(Node {
                    path: path.to_owned(),
                    table: (&one.table).into(),
                    key,
                    source,
                    link,
                    filters: one.filters.clone(),
                    deleted: None,
                    order: Vec::<OrderBy>::new(),
                    limit: None,
                    content: Content::Aggregates(Vec::new()),
                    link_cells: Vec::new(),
                });
                row.reduced.push((one, node));
                node
            }
        };
        let Some(Content::Aggregates(reductions)) = self.nodes.get_mut(node).map(|node| &mut node.content) else {
            return;
        };
        let (reduction, render, none) = scalar_cell::reduced(&one.op, column.as_ref());
        reductions.push(reduction);
        row.pieces.push(Piece::Reduced { node, cell: reductions.len(), render, none });
        if let Some(message) = column.and_then(|column| scalar_cell::irreducible(&one.op, &column)) {
            self.problem(path, message);
        }
    }

    fn through(
        &mut self,
        path: &str,
        through: &flusso_schema::Through,
        far: &TableName,
        far_key: &[String],
        row: &Row<'_>,
    ) -> Link {
        let table = &through.table;
        let (left, right) = (names(&through.left_key), names(&through.right_key));
        if self.table(path, table).is_some() {
            for column in &right {
                self.column(path, table, column);
            }
            self.filters(&format!("{path}.filters"), table, &through.filters);
            for order in &through.order_by {
                self.column(&format!("{path}.order_by"), table, order.column.as_str());
            }
            if right.len() != far_key.len() {
                self.problem(
                    path,
                    format!("`right_key` has {} columns, the primary key of {far} has {}", right.len(), far_key.len()),
                );
            }
        }
        let link = self.link(path, table, &left, row.table, &row.key);
        let (filters, order) = (through.filters.clone(), through.order_by.clone());
        Link { through: Some(Through { table: table.into(), right, filters, order }), ..link }
    }

    /// Which columns equal which, and whether their texts tell.
    pub(super) fn link(
        &mut self,
        path: &str,
        table: &TableName,
        columns: &[String],
        from: &TableName,
        values: &[String],
    ) -> Link {
        if columns.len() != values.len() {
            self.problem(path, format!("{} columns are compared with {}; name as many", columns.len(), values.len()));
        }
        let mut grouping = if columns.len() == 1 { Grouping::Text } else { Grouping::Number };
        for (column, value) in columns.iter().zip(values) {
            let (column, value) = (self.column(path, table, column), self.column(path, from, value));
            let (Some(column), Some(value)) = (column, value) else { continue };
            if column.alike.is_none() || column.alike != value.alike {
                grouping = Grouping::Number;
            }
        }
        let values = values.iter().map(|column| (Table::from(from), column.clone())).collect();
        Link { columns: columns.to_vec(), through: None, values, grouping }
    }

    /// Cells of the row at hand, null where a condition on it does not hold.
    fn cells_of(&self, row: &mut Row<'_>, columns: &[String], when: &[Filter]) -> Source {
        let cell = |column: &String| Cell { when: when.to_vec(), ..Cell::plain(column) };
        let cells = columns.iter().map(|column| row.cell(cell(column))).collect();
        Source::Rows { node: row.node, cells }
    }

    /// The key of the row at hand: that of the root is known before the row is.
    fn key_of(&self, row: &mut Row<'_>) -> Source {
        if row.node == 0 { Source::Documents } else { self.cells_of(row, &row.key.clone(), &[]) }
    }

    /// An entry of `follow` directly under the root: it is checked, and nothing is fetched for it.
    pub(super) fn followed(&mut self, row: &Row<'_>, path: &str, join: &Join) {
        let (columns, values) = match &join.link {
            SchemaLink::BelongsTo { column, .. } => (names(&join.primary_key), names(column)),
            SchemaLink::HasOne { foreign_key, .. } | SchemaLink::HasMany { foreign_key, .. } => {
                (names(foreign_key), row.key.clone())
            }
            SchemaLink::ManyToMany { through, .. } => (names(&through.left_key), row.key.clone()),
        };
        let by_key = values == row.key;
        let linked = match &join.link {
            SchemaLink::ManyToMany { through, .. } => &through.table,
            _ => &join.table,
        };
        self.follow_link(path, linked, &columns, row.table, &values);
        // A row that has gone from a view cannot be looked up there: its document is named by the link's own values.
        for (column, value) in columns.iter().zip(&values).filter(|_| by_key) {
            let (Some(there), Some(here)) =
                (self.catalogue.column(linked, column), self.catalogue.column(row.table, value))
            else {
                continue;
            };
            if there.alike.is_none() || there.alike != here.alike {
                self.problem(
                    path,
                    format!(
                        "{linked}.{column} and the key {}.{value} are of types that do not name the same document; cast one to the type of the other",
                        row.table
                    ),
                );
            }
        }
        self.followed_below(path, join);
    }

    fn followed_below(&mut self, path: &str, join: &Join) {
        let key = names(&join.primary_key);
        if let SchemaLink::ManyToMany { through, .. } = &join.link {
            self.follow_link(path, &join.table, &key, &through.table, &names(&through.right_key));
        }
        for field in &join.fields {
            let (Some(below), path) = (field.hidden(), format!("{path}.{}", field.key)) else { continue };
            match &below.link {
                SchemaLink::BelongsTo { column, .. } => {
                    self.follow_link(&path, &below.table, &names(&below.primary_key), &join.table, &names(column));
                }
                SchemaLink::HasOne { foreign_key, .. } | SchemaLink::HasMany { foreign_key, .. } => {
                    self.follow_link(&path, &below.table, &names(foreign_key), &join.table, &key);
                }
                SchemaLink::ManyToMany { through, .. } => {
                    self.follow_link(&path, &through.table, &names(&through.left_key), &join.table, &key);
                }
            }
            self.followed_below(&path, below);
        }
    }

    /// Both ends are there, and as wide as each other.
    fn follow_link(&mut self, path: &str, table: &TableName, columns: &[String], from: &TableName, values: &[String]) {
        if self.table(path, table).is_some() {
            self.link(path, table, columns, from, values);
        }
    }
}
