//! From a schema and a catalogue to a plan. Every table, column and type is checked on the way; problems are collected.

mod relation;

use super::scalar_cell::{self, ScalarCell};
use super::{Body, Cell, Content, Deleted, Misfit, Node, Piece, Plan, Problem, Source};
use crate::catalogue::{Catalogue, Column, Form};
use crate::render::quoted;
use flusso_schema::{Aggregate, Field, FieldKind, Filter, Geo, Identifier, Key, Schema, SoftDelete, TableName};

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
    /// Whether the fields at hand are of the junction's row.
    junction: bool,
}

impl Row<'_> {
    /// The place of a cell in the row, asked for once however often it is used.
    fn cell(&mut self, cell: Cell) -> usize {
        let cell = Cell { junction: self.junction, ..cell };
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
            link_cells: Vec::new(),
        });
        let mut row = Row {
            node,
            table,
            key: key.clone(),
            cells: Vec::new(),
            pieces: Vec::new(),
            reduced: Vec::new(),
            junction: false,
        };
        let key = key.into_iter().map(|column| row.cell(Cell::plain(column))).collect();
        self.fields(&mut row, "", &schema.fields);
        self.close(row);
        key
    }

    fn fields<'s>(&mut self, row: &mut Row<'s>, prefix: &str, fields: &'s [Field]) {
        self.members(row, prefix, fields, b'{');
        row.text(b"}");
    }

    /// The fields of an object that is not closed yet; `before` stands before the first.
    fn members<'s>(&mut self, row: &mut Row<'s>, prefix: &str, fields: &'s [Field], before: u8) {
        for (at, field) in fields.iter().enumerate() {
            if let Some(join) = field.hidden() {
                self.followed(row, &field.key, join);
                continue;
            }
            let mut name = vec![if at == 0 { before } else { b',' }];
            quoted(field.key.as_bytes(), &mut name);
            name.push(b':');
            row.text(&name);
            self.field(row, &format!("{prefix}{}", field.key), &field.kind);
        }
    }

    fn field<'s>(&mut self, row: &mut Row<'s>, path: &str, kind: &'s FieldKind) {
        match kind {
            FieldKind::Scalar(scalar) => {
                let Some(column) = self.column(path, row.table, scalar.column.as_str()) else { return };
                if let Some(message) = scalar_cell::misfit(scalar, &column) {
                    self.problem(path, message);
                    return;
                }
                let ScalarCell { cell, render, none } = scalar_cell::of_field(scalar, &column);
                let cell = row.cell(cell);
                row.pieces.push(Piece::Value { cell, render, none });
            }
            FieldKind::Geo(Geo::Pair { lat, lon, .. }) => {
                let [lat, lon] = [lat, lon].map(|column| {
                    let form = self.column(path, row.table, column.as_str()).map_or(Form::Number, |found| found.form);
                    if !matches!(form, Form::Integer | Form::Number | Form::Tagged) {
                        self.problem(path, format!("`{column}` holds no numbers, so it is no coordinate"));
                    }
                    (row.cell(Cell::plain(column.as_str())), scalar_cell::coordinate(form))
                });
                row.pieces.push(Piece::Point { lat, lon });
            }
            FieldKind::Geo(Geo::Single { column, .. }) => self.whole(row, path, column),
            FieldKind::Map(map) => {
                if self
                    .column(path, row.table, map.column.as_str())
                    .is_some_and(|found| !matches!(found.form, Form::Json | Form::Structured | Form::Tagged))
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
        let cell = row.cell(scalar_cell::cell(column.as_str(), &found));
        row.pieces.push(Piece::Value { cell, render: scalar_cell::natural(found.form), none: b"null".to_vec() });
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
            self.problem_of(
                Misfit::NoTable,
                path,
                format!("there is no table {table} that this role may see; correct the name, or create it"),
            );
        }
        key
    }

    fn column(&mut self, path: &str, table: &TableName, column: &str) -> Option<Column> {
        let found = self.catalogue.column(table, column);
        if found.is_none() && self.catalogue.key(table).is_some() {
            let there = self.catalogue.columns(table);
            let hint = match flusso_schema::nearest(column, there.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", there.join(", ")),
            };
            self.problem_of(Misfit::NoColumn, path, format!("the table {table} has no column `{column}`; {hint}"));
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
        self.problem_of(Misfit::Type, key, message);
    }

    fn problem_of(&mut self, misfit: Misfit, key: &str, message: String) {
        let problem = Problem { misfit, key: key.to_owned(), message };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

fn names(columns: &[Identifier]) -> Vec<String> {
    columns.iter().map(ToString::to_string).collect()
}
