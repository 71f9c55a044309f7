//! The contract's values as the cells that documents are rendered from: a tag that says the form, then the text as
//! `flusso_documents` renders it.

use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use flusso_documents::Form;
use flusso_plugin::Value;
use flusso_schema::Transform;

/// A value as a cell; `None` is null.
pub(crate) fn cell(value: &Value) -> Option<Vec<u8>> {
    let (form, text) = shown(value)?;
    let mut cell = Vec::with_capacity(1 + text.len());
    cell.push(form.tag());
    cell.extend_from_slice(text.as_bytes());
    Some(cell)
}

fn shown(value: &Value) -> Option<(Form, String)> {
    Some(match value {
        Value::Null => return None,
        Value::Boolean(flag) => (Form::Boolean, if *flag { "t" } else { "f" }.to_owned()),
        Value::Integer(number) => (Form::Integer, number.to_string()),
        Value::Float(number) => (Form::Number, float(*number)),
        Value::Decimal(text) => (Form::Number, text.clone()),
        Value::Text(text) => (Form::Text, text.clone()),
        Value::Bytes(bytes) => (Form::Bytes, hexadecimal(bytes)),
        Value::Uuid(text) => (Form::Uuid, text.clone()),
        Value::Date(text) => (Form::Date, text.clone()),
        Value::Time(text) => (Form::Time, short_zone(text)),
        Value::Timestamp(text) => {
            let form = if has_zone(text) { Form::TimestampTz } else { Form::Timestamp };
            (form, short_zone(&text.replacen('T', " ", 1)))
        }
        Value::Json(text) => (Form::Json, text.clone()),
    })
}

/// The value that a cell was made of. Only cells of links come back, and a link by JSON is a link by its text.
pub(crate) fn value(cell: &[u8]) -> Value {
    let (form, text) = Form::of_tagged(cell);
    let text = String::from_utf8_lossy(text).into_owned();
    match form {
        Form::Boolean => Value::Boolean(text == "t"),
        Form::Integer => text.parse().map_or_else(|_| Value::Decimal(text.clone()), Value::Integer),
        Form::Number => Value::Decimal(text),
        Form::Uuid => Value::Uuid(text),
        Form::Date => Value::Date(text),
        Form::Time => Value::Time(long_zone(text)),
        Form::Timestamp | Form::TimestampTz => Value::Timestamp(long_zone(text.replacen(' ', "T", 1))),
        Form::Bytes => Value::Bytes(bytes(&text)),
        Form::Json => Value::Json(text),
        Form::Text | Form::Structured | Form::Other | Form::Tagged => Value::Text(text),
    }
}

/// As JSON has it, without a fraction that says nothing.
pub(crate) fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let text = format!("{number:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    }
    text
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.trim_start_matches("\\x").chars().filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}

/// Whether the clock of a moment is followed by an offset.
fn has_zone(text: &str) -> bool {
    text.split_once('T').is_some_and(|(_, clock)| clock.contains(['+', '-']))
}

/// `+02:00` is `+02`; what follows (` BC`) stays.
fn short_zone(text: &str) -> String {
    let parts = text.rfind(['+', '-']).and_then(|at| {
        let (before, after) = text.split_at_checked(at + 3)?;
        Some([before, after.strip_prefix(":00")?].concat())
    });
    parts.unwrap_or_else(|| text.to_owned())
}

fn long_zone(text: String) -> String {
    let clock = text.find('T').map_or(0, |at| at + 1);
    let parts = text.rfind(['+', '-']).filter(|at| *at > clock).and_then(|at| {
        let (before, after) = text.split_at_checked(at + 3)?;
        (after.is_empty() || after.starts_with(' ')).then(|| [before, ":00", after].concat())
    });
    parts.unwrap_or(text)
}

/// What a schema writes for a missing moment: a date, or a moment whose day and clock a blank or a `T` divides.
pub(crate) fn moment(text: &str) -> Value {
    let is_date = text.len() == 10 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    if is_date {
        return Value::Date(text.to_owned());
    }
    let text = text.replacen(' ', "T", 1);
    Value::Timestamp(match text.strip_suffix(['Z', 'z']) {
        Some(clock) => format!("{clock}+00:00"),
        None => long_zone(text),
    })
}

