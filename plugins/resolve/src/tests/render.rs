//! Documents from scratch, row by row: shares nothing with what is tested.

use super::store::{Cells, Store, cell, key_of};
use crate::facts::TableFacts;
use crate::network::Documents;
use flusso_schema::{
    AggregateLink, AggregateOp, Direction, Field, FieldKind, Filter, Identifier, Key, Link, Literal, Schema,
    SoftDelete, TableName, Through,
};
use std::collections::BTreeMap;

/// The documents of an index, by the key of their root row.
pub(super) fn documents(index: &Documents<'_>, facts: &[TableFacts], store: &Store) -> BTreeMap<Vec<i64>, String> {
    let view = View { facts, store };
    match index {
        Documents::Rows(name) => {
            let table = facts.iter().position(|facts| facts.name == **name).unwrap();
            let rows = store.tables[table].values();
            rows.map(|cells| (key_of(&facts[table], cells), format!("{cells:?}"))).collect()
        }
        Documents::Schema(schema) => view.documents(schema),
    }
}

struct View<'a> {
    facts: &'a [TableFacts],
    store: &'a Store,
}

impl View<'_> {
    fn table(&self, name: &TableName) -> usize {
        self.facts
            .iter()
            .position(|facts| facts.name.schema == name.schema.as_str() && facts.name.name == name.name.as_str())
            .unwrap()
    }

    fn documents(&self, schema: &Schema) -> BTreeMap<Vec<i64>, String> {
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
        rows.map(|row| (id(row), self.object(&schema.fields, row, &key))).collect()
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
                            Link::BelongsTo { column, .. } => self.equal(&join.table, &join.primary_key, row, column),
                            Link::HasOne { foreign_key, .. } | Link::HasMany { foreign_key, .. } => {
                                self.equal(&join.table, foreign_key, row, key)
                            }
                            Link::ManyToMany { through, .. } => {
                                self.through(through, &join.table, &join.primary_key, row, key)
                            }
                        };
                        rows.retain(|row| holds(&join.filters, row));
                        let facts = &self.facts[self.table(&join.table)];
                        rows.sort_by_key(|row| {
                            let first: Vec<_> = join
                                .order_by
                                .iter()
                                .map(|order| {
                                    let value = cell(row, order.column.as_str()).unwrap_or(99);
                                    if order.direction == Direction::Desc { -value } else { value }
                                })
                                .collect();
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
                        let parts: Vec<String> =
                            rows.iter().map(|row| self.object(&join.fields, row, &join.primary_key)).collect();
                        format!("[{}]", parts.join(","))
                    }
                    FieldKind::Aggregate(one) => {
                        let facts = &self.facts[self.table(&one.table)];
                        let own: Vec<_> = facts.key.iter().map(|name| super::random::id(name)).collect();
                        let mut rows = match &one.link {
                            AggregateLink::ForeignKey(columns) => self.equal(&one.table, columns, row, key),
                            AggregateLink::Through(through) => self.through(through, &one.table, &own, row, key),
                        };
                        rows.retain(|row| holds(&one.filters, row));
                        match &one.op {
                            AggregateOp::Count => rows.len().to_string(),
                            AggregateOp::Sum { column, .. } => {
                                let sum: i64 = rows.iter().filter_map(|row| cell(row, column.as_str())).sum();
                                sum.to_string()
                            }
                            _ => {
                                let mut ids: Vec<_> = rows.iter().map(|row| key_of(facts, row)).collect();
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
    ) -> Vec<Cells> {
        let junctions = self.equal(&through.table, &through.left_key, row, key);
        junctions.iter().flat_map(|junction| self.equal(far, far_key, junction, &through.right_key)).collect()
    }
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
