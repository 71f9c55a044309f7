//! From a schema and a catalogue to a plan. Every table, column and type is checked on the way; problems are collected.

use super::scalar::{self, Written};
use super::{Body, Cell, Content, Deleted, Grouping, Link, Node, Piece, Plan, Problem, Source, Table, Through};
use crate::form::{Catalogue, Column, Form};
use crate::render::quoted;
use flusso_schema::{
    Aggregate, AggregateLink, AggregateOp, Field, FieldKind, Filter, Geo, Identifier, Join, Key, Link as SchemaLink,
    OrderBy, Schema, SoftDelete, TableName,
};

impl Plan {
    /// The plan of a schema's documents.
    ///
    /// # Errors
    ///
    /// Tables and columns that are not there, and types that do not fit.
    pub fn of_schema(schema: &Schema, catalogue: &impl Catalogue) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler { catalogue, nodes: Vec::new(), problems: Vec::new() };
        let key = compiler.root(schema);
        match compiler.problems.is_empty() {
            true => Ok(Self { nodes: compiler.nodes, key }),
            false => Err(compiler.problems),
        }
    }
}

struct Compiler<'c, C> {
    catalogue: &'c C,
    nodes: Vec<Node>,
    problems: Vec<Problem>,
}

/// The row whose fields are being compiled.
struct Row<'s> {
    node: usize,
    table: &'s TableName,
    key: Vec<String>,
    cells: Vec<Cell>,
    pieces: Vec<Piece>,
    /// Nodes of aggregates over the same rows.
    reduced: Vec<(&'s Aggregate, usize)>,
}

impl Row<'_> {
    /// The place of a cell in the row, asked for once however often it is used.
    fn cell(&mut self, cell: Cell) -> usize {
        let at = self.cells.iter().position(|known| *known == cell).unwrap_or_else(|| {
            self.cells.push(cell);
            self.cells.len() - 1
        });
        at + 1
    }

    /// Bytes as they are; those that meet become one piece.
    fn text(&mut self, text: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Text(before)) => before.extend_from_slice(text),
            _ => self.pieces.push(Piece::Text(text.to_vec())),
        }
    }
}

