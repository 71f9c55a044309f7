//! Documents from scratch, row by row: shares nothing with what is tested.

use super::store::{Cells, Store, cell, key_of};
use crate::graph::Documents;
use crate::table_info::TableInfo;
use flusso_schema::{
    AggregateLink, AggregateOp, Direction, Field, FieldKind, Filter, Identifier, Key, Link, Literal, OrderBy, Schema,
    SoftDelete, TableName, Through,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A document, and the links of the rows that it was made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    pub(super) body: String,
    pub(super) reads: BTreeSet<Read>,
}

/// The links of a row: its table, the columns, its key, what they hold.
pub(super) type Read = (usize, Vec<String>, Vec<i64>, Vec<i64>);

/// The documents of an index, by the key of their root row.
pub(super) fn documents(index: &Documents<'_>, facts: &[TableInfo], store: &Store) -> BTreeMap<Vec<i64>, Document> {
    let view = View { facts, store, reads: RefCell::default() };
    match index {
        Documents::Rows(name) => {
            let table = facts.iter().position(|facts| facts.name == **name).unwrap();
            let rows = store.tables[table].values();
            let document = |cells| Document { body: format!("{cells:?}"), reads: BTreeSet::new() };
            rows.map(|cells| (key_of(&facts[table], cells), document(cells))).collect()
        }
        Documents::Schema(schema) => view.documents(schema),
    }
}

struct View<'a> {
    facts: &'a [TableInfo],
    store: &'a Store,
    reads: RefCell<BTreeSet<Read>>,
}

