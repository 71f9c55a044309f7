//! The columns of a table: what their values have been so far, and what a value is that is written so.
//!
//! A column of a CSV file has the narrowest type that all its values fit, or the one that is set; an empty value is null. A number of
//! JSON is a whole number where all numbers of its column are, else a decimal; objects and lists are JSON.

use flusso_plugin::Value;
use serde_json::value::RawValue;

/// The type of a column of a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    Text,
    Integer,
    Decimal,
    Boolean,
    Date,
    Timestamp,
    Json,
}

/// What the values of a column have been so far.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    set: Option<Type>,
    integer: bool,
    decimal: bool,
    boolean: bool,
    date: bool,
    timestamp: bool,
    /// There was a value.
    seen: bool,
}

impl Column {
    pub(crate) fn new(name: &str, set: Option<Type>) -> Self {
        Self {
            name: name.to_owned(),
            set,
            integer: true,
            decimal: true,
            boolean: true,
            date: true,
            timestamp: true,
            seen: false,
        }
    }

    /// Whether its type is set, or follows from a value.
    pub(crate) fn is_known(&self) -> bool {
        self.seen || self.set.is_some()
    }

    /// The type of its values, all of them seen.
    pub(crate) fn kind(&self) -> Type {
        match self.set {
            Some(kind) => kind,
            None if !self.seen => Type::Text,
            None if self.integer => Type::Integer,
            None if self.decimal => Type::Decimal,
            None if self.boolean => Type::Boolean,
            None if self.date => Type::Date,
            None if self.timestamp => Type::Timestamp,
            None => Type::Text,
        }
    }

    pub(crate) fn see(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.seen = true;
        self.integer &= is_integer(text);
        self.decimal &= is_decimal(text);
        self.boolean &= matches!(text, "true" | "false");
        self.date &= is_date(text);
        self.timestamp &= is_timestamp(text);
    }

    pub(crate) fn see_number(&mut self, text: &str) {
        self.seen = true;
        self.integer &= text.parse::<i64>().is_ok();
    }
}

/// `0`, `-12`; no sign before it, no zero before it, at most 64 bits: what comes back as it was.
fn is_integer(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|number| number.to_string() == text)
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole) && are_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
}

fn is_timestamp(text: &str) -> bool {
    text.get(..10).is_some_and(is_date)
        && text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b' '))
        && text.get(11..19).is_some_and(|time| {
            time.bytes()
                .enumerate()
                .all(|(at, byte)| if matches!(at, 2 | 5) { byte == b':' } else { byte.is_ascii_digit() })
        })
        && text.get(19..).is_some_and(|rest| {
            matches!(rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()), "" | "Z" | "+00:00")
        })
}

/// A decimal in its one form: no superfluous zeros.
fn decimal(text: &str) -> Option<String> {
    let number: bigdecimal::BigDecimal = text.parse().ok()?;
    Some(number.normalized().to_plain_string())
}

/// A moment in its one form.
fn timestamp(text: &str) -> String {
    let (moment, offset) = match text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00")) {
        Some(moment) => (moment, "+00:00"),
        None => (text, ""),
    };
    let mut moment = moment.replacen(' ', "T", 1);
    if moment.contains('.') {
        moment.truncate(moment.trim_end_matches('0').trim_end_matches('.').len());
    }
    moment + offset
}

/// A value of a CSV file; none: it does not fit the type.
pub(crate) fn csv_value(text: &str, kind: Type) -> Option<Value> {
    Some(match kind {
        _ if text.is_empty() => Value::Null,
        Type::Text => Value::Text(text.to_owned()),
        Type::Integer => Value::Integer(text.parse().ok()?),
        Type::Decimal => Value::Decimal(decimal(text)?),
        Type::Boolean => Value::Boolean(match text {
            "true" => true,
            "false" => false,
            _ => return None,
        }),
        Type::Date => Value::Date(is_date(text).then(|| text.to_owned())?),
        Type::Timestamp => Value::Timestamp(is_timestamp(text).then(|| timestamp(text))?),
        Type::Json => Value::Json(serde_json::from_str::<&RawValue>(text).ok()?.get().to_owned()),
    })
}

/// A value of JSON.
pub(crate) fn json_value(value: &RawValue, column: Option<&Column>) -> Option<Value> {
    let text = value.get();
    Some(match text.as_bytes().first()? {
        b'n' => Value::Null,
        b't' | b'f' => Value::Boolean(text == "true"),
        b'"' => Value::Text(serde_json::from_str(text).ok()?),
        b'{' | b'[' => Value::Json(text.to_owned()),
        _ if column.is_some_and(|column| column.integer) => Value::Integer(text.parse().ok()?),
        _ => Value::Decimal(decimal(text)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> Type {
        let mut column = Column::new("x", None);
        values.iter().for_each(|value| column.see(value));
        column.kind()
    }

    #[test]
    fn a_column_has_the_narrowest_type_that_loses_nothing() {
        assert_eq!(kind(&["1", "-20", ""]), Type::Integer);
        assert_eq!(kind(&["1", "2.50"]), Type::Decimal);
        assert_eq!(kind(&["007"]), Type::Text, "a number would lose the zeros");
        assert_eq!(kind(&["+1"]), Type::Text);
        assert_eq!(kind(&["99999999999999999999"]), Type::Decimal, "more than 64 bits");
        assert_eq!(kind(&["true", "false"]), Type::Boolean);
        assert_eq!(kind(&["2026-01-05"]), Type::Date);
        assert_eq!(kind(&["2026-01-05 10:00:00", "2026-01-05T10:00:00.5Z"]), Type::Timestamp);
        assert_eq!(kind(&["1", "x"]), Type::Text);
        assert_eq!(kind(&["", ""]), Type::Text);
    }

    #[test]
    fn a_value_has_one_form() {
        assert_eq!(csv_value("2.50", Type::Decimal), Some(Value::Decimal("2.5".to_owned())));
        let moment = Some(Value::Timestamp("2026-01-05T10:00:00.5+00:00".to_owned()));
        assert_eq!(csv_value("2026-01-05 10:00:00.500Z", Type::Timestamp), moment);
        assert_eq!(csv_value("", Type::Integer), Some(Value::Null));
        assert_eq!(csv_value("x", Type::Integer), None);
    }
}