impl<C: Catalogue> Compiler<'_, C> {
    fn root(&mut self, schema: &Schema) -> Vec<usize> {
        let table = &schema.table;
        let Some(catalogued) = self.table("table", table) else { return Vec::new() };
        let key = match &schema.primary_key {
            Key::Declared(columns) => names(columns),
            Key::FromCatalogue if catalogued.is_empty() => {
                self.problem(
                    "primary_key",
                    format!(
                        "the table {table} has no primary key, so its documents have no names; write `primary_key`"
                    ),
                );
                return Vec::new();
            }
            Key::FromCatalogue => catalogued,
        };
        let link = self.link("primary_key", table, &key, table, &key);
        self.filters("filters", table, &schema.filters);
        let deleted = match &schema.soft_delete {
            SoftDelete::Never => None,
            SoftDelete::Marked { column, when } => {
                self.filters("soft_delete.when", table, when);
                self.column("soft_delete.column", table, column.as_str()).map(|found| Deleted {
                    column: column.to_string(),
                    boolean: found.form == Form::Boolean,
                    when: when.clone(),
                })
            }
        };
        let node = self.node(Node {
            path: String::new(),
            table: table.into(),
            key: key.clone(),
            source: Source::Documents,
            link,
            filters: schema.filters.clone(),
            deleted,
            order: Vec::new(),
            limit: None,
            content: Content::Aggregates(Vec::new()),
        });
        let mut row = Row { node, table, key: key.clone(), cells: Vec::new(), pieces: Vec::new(), reduced: Vec::new() };
        let key = key.into_iter().map(|column| row.cell(Cell::plain(column))).collect();
        self.fields(&mut row, "", &schema.fields);
        self.close(row);
        key
    }

    fn fields<'s>(&mut self, row: &mut Row<'s>, prefix: &str, fields: &'s [Field]) {
        for (at, field) in fields.iter().enumerate() {
            let mut name = vec![if at == 0 { b'{' } else { b',' }];
            quoted(field.key.as_bytes(), &mut name);
            name.push(b':');
            row.text(&name);
            self.field(row, &format!("{prefix}{}", field.key), &field.kind);
        }
        row.text(b"}");
    }

    fn field<'s>(&mut self, row: &mut Row<'s>, path: &str, kind: &'s FieldKind) {
        match kind {
            FieldKind::Scalar(scalar) => {
                let Some(column) = self.column(path, row.table, scalar.column.as_str()) else { return };
                if let Some(message) = scalar::misfit(scalar, &column) {
                    self.problem(path, message);
                    return;
                }
                let Written { cell, render, none } = scalar::written(scalar, &column);
                let cell = row.cell(cell);
                row.pieces.push(Piece::Value { cell, render, none });
            }
            FieldKind::Geo(Geo::Pair { lat, lon, .. }) => {
                for column in [lat, lon] {
                    if self
                        .column(path, row.table, column.as_str())
                        .is_some_and(|found| !matches!(found.form, Form::Integer | Form::Number))
                    {
                        self.problem(path, format!("`{column}` holds no numbers, so it is no coordinate"));
                    }
                }
                let (lat, lon) = (row.cell(Cell::plain(lat.as_str())), row.cell(Cell::plain(lon.as_str())));
                row.pieces.push(Piece::Point { lat, lon });
            }
            FieldKind::Geo(Geo::Single { column, .. }) => self.whole(row, path, column),
            FieldKind::Map(map) => {
                if self
                    .column(path, row.table, map.column.as_str())
                    .is_some_and(|found| !matches!(found.form, Form::Json | Form::Structured))
                {
                    self.problem(path, format!("`{}` is no json column, so it is no map", map.column));
                }
                self.whole(row, path, &map.column);
            }
            FieldKind::Object(members) => self.fields(row, &format!("{path}."), members),
            FieldKind::Constant(value) => row.text(value.to_string().as_bytes()),
            FieldKind::Join(join) => self.join(row, path, join),
            FieldKind::Aggregate(one) => self.aggregate(row, path, one),
        }
    }

    /// A column as its own type shows it.
    fn whole(&mut self, row: &mut Row<'_>, path: &str, column: &Identifier) {
        let Some(found) = self.column(path, row.table, column.as_str()) else { return };
        let cell = row.cell(scalar::cell(column.as_str(), &found));
        row.pieces.push(Piece::Value { cell, render: scalar::natural(found.form), none: b"null".to_vec() });
    }

    fn join<'s>(&mut self, row: &mut Row<'s>, path: &str, join: &'s Join) {
        let table = &join.table;
        if self.table(path, table).is_none() {
            return;
        }
        let key = names(&join.primary_key);
        let at = |sibling: &str| format!("{path}.{sibling}");
        let (source, link, limit) = match &join.link {
            SchemaLink::BelongsTo { column, .. } => {
                let column = names(column);
                let link = self.link(&at("column"), table, &key, row.table, &column);
                (self.from_row(row, &column), link, None)
            }
            SchemaLink::HasOne { foreign_key, .. } => {
                let link = self.link(&at("foreign_key"), table, &names(foreign_key), row.table, &row.key);
                // A key without an order is taken to be unique; with one, the first is meant.
                (self.from_key(row), link, (!join.order_by.is_empty()).then_some(1))
            }
            SchemaLink::HasMany { foreign_key, limit } => {
                let link = self.link(&at("foreign_key"), table, &names(foreign_key), row.table, &row.key);
                (self.from_key(row), link, *limit)
            }
            SchemaLink::ManyToMany { through, limit } => {
                let link = self.through(&at("through"), through, table, &key, row);
                (self.from_key(row), link, *limit)
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
        });
        let mut inner = Row { node, table, key, cells: Vec::new(), pieces: Vec::new(), reduced: Vec::new() };
        self.fields(&mut inner, &format!("{path}."), &join.fields);
        self.close(inner);
        row.pieces.push(if join.is_to_many() { Piece::Many { node } } else { Piece::One { node } });
    }

    fn aggregate<'s>(&mut self, row: &mut Row<'s>, path: &str, one: &'s Aggregate) {
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
                let source = self.from_key(row);
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
                });
                row.reduced.push((one, node));
                node
            }
        };
        let Some(Content::Aggregates(reductions)) = self.nodes.get_mut(node).map(|node| &mut node.content) else {
            return;
        };
        let (reduction, render, none) = scalar::reduced(&one.op, column.as_ref());
        reductions.push(reduction);
        row.pieces.push(Piece::Reduced { node, cell: reductions.len(), render, none });
        if let Some(message) = column.and_then(|column| scalar::irreducible(&one.op, &column)) {
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
            if right.len() != far_key.len() {
                self.problem(
                    path,
                    format!("`right_key` has {} columns, the primary key of {far} has {}", right.len(), far_key.len()),
                );
            }
        }
        let link = self.link(path, table, &left, row.table, &row.key);
        Link { through: Some(Through { table: table.into(), right }), ..link }
    }

    /// Which columns equal which, and whether their texts tell.
    fn link(&mut self, path: &str, table: &TableName, columns: &[String], from: &TableName, values: &[String]) -> Link {
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

    fn from_row(&self, row: &mut Row<'_>, columns: &[String]) -> Source {
        let cells = columns.iter().map(|column| row.cell(Cell::plain(column))).collect();
        Source::Rows { node: row.node, cells }
    }

    /// The key of the row at hand: that of the root is known before the row is.
    fn from_key(&self, row: &mut Row<'_>) -> Source {
        if row.node == 0 { Source::Documents } else { self.from_row(row, &row.key.clone()) }
    }

    fn filters(&mut self, path: &str, table: &TableName, filters: &[Filter]) {
        for column in filters.iter().filter_map(Filter::column) {
            self.column(path, table, column.as_str());
        }
    }

    /// The key of a table that is there.
    fn table(&mut self, path: &str, table: &TableName) -> Option<Vec<String>> {
        let key = self.catalogue.key(table);
        if key.is_none() {
            self.problem(
                path,
                format!("there is no table {table} that this role may see; correct the name, or create it"),
            );
        }
        key
    }

    fn column(&mut self, path: &str, table: &TableName, column: &str) -> Option<Column> {
        let found = self.catalogue.column(table, column);
        if found.is_none() && self.catalogue.key(table).is_some() {
            let there = self.catalogue.columns(table).join(", ");
            self.problem(path, format!("the table {table} has no column `{column}`; it has {there}"));
        }
        found
    }

    fn node(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn close(&mut self, row: Row<'_>) {
        if let Some(node) = self.nodes.get_mut(row.node) {
            node.content = Content::Rows { cells: row.cells, body: Body(row.pieces) };
        }
    }

    fn problem(&mut self, key: &str, message: String) {
        let problem = Problem { key: key.to_owned(), message };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

fn names(columns: &[Identifier]) -> Vec<String> {
    columns.iter().map(ToString::to_string).collect()
}