impl View<'_> {
    /// A row is part of the document at hand, and leads up by these columns.
    fn read(&self, table: &TableName, columns: &[Identifier], row: &Cells) {
        let table = self.table(table);
        let names = columns.iter().map(ToString::to_string).collect();
        let values = columns.iter().map(|column| cell(row, column.as_str()).unwrap()).collect();
        self.reads.borrow_mut().insert((table, names, key_of(&self.facts[table], row), values));
    }

    fn table(&self, name: &TableName) -> usize {
        self.facts
            .iter()
            .position(|facts| facts.name.schema == name.schema.as_str() && facts.name.name == name.name.as_str())
            .unwrap()
    }

    fn documents(&self, schema: &Schema) -> BTreeMap<Vec<i64>, Document> {
        let table = self.table(&schema.table);
        let key: Vec<Identifier> = match &schema.primary_key {
            Key::Declared(columns) => columns.clone(),
            Key::FromCatalogue => self.facts[table].key.iter().map(|name| super::random::id(name)).collect(),
        };
        let gone = |cells: &Cells| match &schema.soft_delete {
            SoftDelete::Never => false,
            SoftDelete::Marked { column, when } => cell(cells, column.as_str()).is_some() && holds(when, cells),
        };
        let rows = self.store.tables[table].values().filter(|row| holds(&schema.filters, row) && !gone(row));
        let id = |row: &Cells| key.iter().map(|column| cell(row, column.as_str()).unwrap()).collect();
        let document = |row: &Cells| {
            self.read(&schema.table, &key, row);
            let body = self.object(&schema.fields, row, &key);
            (id(row), Document { body, reads: self.reads.take() })
        };
        rows.map(document).collect()
    }

    fn object(&self, fields: &[Field], row: &Cells, key: &[Identifier]) -> String {
        let members: Vec<String> = fields
            .iter()
            .map(|field| {
                let value = match &field.kind {
                    FieldKind::Scalar(scalar) => format!("{:?}", cell(row, scalar.column.as_str())),
                    FieldKind::Object(members) => self.object(members, row, key),
                    FieldKind::Join(join) => {
                        let mut rows = match &join.link {
                            Link::BelongsTo { when, .. } if !holds(when, row) => Vec::new(),
                            Link::BelongsTo { column, .. } => {
                                alone(self.equal(&join.table, &join.primary_key, row, column))
                            }
                            Link::HasOne { foreign_key, .. } | Link::HasMany { foreign_key, .. } => {
                                alone(self.equal(&join.table, foreign_key, row, key))
                            }
                            Link::ManyToMany { through, .. } => {
                                self.through(through, &join.table, &join.primary_key, row, key)
                            }
                        };
                        rows.retain(|(_, row)| holds(&join.filters, row));
                        let facts = &self.facts[self.table(&join.table)];
                        rows.sort_by_key(|(junction, row)| {
                            let value = |row: &Cells, order: &OrderBy| {
                                let value = cell(row, order.column.as_str()).unwrap_or(99);
                                if order.direction == Direction::Desc { -value } else { value }
                            };
                            let mut first: Vec<_> = match (&join.link, junction) {
                                (Link::ManyToMany { through, .. }, Some(junction)) => {
                                    through.order_by.iter().map(|order| value(junction, order)).collect()
                                }
                                _ => Vec::new(),
                            };
                            first.extend(join.order_by.iter().map(|order| value(row, order)));
                            let declared: Vec<_> =
                                join.primary_key.iter().map(|column| cell(row, column.as_str())).collect();
                            (first, declared, key_of(facts, row))
                        });
                        let most = match &join.link {
                            Link::BelongsTo { .. } | Link::HasOne { .. } => 1,
                            Link::HasMany { limit, .. } | Link::ManyToMany { limit, .. } => {
                                limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap())
                            }
                        };
                        rows.truncate(most);
                        for (junction, row) in &rows {
                            match (&join.link, junction) {
                                (Link::ManyToMany { through, .. }, Some(junction)) => {
                                    self.read(&through.table, &through.left_key, junction);
                                    self.read(&join.table, &join.primary_key, row);
                                }
                                (Link::HasOne { foreign_key, .. } | Link::HasMany { foreign_key, .. }, _) => {
                                    self.read(&join.table, foreign_key, row);
                                }
                                _ => self.read(&join.table, &join.primary_key, row),
                            }
                        }
                        let part = |(junction, row): &Row| {
                            let own = self.object(&join.fields, row, &join.primary_key);
                            match (&join.link, junction) {
                                (Link::ManyToMany { through, .. }, Some(junction)) => {
                                    own + &self.object(&through.fields, junction, &through.left_key)
                                }
                                _ => own,
                            }
                        };
                        let parts: Vec<String> = rows.iter().map(part).collect();
                        format!("[{}]", parts.join(","))
                    }
                    FieldKind::Aggregate(one) => {
                        let facts = &self.facts[self.table(&one.table)];
                        let own: Vec<_> = facts.key.iter().map(|name| super::random::id(name)).collect();
                        let mut rows = match &one.link {
                            AggregateLink::ForeignKey(columns) => alone(self.equal(&one.table, columns, row, key)),
                            AggregateLink::Through(through) => self.through(through, &one.table, &own, row, key),
                        };
                        rows.retain(|(_, row)| holds(&one.filters, row));
                        for (junction, row) in &rows {
                            match (&one.link, junction) {
                                (AggregateLink::Through(through), Some(junction)) => {
                                    self.read(&through.table, &through.left_key, junction);
                                    self.read(&one.table, &own, row);
                                }
                                (AggregateLink::ForeignKey(columns), _) => self.read(&one.table, columns, row),
                                (AggregateLink::Through(_), None) => panic!("a junction"),
                            }
                        }
                        match &one.op {
                            AggregateOp::Count => rows.len().to_string(),
                            AggregateOp::Sum { column, .. } => {
                                let sum: i64 = rows.iter().filter_map(|(_, row)| cell(row, column.as_str())).sum();
                                sum.to_string()
                            }
                            _ => {
                                let mut ids: Vec<_> = rows.iter().map(|(_, row)| key_of(facts, row)).collect();
                                ids.sort();
                                format!("{ids:?}")
                            }
                        }
                    }
                    other => panic!("{other:?}"),
                };
                format!("{}:{value}", field.key)
            })
            .collect();
        format!("{{{}}}", members.join(","))
    }

    /// The rows of a table whose columns equal those of a row.
    fn equal(&self, table: &TableName, theirs: &[Identifier], row: &Cells, ours: &[Identifier]) -> Vec<Cells> {
        let same = |other: &&Cells| {
            theirs.iter().zip(ours).all(|(their, our)| {
                let value = cell(other, their.as_str());
                value.is_some() && value == cell(row, our.as_str())
            })
        };
        self.store.tables[self.table(table)].values().filter(same).copied().collect()
    }

    fn through(
        &self,
        through: &Through,
        far: &TableName,
        far_key: &[Identifier],
        row: &Cells,
        key: &[Identifier],
    ) -> Vec<Row> {
        let junctions = self.equal(&through.table, &through.left_key, row, key);
        let rows = |junction: &Cells| self.equal(far, far_key, junction, &through.right_key);
        let junctions = junctions.iter().filter(|junction| holds(&through.filters, junction));
        junctions.flat_map(|junction| rows(junction).into_iter().map(|row| (Some(*junction), row))).collect()
    }
}

/// A row, and the row of the junction that leads to it.
type Row = (Option<Cells>, Cells);

fn alone(rows: Vec<Cells>) -> Vec<Row> {
    rows.into_iter().map(|row| (None, row)).collect()
}

fn holds(filters: &[Filter], row: &Cells) -> bool {
    filters.iter().all(|filter| match filter {
        Filter::Raw(_) => cell(row, "e") == Some(1),
        Filter::IsNotNull { column } => cell(row, column.as_str()).is_some(),
        Filter::Compare { column, value: Literal::Number(number), .. } => {
            cell(row, column.as_str()).is_some_and(|value| value.to_string() != *number)
        }
        other => panic!("{other:?}"),
    })
}
