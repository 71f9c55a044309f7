//! Documents from rows, one lookup a relation and level.

use flusso_plugin::lookups::{self, Lookup, Lookups};
use flusso_plugin::{Outcome, Result, Row, TableRead, Value};
use flusso_schema::{
    Aggregate, AggregateLink, AggregateOp, Direction, Field, FieldKind, Filter, Identifier, Join, Link, OrderBy,
    Scalar, Schema, SoftDelete, TableName, Through, Transform,
};
use serde_json::{Map, Value as Json};

use crate::rows::{Rows, cell, holds, ordered, pushed, shown};
use crate::table;

fn text(name: &Identifier) -> String {
    name.to_string()
}

fn add(list: &mut Vec<String>, name: &Identifier) {
    if !list.iter().any(|known| known == name.as_str()) {
        list.push(text(name));
    }
}

/// The columns of a row that its fields are made of: those they show, and those their relations start from.
pub(crate) fn columns(fields: &[Field]) -> Vec<String> {
    let mut all = Vec::new();
    collect(fields, &mut all);
    all
}

fn collect(fields: &[Field], all: &mut Vec<String>) {
    for field in fields {
        match &field.kind {
            FieldKind::Scalar(scalar) => add(all, &scalar.column),
            FieldKind::Object(members) => collect(members, all),
            FieldKind::Join(join) => match &join.link {
                Link::BelongsTo { column, .. } => column.iter().for_each(|column| add(all, column)),
                // Every table of the test has the key `id`.
                _ => add_id(all),
            },
            FieldKind::Aggregate(_) => add_id(all),
            FieldKind::Geo(_) | FieldKind::Map(_) | FieldKind::Constant(_) => {}
        }
    }
}

fn add_id(all: &mut Vec<String>) {
    if !all.iter().any(|known| known == "id") {
        all.push("id".to_owned());
    }
}

/// The columns that are read of a relation's rows.
fn joined_columns(join: &Join) -> Vec<String> {
    let mut all = columns(&join.fields);
    join.primary_key.iter().for_each(|column| add(&mut all, column));
    join.order_by.iter().for_each(|order| add(&mut all, &order.column));
    all
}

fn junction_columns(through: &Through) -> Vec<String> {
    let mut all = columns(&through.fields);
    through.right_key.iter().for_each(|column| add(&mut all, column));
    through.order_by.iter().for_each(|order| add(&mut all, &order.column));
    all
}

fn reduced_columns(aggregate: &Aggregate) -> Vec<String> {
    let mut all = vec!["id".to_owned()];
    aggregate.op.column().into_iter().for_each(|column| add(&mut all, column));
    all
}

/// Everything that documents of these fields look up.
pub(crate) fn reads(fields: &[Field]) -> Vec<TableRead> {
    let mut all = Vec::new();
    collect_reads(fields, &mut all);
    all
}

fn collect_reads(fields: &[Field], all: &mut Vec<TableRead>) {
    for field in fields {
        match &field.kind {
            FieldKind::Object(members) => collect_reads(members, all),
            FieldKind::Join(join) => {
                let by = match &join.link {
                    Link::BelongsTo { .. } => &join.primary_key,
                    Link::HasOne { foreign_key, .. } | Link::HasMany { foreign_key, .. } => foreign_key,
                    Link::ManyToMany { through, .. } => {
                        declare(all, &through.table, junction_columns(through), &through.left_key, &through.filters);
                        &join.primary_key
                    }
                };
                declare(all, &join.table, joined_columns(join), by, &join.filters);
                collect_reads(&join.fields, all);
            }
            FieldKind::Aggregate(one) => match &one.link {
                AggregateLink::ForeignKey(by) => declare(all, &one.table, reduced_columns(one), by, &one.filters),
                AggregateLink::Through(through) => {
                    declare(all, &through.table, junction_columns(through), &through.left_key, &through.filters);
                    let id = Identifier::new("id").into_iter().collect::<Vec<_>>();
                    declare(all, &one.table, reduced_columns(one), &id, &one.filters);
                }
            },
            FieldKind::Scalar(_) | FieldKind::Geo(_) | FieldKind::Map(_) | FieldKind::Constant(_) => {}
        }
    }
}

