//! Conditions and orders by the rules of SQL: nothing is equal to null, and nulls stand last, or first where the largest do.

use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use flusso_plugin::{Comparison, Condition, Value};

/// How two values stand; none: they cannot be compared, or one is null.
pub(crate) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    use Value::{Boolean, Bytes, Date, Float, Integer, Null, Text, Time, Timestamp, Uuid};
    match (a, b) {
        (Null, _) | (_, Null) => None,
        (Boolean(a), Boolean(b)) => Some(a.cmp(b)),
        (Integer(a), Integer(b)) => Some(a.cmp(b)),
        (Float(a), Float(b)) => Some(a.total_cmp(b)),
        (Bytes(a), Bytes(b)) => Some(a.cmp(b)),
        (Text(a) | Uuid(a), Text(b) | Uuid(b))
        | (Date(a), Date(b))
        | (Time(a), Time(b))
        | (Timestamp(a), Timestamp(b)) => Some(a.cmp(b)),
        (Text(a), Date(b) | Timestamp(b) | Time(b)) | (Date(a) | Timestamp(a) | Time(a), Text(b)) => Some(a.cmp(b)),
        _ => Some(number(a)?.cmp(&number(b)?)),
    }
}

fn number(value: &Value) -> Option<BigDecimal> {
    match value {
        Value::Integer(number) => Some(BigDecimal::from(*number)),
        Value::Decimal(text) | Value::Text(text) => text.parse().ok(),
        Value::Float(number) => BigDecimal::try_from(*number).ok(),
        _ => None,
    }
}

/// For an order: nulls after everything else.
pub(crate) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        _ => compare(a, b).unwrap_or(Ordering::Equal),
    }
}

/// Whether a value is the same as another, by which rows belong together. Numbers of different types are equal where they are the same.
pub(crate) fn link(value: &Value) -> Vec<u8> {
    let text = match value {
        Value::Integer(number) => format!("n{number}"),
        Value::Decimal(text) => format!("n{text}"),
        Value::Text(text) | Value::Uuid(text) => format!("t{text}"),
        other => format!("{other:?}"),
    };
    text.into_bytes()
}

/// Whether a condition holds of a value.
pub(crate) fn holds(condition: &Condition, value: &Value) -> bool {
    let operand = |at: usize| condition.operands.get(at).unwrap_or(&Value::Null);
    let is = |wanted: fn(Ordering) -> bool| compare(value, operand(0)).is_some_and(wanted);
    let among = || condition.operands.iter().any(|operand| compare(value, operand) == Some(Ordering::Equal));
    match condition.comparison {
        Comparison::Eq => is(Ordering::is_eq),
        Comparison::Neq => is(Ordering::is_ne),
        Comparison::Lt => is(Ordering::is_lt),
        Comparison::Lte => is(Ordering::is_le),
        Comparison::Gt => is(Ordering::is_gt),
        Comparison::Gte => is(Ordering::is_ge),
        Comparison::In => among(),
        // One null among them, and it is unknown.
        Comparison::NotIn => *value != Value::Null && !condition.operands.contains(&Value::Null) && !among(),
        Comparison::Between => {
            compare(value, operand(0)).is_some_and(Ordering::is_ge)
                && compare(value, operand(1)).is_some_and(Ordering::is_le)
        }
        Comparison::IsNull => *value == Value::Null,
        Comparison::IsNotNull => *value != Value::Null,
        Comparison::Like | Comparison::Ilike => match (value, operand(0)) {
            (Value::Text(text), Value::Text(pattern)) if condition.comparison == Comparison::Like => {
                is_like(text, pattern)
            }
            (Value::Text(text), Value::Text(pattern)) => is_like(&text.to_lowercase(), &pattern.to_lowercase()),
            _ => false,
        },
    }
}

/// SQL's `LIKE`: `%` is any text, `_` one character, a backslash takes the meaning of the next.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, mut tokens) = (text.chars().collect::<Vec<_>>(), Vec::new());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '\\' => characters.next().map(Token::Is),
            '%' => Some(Token::Any),
            '_' => Some(Token::One),
            other => Some(Token::Is(other)),
        });
    }
    // Which beginnings of the text the tokens so far fit.
    let mut fits = vec![false; text.len() + 1];
    if let Some(first) = fits.first_mut() {
        *first = true;
    }
    for token in tokens.into_iter().flatten() {
        let mut next = vec![false; text.len() + 1];
        let mut any = false;
        for (at, place) in next.iter_mut().enumerate() {
            let before = at.checked_sub(1).and_then(|at| fits.get(at)).copied().unwrap_or_default();
            any |= fits.get(at).copied().unwrap_or_default();
            let character = at.checked_sub(1).and_then(|at| text.get(at));
            *place = match token {
                Token::Any => any,
                Token::One => before,
                Token::Is(wanted) => before && character == Some(&wanted),
            };
        }
        fits = next;
    }
    fits.last().copied().unwrap_or_default()
}

#[derive(Clone, Copy)]
enum Token {
    Any,
    One,
    Is(char),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_in_sql() {
        let text = |text: &str| Value::Text(text.to_owned());
        let check = |comparison, operands: &[Value], value: &Value, wanted: bool| {
            let condition = Condition { column: "x".to_owned(), comparison, operands: operands.to_vec() };
            assert_eq!(holds(&condition, value), wanted, "{condition:?} of {value:?}");
        };
        check(Comparison::Eq, &[Value::Null], &Value::Null, false);
        check(Comparison::Neq, &[text("a")], &Value::Null, false);
        check(Comparison::NotIn, &[text("a"), Value::Null], &text("b"), false);
        check(Comparison::NotIn, &[text("a")], &text("b"), true);
        check(Comparison::Eq, &[Value::Decimal("1.5".to_owned())], &Value::Decimal("1.5".to_owned()), true);
        check(Comparison::Gt, &[Value::Decimal("9.5".to_owned())], &Value::Integer(10), true);
        check(Comparison::Between, &[Value::Integer(1), Value::Integer(3)], &Value::Integer(3), true);
        check(Comparison::Like, &[text("a%_c")], &text("abbc"), true);
        check(Comparison::Like, &[text("a%_c")], &text("ac"), false);
        check(Comparison::Like, &[text("100\\%")], &text("100%"), true);
        check(Comparison::Like, &[text("100\\%")], &text("1000"), false);
        check(Comparison::Ilike, &[text("A%")], &text("abc"), true);
        check(Comparison::IsNull, &[], &Value::Null, true);
        assert_eq!(order(&Value::Null, &Value::Integer(1)), Ordering::Greater);
    }
}
