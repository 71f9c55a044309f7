//! Values by the rules of SQL: a null equals nothing and is no less than anything.

use std::cmp::Ordering;

use bigdecimal::BigDecimal;

use crate::{Comparison, Condition, Value};

/// How two values of one kind stand to each other; none of them is null.
pub(super) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => Some(a.total_cmp(b)),
        (Value::Decimal(a), Value::Decimal(b)) => Some(decimal(a)?.cmp(&decimal(b)?)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b))
        | (Value::Uuid(a), Value::Uuid(b))
        | (Value::Date(a), Value::Date(b))
        | (Value::Time(a), Value::Time(b))
        | (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::Json(a), Value::Json(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn decimal(text: &str) -> Option<BigDecimal> {
    text.parse().ok()
}

pub(super) fn equal(a: &Value, b: &Value) -> bool {
    compare(a, b) == Some(Ordering::Equal)
}

/// As a database orders: nulls last, or first where it is turned round.
pub(super) fn order(a: &Value, b: &Value, descending: bool) -> Ordering {
    let ascending = match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (a, b) => compare(a, b).unwrap_or(Ordering::Equal),
    };
    if descending { ascending.reverse() } else { ascending }
}

/// Whether a condition holds for a value.
pub(super) fn holds(condition: &Condition, value: &Value) -> bool {
    let is_null = matches!(value, Value::Null);
    let with = |place: usize| condition.operands.get(place).and_then(|operand| compare(value, operand));
    let any_null = || condition.operands.iter().any(|operand| matches!(operand, Value::Null));
    let among = || condition.operands.iter().any(|operand| equal(value, operand));
    match condition.comparison {
        Comparison::IsNull => is_null,
        Comparison::IsNotNull => !is_null,
        _ if is_null => false,
        Comparison::Eq => with(0) == Some(Ordering::Equal),
        Comparison::Neq => with(0).is_some_and(Ordering::is_ne),
        Comparison::Lt => with(0).is_some_and(Ordering::is_lt),
        Comparison::Lte => with(0).is_some_and(Ordering::is_le),
        Comparison::Gt => with(0).is_some_and(Ordering::is_gt),
        Comparison::Gte => with(0).is_some_and(Ordering::is_ge),
        Comparison::Between => with(0).is_some_and(Ordering::is_ge) && with(1).is_some_and(Ordering::is_le),
        Comparison::In => among(),
        Comparison::NotIn => !any_null() && !among(),
        Comparison::Like => like(condition, value, false),
        Comparison::Ilike => like(condition, value, true),
    }
}

fn like(condition: &Condition, value: &Value, fold: bool) -> bool {
    let (Value::Text(text), Some(Value::Text(pattern))) = (value, condition.operands.first()) else { return false };
    let letters =
        |text: &str| -> Vec<char> { if fold { text.to_lowercase().chars().collect() } else { text.chars().collect() } };
    matches(&letters(pattern), &letters(text))
}

/// SQL's `LIKE`: `%` any text, `_` any letter, a backslash before a letter that means itself.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|from| matches(rest, text.get(from..).unwrap_or_default())),
        ['\\', letter, rest @ ..] => text.first() == Some(letter) && matches(rest, text.get(1..).unwrap_or_default()),
        [letter, rest @ ..] => match text {
            [first, more @ ..] => (*letter == '_' || letter == first) && matches(rest, more),
            [] => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn a_null_is_neither_equal_nor_unequal_and_stands_last() {
        let holds = |comparison, operands: &[Value], value: &Value| {
            holds(&Condition { column: String::new(), comparison, operands: operands.to_vec() }, value)
        };
        for comparison in [Comparison::Eq, Comparison::Neq, Comparison::Lt, Comparison::In, Comparison::NotIn] {
            assert!(!holds(comparison, &[text("a")], &Value::Null), "{comparison:?}");
        }
        assert!(!holds(Comparison::NotIn, &[text("a"), Value::Null], &text("b")));
        assert!(holds(Comparison::NotIn, &[text("a")], &text("b")));
        assert!(holds(Comparison::IsNull, &[], &Value::Null));
        assert!(holds(Comparison::Between, &[Value::Integer(1), Value::Integer(3)], &Value::Integer(3)));
        assert!(holds(Comparison::Eq, &[Value::Decimal("1.50".to_owned())], &Value::Decimal("1.5".to_owned())));
        assert_eq!(order(&Value::Null, &text("z"), false), Ordering::Greater);
        assert_eq!(order(&Value::Null, &text("z"), true), Ordering::Less);
    }

    #[test]
    fn like_is_sqls() {
        for (pattern, text, wanted) in [
            ("a%c", "abbc", true),
            ("a_c", "abc", true),
            ("a_c", "abbc", false),
            ("%", "", true),
            ("100\\%", "100%", true),
            ("100\\%", "100 ", false),
        ] {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(matches(&letters(pattern), &letters(text)), wanted, "{pattern} {text}");
        }
    }
}