fn declare(all: &mut Vec<TableRead>, of: &TableName, columns: Vec<String>, by: &[Identifier], filters: &[Filter]) {
    let mut columns = columns;
    by.iter().chain(filters.iter().filter_map(Filter::column)).for_each(|column| add(&mut columns, column));
    let by: Vec<String> = by.iter().map(text).collect();
    let of = table(of);
    let same = |read: &&mut TableRead| (&read.table.schema, &read.table.name) == (&of.schema, &of.name);
    match all.iter_mut().find(same) {
        Some(read) => {
            for column in columns {
                if !read.columns.contains(&column) {
                    read.columns.push(column);
                }
            }
            if !read.by.contains(&by) {
                read.by.push(by);
            }
        }
        None => all.push(TableRead { table: of, columns, by: vec![by], extra: None }),
    }
}

/// A lookup of rows of one table for every row of another.
struct Search<'s> {
    of: &'s TableName,
    by: Vec<String>,
    columns: Vec<String>,
    filters: &'s [Filter],
    order: &'s [OrderBy],
    limit: Option<u64>,
}

impl Search<'_> {
    /// The rows that each value finds, in the order of the values.
    fn find(&self, values: Vec<(u32, Value)>) -> Result<Vec<Rows>> {
        let documents: Vec<u32> = values.iter().map(|(document, _)| *document).collect();
        let order = |order: &OrderBy| flusso_plugin::Ordering {
            column: text(&order.column),
            descending: order.direction == Direction::Desc,
        };
        let read = Lookups {
            table: table(self.of),
            columns: self.columns.clone(),
            by: self.by.clone(),
            filters: self.filters.iter().filter_map(pushed).collect(),
            order: self.order.iter().map(order).collect(),
            limit: self.limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            lookups: values.into_iter().map(|(document, value)| Lookup { document, values: vec![value] }).collect(),
            extra: None,
        };
        let found = lookups::read(&[read])?.pop().unwrap_or_default();
        let of = |(document, rows): (u32, Vec<Row>)| Rows {
            columns: self.columns.clone(),
            rows: rows.into_iter().map(|row| (document, row)).collect(),
        };
        Ok(documents.into_iter().zip(found).map(of).collect())
    }
}

/// Rows that become objects.
pub(crate) struct Documents(Rows);

impl Documents {
    pub(crate) fn of(columns: Vec<String>, roots: Vec<Row>) -> Self {
        Self(Rows { columns, rows: (0..).zip(roots).collect() })
    }

    /// One outcome a root row.
    pub(crate) fn build(self, schema: &Schema) -> Result<Vec<Outcome>> {
        let Self(roots) = self;
        let wanted: Vec<bool> = roots.rows.iter().map(|(_, row)| is_document(schema, &roots.columns, row)).collect();
        // A row that is no document looks nothing up.
        let documents = roots.rows.into_iter().zip(&wanted).filter_map(|(row, wanted)| wanted.then_some(row)).collect();
        let mut built = objects(&schema.fields, &Rows { columns: roots.columns, rows: documents })?.into_iter();
        let outcome = |wanted: bool| match wanted.then(|| built.next()).flatten() {
            Some(object) => Outcome::Built(Json::Object(object).to_string().into_bytes()),
            None => Outcome::Absent,
        };
        Ok(wanted.into_iter().map(outcome).collect())
    }
}

fn is_document(schema: &Schema, columns: &[String], row: &Row) -> bool {
    let value = |filter: &Filter| filter.column().map_or(&Value::Null, |column| cell(columns, row, column.as_str()));
    let deleted = match &schema.soft_delete {
        SoftDelete::Never => false,
        SoftDelete::Marked { column, when } => {
            *cell(columns, row, column.as_str()) == Value::Boolean(true)
                && when.iter().all(|filter| holds(filter, value(filter)))
        }
    };
    !deleted && schema.filters.iter().all(|filter| holds(filter, value(filter)))
}

