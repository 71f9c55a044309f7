//! Rows by the names of their columns, and conditions on them.

use std::cmp::Ordering;

use flusso_plugin::{Row, Value};
use flusso_schema::{Comparison, Direction, Filter, Identifier, Literal, OrderBy};
use serde_json::{Value as Json, json};

/// Rows of one table, and for which document each is.
pub(crate) struct Rows {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<(u32, Row)>,
}

/// The cell of a column; null where the row has none.
pub(crate) fn cell<'r>(columns: &[String], row: &'r Row, name: &str) -> &'r Value {
    let place = columns.iter().position(|column| column == name);
    place.and_then(|place| row.get(place)).unwrap_or(&Value::Null)
}

/// A value as documents show it.
pub(crate) fn shown(value: &Value) -> Json {
    match value {
        Value::Integer(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Boolean(flag) => json!(flag),
        _ => Json::Null,
    }
}

fn literal(literal: &Literal) -> Value {
    match literal {
        Literal::Boolean(flag) => Value::Boolean(*flag),
        Literal::Number(text) => text.parse().map_or(Value::Null, Value::Integer),
        Literal::Text(text) => Value::Text(text.clone()),
    }
}

/// How two values stand; `None` where one is null, as SQL's unknown.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Whether a condition surely holds of a value.
pub(crate) fn holds(filter: &Filter, value: &Value) -> bool {
    let ordering = |other: &Literal| compare(value, &literal(other));
    match filter {
        Filter::Compare { op, value: other, .. } => ordering(other).is_some_and(|ordering| match op {
            Comparison::Eq => ordering.is_eq(),
            Comparison::Neq => ordering.is_ne(),
            Comparison::Lt => ordering.is_lt(),
            Comparison::Lte => ordering.is_le(),
            Comparison::Gt => ordering.is_gt(),
            Comparison::Gte => ordering.is_ge(),
            Comparison::Like | Comparison::Ilike => false,
        }),
        Filter::In { values, .. } => values.iter().any(|other| ordering(other).is_some_and(Ordering::is_eq)),
        Filter::NotIn { values, .. } => values.iter().all(|other| ordering(other).is_some_and(Ordering::is_ne)),
        Filter::Between { low, high, .. } => {
            ordering(low).is_some_and(Ordering::is_ge) && ordering(high).is_some_and(Ordering::is_le)
        }
        Filter::IsNull { .. } => matches!(value, Value::Null),
        Filter::IsNotNull { .. } => !matches!(value, Value::Null),
        Filter::Raw(_) => false,
    }
}

/// The condition as the host's reader takes it.
pub(crate) fn pushed(filter: &Filter) -> Option<flusso_plugin::Filter> {
    use flusso_plugin::Comparison as To;
    let (comparison, operands): (To, Vec<&Literal>) = match filter {
        Filter::Compare { op, value, .. } => {
            let to = match op {
                Comparison::Eq => To::Eq,
                Comparison::Neq => To::Neq,
                Comparison::Lt => To::Lt,
                Comparison::Lte => To::Lte,
                Comparison::Gt => To::Gt,
                Comparison::Gte => To::Gte,
                Comparison::Like => To::Like,
                Comparison::Ilike => To::Ilike,
            };
            (to, vec![value])
        }
        Filter::In { values, .. } => (To::In, values.iter().collect()),
        Filter::NotIn { values, .. } => (To::NotIn, values.iter().collect()),
        Filter::Between { low, high, .. } => (To::Between, vec![low, high]),
        Filter::IsNull { .. } => (To::IsNull, Vec::new()),
        Filter::IsNotNull { .. } => (To::IsNotNull, Vec::new()),
        Filter::Raw(_) => return None,
    };
    let column = filter.column().map(Identifier::to_string)?;
    let operands = operands.into_iter().map(literal).collect();
    Some(flusso_plugin::Filter::Condition(flusso_plugin::Condition { column, comparison, operands }))
}

/// How two rows stand in an order, by the rules of SQL: null is the greatest.
pub(crate) fn ordered(order: &[OrderBy], columns: &[String], left: &Row, right: &Row) -> Ordering {
    let by = |one: &OrderBy| {
        let (left, right) = (cell(columns, left, one.column.as_str()), cell(columns, right, one.column.as_str()));
        let ascending = match (left, right) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (left, right) => compare(left, right).unwrap_or(Ordering::Equal),
        };
        if one.direction == Direction::Desc { ascending.reverse() } else { ascending }
    };
    order.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}
