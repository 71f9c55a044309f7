//! Random schemas: every kind of join and aggregate, over any tables, with any columns that fit.

use super::store::COLUMNS;
use crate::table_info::TableInfo;
use flusso_schema::{
    Aggregate, AggregateLink, AggregateOp, Comparison, Direction, Field, FieldKind, Filter, Identifier, Join, Key,
    LeafType, Link, Literal, OrderBy, Scalar, ScalarType, Schema, SoftDelete, TableName, Through,
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// SplitMix64.
#[derive(Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Values of which few exist, so that they meet.
    pub(super) fn small(&mut self) -> i64 {
        i64::try_from(self.below(4)).unwrap()
    }

    pub(super) fn pick<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        let at = self.below(list.len());
        &list[at]
    }
}

pub(super) fn id(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

fn table(facts: &TableInfo) -> TableName {
    TableName { schema: id(&facts.name.schema), name: id(&facts.name.name) }
}

/// A schema over these tables.
pub(super) fn schema(random: &mut Random, facts: &[TableInfo]) -> Schema {
    let root = random.pick(facts);
    let mut key: Vec<Identifier> = root.key.iter().map(|name| id(name)).collect();
    if random.one_in(3) {
        key.reverse();
    }
    // Now and then documents are named by other columns than the primary key's.
    if key.len() == 1 && random.one_in(4) {
        key.insert(0, id("k"));
    }
    let primary_key = if random.one_in(3) { Key::FromCatalogue } else { Key::Declared(key.clone()) };
    let held = if primary_key == Key::FromCatalogue { root.key.iter().map(|name| id(name)).collect() } else { key };
    let soft_delete = if random.one_in(4) {
        SoftDelete::Marked { column: id("e"), when: filters(random, 3) }
    } else {
        SoftDelete::Never
    };
    Schema {
        table: table(root),
        primary_key,
        soft_delete,
        filters: filters(random, 4),
        fields: fields(random, facts, &held, 3),
    }
}

fn filters(random: &mut Random, rare: usize) -> Vec<Filter> {
    if !random.one_in(rare) {
        return Vec::new();
    }
    let column = id(random.pick::<&str>(&["d", "e", "f", "h"]));
    vec![match random.below(7) {
        0 => Filter::Raw("e = 1".into()),
        1 => Filter::IsNotNull { column },
        _ => Filter::Compare { column, op: Comparison::Neq, value: Literal::Number(random.small().to_string()) },
    }]
}

fn columns(random: &mut Random, count: usize) -> Vec<Identifier> {
    let mut list: Vec<&str> = COLUMNS.to_vec();
    if !random.one_in(8) {
        list.pop();
    }
    (0..count).map(|_| id(list.remove(random.below(list.len())))).collect()
}

fn fields(random: &mut Random, facts: &[TableInfo], key: &[Identifier], depth: usize) -> Vec<Field> {
    let count = 1 + random.below(3);
    (0..count)
        .map(|at| {
            let kind = if depth == 0 || random.one_in(3) { scalar(random) } else { related(random, facts, key, depth) };
            Field { key: format!("n{at}"), kind, options: BTreeMap::new() }
        })
        .collect()
}

fn order(random: &mut Random) -> Vec<OrderBy> {
    match random.below(3) {
        0 => vec![OrderBy { column: id(random.pick::<&str>(&["d", "h"])), direction: Direction::Desc }],
        _ => Vec::new(),
    }
}

fn scalar(random: &mut Random) -> FieldKind {
    let column = columns(random, 1).remove(0);
    let ty = ScalarType::Leaf(LeafType::Long);
    FieldKind::Scalar(Scalar { column, ty, nullable: true, transforms: Vec::new(), default: Json::Null })
}

fn related(random: &mut Random, facts: &[TableInfo], key: &[Identifier], depth: usize) -> FieldKind {
    let target = random.pick(facts).clone();
    let own_key: Vec<Identifier> = target.key.iter().map(|name| id(name)).collect();
    // Now and then joined by other columns than the key.
    let primary_key = if random.one_in(6) { columns(random, 1) } else { own_key.clone() };
    let through = |random: &mut Random, right: usize| Through {
        table: table(random.pick(facts)),
        left_key: columns(random, key.len()),
        right_key: columns(random, right),
        filters: filters(random, 4),
        order_by: order(random),
        fields: match random.one_in(3) {
            true => vec![Field { key: "j".into(), kind: scalar(random), options: BTreeMap::new() }],
            false => Vec::new(),
        },
    };
    let join = |random: &mut Random, link: Link| {
        let fields = fields(random, facts, &primary_key, depth - 1);
        let order_by = order(random);
        let (table, filters) = (table(&target), filters(random, 4));
        FieldKind::Join(Box::new(Join {
            table,
            primary_key: primary_key.clone(),
            link,
            filters,
            order_by,
            fields,
            hidden: false,
        }))
    };
    let limit = if random.one_in(3) { Some(1 + random.below(2) as u64) } else { None };
    match random.below(6) {
        0 => {
            let column = columns(random, primary_key.len());
            let link = Link::BelongsTo { column, nullable: true, when: filters(random, 3) };
            join(random, link)
        }
        1 => {
            let link = Link::HasOne { foreign_key: columns(random, key.len()), nullable: true };
            join(random, link)
        }
        2 => {
            let link = Link::HasMany { foreign_key: columns(random, key.len()), limit };
            join(random, link)
        }
        3 => {
            let link = Link::ManyToMany { through: through(random, primary_key.len()), limit };
            join(random, link)
        }
        4 => {
            let link = if random.one_in(2) {
                AggregateLink::ForeignKey(columns(random, key.len()))
            } else {
                AggregateLink::Through(through(random, own_key.len()))
            };
            let op = match random.below(3) {
                0 => AggregateOp::Count,
                1 => AggregateOp::Sum { column: id("d"), value_type: LeafType::Long },
                _ => AggregateOp::Ids { element_type: LeafType::Long },
            };
            FieldKind::Aggregate(Box::new(Aggregate { table: table(&target), op, link, filters: filters(random, 3) }))
        }
        _ => FieldKind::Object(fields(random, facts, key, depth - 1)),
    }
}