type Object = Map<String, Json>;

/// One object a row.
fn objects(fields: &[Field], of: &Rows) -> Result<Vec<Object>> {
    let mut objects: Vec<Object> = of.rows.iter().map(|_| Object::new()).collect();
    for field in fields {
        let values: Vec<Json> = match &field.kind {
            FieldKind::Scalar(scalar) => of.rows.iter().map(|(_, row)| shown_cell(scalar, &of.columns, row)).collect(),
            FieldKind::Object(members) => self::objects(members, of)?.into_iter().map(Json::Object).collect(),
            FieldKind::Constant(value) => vec![value.clone(); of.rows.len()],
            FieldKind::Join(join) => joins(join, of)?,
            FieldKind::Aggregate(aggregate) => aggregates(aggregate, of)?,
            FieldKind::Geo(_) | FieldKind::Map(_) => vec![Json::Null; of.rows.len()],
        };
        for (object, value) in objects.iter_mut().zip(values) {
            object.insert(field.key.clone(), value);
        }
    }
    Ok(objects)
}

fn shown_cell(scalar: &Scalar, columns: &[String], row: &Row) -> Json {
    match cell(columns, row, scalar.column.as_str()) {
        Value::Null => scalar.default.clone(),
        Value::Text(text) => {
            Json::from(scalar.transforms.iter().fold(text.clone(), |text, transform| match transform {
                Transform::Lowercase => text.to_lowercase(),
                Transform::Trim => text.trim_matches(' ').to_owned(),
            }))
        }
        value => shown(value),
    }
}

/// The value of one column of every row.
fn values(of: &Rows, column: &str) -> Vec<(u32, Value)> {
    of.rows.iter().map(|(document, row)| (*document, cell(&of.columns, row, column).clone())).collect()
}

fn joins(join: &Join, of: &Rows) -> Result<Vec<Json>> {
    let search = |by: &[Identifier], limit| Search {
        of: &join.table,
        by: by.iter().map(text).collect(),
        columns: joined_columns(join),
        filters: &join.filters,
        order: &join.order_by,
        limit,
    };
    let groups = match &join.link {
        Link::BelongsTo { column, .. } => {
            search(&join.primary_key, None).find(values(of, column.first().map_or("", Identifier::as_str)))?
        }
        Link::HasOne { foreign_key, .. } => search(foreign_key, Some(1)).find(values(of, "id"))?,
        Link::HasMany { foreign_key, limit } => search(foreign_key, *limit).find(values(of, "id"))?,
        Link::ManyToMany { through, limit } => {
            let found = Reached::find(through, values(of, "id"), &search(&join.primary_key, None))?;
            return many_to_many(join, through, *limit, found);
        }
    };
    let lengths: Vec<usize> = groups.iter().map(|group| group.rows.len()).collect();
    let mut objects = self::objects(&join.fields, &flat(groups, joined_columns(join)))?.into_iter().map(Json::Object);
    Ok(lengths
        .into_iter()
        .map(|length| {
            let mut rows: Vec<Json> = objects.by_ref().take(length).collect();
            if join.is_to_many() {
                Json::Array(rows)
            } else if rows.is_empty() {
                Json::Null
            } else {
                rows.swap_remove(0)
            }
        })
        .collect())
}

fn flat(groups: Vec<Rows>, columns: Vec<String>) -> Rows {
    Rows { columns, rows: groups.into_iter().flat_map(|group| group.rows).collect() }
}

/// The rows that one row reaches through a junction, each beside the junction's.
struct Reached {
    pairs: Vec<(u32, Row, Row)>,
}