/// A value after what is done to its text.
pub(crate) fn transformed(value: &Value, transforms: &[Transform]) -> Value {
    let Some((_, text)) = shown(value).filter(|_| !transforms.is_empty()) else { return value.clone() };
    Value::Text(transforms.iter().fold(text, |text, transform| match transform {
        Transform::Lowercase => text.to_lowercase(),
        Transform::Trim => text.trim_matches(' ').to_owned(),
    }))
}

/// How two values stand in an ascending order by the rules of SQL: null is the greatest, then not-a-number; texts by code point.
pub(crate) fn compare(left: &Value, right: &Value) -> Ordering {
    use Value::{Boolean, Bytes, Float, Integer, Null};
    match (left, right) {
        (Null, Null) => Ordering::Equal,
        (Null, _) => Ordering::Greater,
        (_, Null) => Ordering::Less,
        (Boolean(left), Boolean(right)) => left.cmp(right),
        (Integer(left), Integer(right)) => left.cmp(right),
        (Bytes(left), Bytes(right)) => left.cmp(right),
        (Float(left), Float(right)) => left.partial_cmp(right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan())),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => rank(left).cmp(&rank(right)),
        },
    }
}

/// A finite number.
pub(crate) fn number(value: &Value) -> Option<BigDecimal> {
    match value {
        Value::Integer(number) => Some(BigDecimal::from(*number)),
        Value::Decimal(text) => text.parse().ok(),
        Value::Float(number) => BigDecimal::try_from(*number).ok(),
        _ => None,
    }
}

/// Texts in their order, an infinity at its end.
fn rank(value: &Value) -> (i8, String) {
    let text = shown(value).map(|(_, text)| text).unwrap_or_default();
    let end = match text.as_str() {
        "-infinity" | "-Infinity" => -1,
        "infinity" | "Infinity" if !matches!(value, Value::Text(_)) => 1,
        "NaN" if !matches!(value, Value::Text(_)) => 2,
        _ => 0,
    };
    (if matches!(value, Value::Text(_)) { 0 } else { end }, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_from_its_cell() {
        for given in [
            Value::Boolean(true),
            Value::Integer(-7),
            Value::Decimal("1.5".into()),
            Value::Text("2020-01-02 +02".into()),
            Value::Bytes(vec![0, 255]),
            Value::Uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13".into()),
            Value::Date("2020-01-02".into()),
            Value::Time("03:04:05+02:00".into()),
            Value::Time("03:04:05.6".into()),
            Value::Timestamp("2020-01-02T03:04:05.6+00:00".into()),
            Value::Timestamp("2020-01-02T03:04:05".into()),
            Value::Timestamp("0044-03-15T00:00:00+00:00 BC".into()),
        ] {
            let cell = cell(&given).unwrap_or_default();
            assert_eq!(value(&cell), given, "{}", String::from_utf8_lossy(&cell));
        }
        assert_eq!(cell(&Value::Null), None);
        assert_eq!(cell(&Value::Float(1.0)).as_deref(), Some(&b"n1"[..]));
        assert_eq!(cell(&Value::Float(1e300)).as_deref(), Some(&b"n1e300"[..]));
    }

    #[test]
    fn nulls_come_last_and_numbers_compare_over_their_types() {
        let decimal = |text: &str| Value::Decimal(text.to_owned());
        let mut values =
            [Value::Null, decimal("NaN"), Value::Integer(2), decimal("1.5"), Value::Float(1.75), decimal("10")];
        values.sort_by(compare);
        assert_eq!(
            values,
            [decimal("1.5"), Value::Float(1.75), Value::Integer(2), decimal("10"), decimal("NaN"), Value::Null]
        );
        assert_eq!(compare(&Value::Date("infinity".into()), &Value::Date("9999-12-31".into())), Ordering::Greater);
    }
}