impl Reached {
    fn find(through: &Through, from: Vec<(u32, Value)>, target: &Search<'_>) -> Result<Vec<Self>> {
        let columns = junction_columns(through);
        let junction = Search {
            of: &through.table,
            by: through.left_key.iter().map(text).collect(),
            columns: columns.clone(),
            filters: &through.filters,
            order: &[],
            limit: None,
        };
        let junctions = junction.find(from)?;
        let lengths: Vec<usize> = junctions.iter().map(|group| group.rows.len()).collect();
        let junctions = flat(junctions, columns);
        let right = through.right_key.first().map_or("", Identifier::as_str);
        let targets = target.find(values(&junctions, right))?;
        let mut all = junctions.rows.into_iter().zip(targets);
        let mut reached = Vec::with_capacity(lengths.len());
        for length in lengths {
            let pairs = all.by_ref().take(length).flat_map(|((document, junction), target)| {
                target.rows.into_iter().map(move |(_, row)| (document, junction.clone(), row))
            });
            reached.push(Self { pairs: pairs.collect() });
        }
        Ok(reached)
    }
}

fn many_to_many(join: &Join, through: &Through, limit: Option<u64>, found: Vec<Reached>) -> Result<Vec<Json>> {
    let (own, between) = (joined_columns(join), junction_columns(through));
    let by_key: Vec<OrderBy> =
        join.primary_key.iter().map(|key| OrderBy { column: key.clone(), direction: Direction::Asc }).collect();
    let mut lists = Vec::with_capacity(found.len());
    for Reached { mut pairs } in found {
        pairs.sort_by(|(_, left_between, left), (_, right_between, right)| {
            ordered(&through.order_by, &between, left_between, right_between)
                .then_with(|| ordered(&join.order_by, &own, left, right))
                .then_with(|| ordered(&by_key, &own, left, right))
        });
        pairs.truncate(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
        let (junctions, targets) = pairs
            .into_iter()
            .map(|(document, junction, row)| ((document, junction), (document, row)))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let mut list = objects(&join.fields, &Rows { columns: own.clone(), rows: targets })?;
        let more = objects(&through.fields, &Rows { columns: between.clone(), rows: junctions })?;
        for (object, more) in list.iter_mut().zip(more) {
            object.extend(more);
        }
        lists.push(Json::Array(list.into_iter().map(Json::Object).collect()));
    }
    Ok(lists)
}

fn aggregates(aggregate: &Aggregate, of: &Rows) -> Result<Vec<Json>> {
    let columns = reduced_columns(aggregate);
    let search = |by: Vec<String>| Search {
        of: &aggregate.table,
        by,
        columns: columns.clone(),
        filters: &aggregate.filters,
        order: &[],
        limit: None,
    };
    let groups: Vec<Vec<Row>> = match &aggregate.link {
        AggregateLink::ForeignKey(by) => {
            let found = search(by.iter().map(text).collect()).find(values(of, "id"))?;
            found.into_iter().map(|group| group.rows.into_iter().map(|(_, row)| row).collect()).collect()
        }
        AggregateLink::Through(through) => {
            let found = Reached::find(through, values(of, "id"), &search(vec!["id".to_owned()]))?;
            found.into_iter().map(|group| group.pairs.into_iter().map(|(_, _, row)| row).collect()).collect()
        }
    };
    Ok(groups.iter().map(|rows| reduced(&aggregate.op, &columns, rows)).collect())
}

fn reduced(op: &AggregateOp, columns: &[String], rows: &[Row]) -> Json {
    let numbers = |name: &str| {
        let number = |row: &Row| match cell(columns, row, name) {
            Value::Integer(number) => Some(*number),
            _ => None,
        };
        rows.iter().filter_map(number).collect::<Vec<i64>>()
    };
    let or_null = |number: Option<i64>| number.map_or(Json::Null, Json::from);
    match op {
        AggregateOp::Count => Json::from(rows.len()),
        AggregateOp::Sum { column, .. } => {
            let numbers = numbers(column.as_str());
            or_null((!numbers.is_empty()).then(|| numbers.iter().sum()))
        }
        AggregateOp::Min { column, .. } => or_null(numbers(column.as_str()).into_iter().min()),
        AggregateOp::Max { column, .. } => or_null(numbers(column.as_str()).into_iter().max()),
        AggregateOp::Ids { .. } => {
            let mut ids = numbers("id");
            ids.sort_unstable();
            Json::from(ids)
        }
        AggregateOp::Avg { .. } => Json::Null,
    }
}
