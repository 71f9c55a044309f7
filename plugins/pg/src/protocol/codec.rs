//! One codec for keys and links: what the change stream, the snapshot and the reader print of a value becomes the same
//! [`Value`], and a [`Value`] becomes the text that the server reads back as the same value.

use crate::protocol::pg_types;
use flusso_plugin::Value;

/// What a column's base type is to the codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `boolean`.
    Boolean,
    /// Up to 64 bits.
    Integer,
    /// `real`, `double precision`.
    Float,
    /// `numeric`.
    Decimal,
    /// `bytea`.
    Bytes,
    /// `uuid`.
    Uuid,
    /// `date`.
    Date,
    /// `time`, with and without a zone.
    Time,
    /// `timestamp`, with and without a zone.
    Timestamp,
    /// `json`, `jsonb`.
    Json,
    /// Everything else, as the server prints it.
    Text,
}

impl Kind {
    /// By the oid of the base type (domains resolved).
    pub fn of(base: u32) -> Self {
        pg_types::find(base).map_or(Self::Text, |row| row.kind)
    }

    /// What the server printed, as a value. What does not look like its type stays text, so nothing is lost.
    pub fn decode(self, text: &[u8]) -> Value {
        let text = String::from_utf8_lossy(text);
        match self {
            Self::Boolean => match text.as_ref() {
                "t" | "true" => Value::Boolean(true),
                "f" | "false" => Value::Boolean(false),
                _ => Value::Text(text.into_owned()),
            },
            Self::Integer => text.parse().map_or_else(|_| Value::Text(text.into_owned()), Value::Integer),
            // Adding zero makes the negative zero a zero: to the server they are one key.
            Self::Float => {
                text.parse::<f64>().map_or_else(|_| Value::Text(text.into_owned()), |number| Value::Float(number + 0.0))
            }
            Self::Decimal => Value::Decimal(decimal(&text)),
            Self::Bytes => unhex(&text).map_or_else(|| Value::Text(text.into_owned()), Value::Bytes),
            Self::Uuid => Value::Uuid(text.into_owned()),
            Self::Date => Value::Date(text.into_owned()),
            Self::Time => Value::Time(zone(&text)),
            Self::Timestamp => Value::Timestamp(timestamp(&text)),
            Self::Json => Value::Json(text.into_owned()),
            Self::Text => Value::Text(text.into_owned()),
        }
    }
}

impl Kind {
    /// Whether the text is this value's.
    pub fn is(self, value: &Value, text: &[u8]) -> bool {
        let (mut given, mut found) = (Vec::with_capacity(24), Vec::with_capacity(24));
        distinguish(value, &mut given);
        distinguish(&self.decode(text), &mut found);
        given == found
    }
}

/// The text that the server reads as this value; `None` is null.
pub fn encode(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Boolean(value) => if *value { "t" } else { "f" }.to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) if number.is_nan() => "NaN".to_owned(),
        Value::Float(number) if number.is_infinite() => if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Value::Float(number) => format!("{number:e}"),
        Value::Bytes(bytes) => bytes.iter().fold(String::from("\\x"), |mut out, byte| {
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
            out
        }),
        Value::Decimal(text)
        | Value::Text(text)
        | Value::Uuid(text)
        | Value::Date(text)
        | Value::Time(text)
        | Value::Timestamp(text)
        | Value::Json(text) => text.clone(),
    })
}

/// Appends what two equal values have in common and two different ones have not, to tell keys apart in a map.
pub fn distinguish(value: &Value, out: &mut Vec<u8>) {
    let mut text = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Null => text(0, &[]),
        Value::Boolean(value) => text(1, &[u8::from(*value)]),
        Value::Integer(number) => text(2, &number.to_le_bytes()),
        Value::Float(number) if number.is_nan() => text(3, &[]),
        Value::Float(number) => text(3, &number.to_bits().to_le_bytes()),
        Value::Decimal(it) => text(4, it.as_bytes()),
        Value::Text(it) => text(5, it.as_bytes()),
        Value::Bytes(it) => text(6, it),
        Value::Uuid(it) => text(7, it.as_bytes()),
        Value::Date(it) => text(8, it.as_bytes()),
        Value::Time(it) => text(9, it.as_bytes()),
        Value::Timestamp(it) => text(10, it.as_bytes()),
        Value::Json(it) => text(11, it.as_bytes()),
    }
}

/// A whole key, for a map.
pub fn distinguish_key(key: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 * key.len());
    key.iter().for_each(|value| distinguish(value, &mut out));
    out
}

fn decimal(text: &str) -> String {
    if !text.contains('.') {
        return text.to_owned();
    }
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        short => short.to_owned(),
    }
}

/// `2020-01-02 03:04:05+00` is `2020-01-02T03:04:05+00:00`; `infinity` stays.
fn timestamp(text: &str) -> String {
    match text.split_once(' ') {
        Some((date, time)) if time != "BC" => format!("{date}T{}", zone(time)),
        _ => text.to_owned(),
    }
}

/// `03:04:05+02` is `03:04:05+02:00`; what follows (` BC`) stays.
fn zone(time: &str) -> String {
    let (clock, era) = time.split_once(' ').map_or((time, None), |(clock, era)| (clock, Some(era)));
    let mut out = clock.to_owned();
    if clock.rfind(['+', '-']).is_some_and(|at| clock.len() == at + 3) {
        out.push_str(":00");
    }
    if let Some(era) = era {
        out.push(' ');
        out.push_str(era);
    }
    out
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? * 16 + digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_form() {
        let decode = |oid, text: &str| Kind::of(oid).decode(text.as_bytes());
        assert_eq!(decode(1700, "1.50"), Value::Decimal("1.5".into()));
        assert_eq!(decode(1700, "100"), Value::Decimal("100".into()));
        assert_eq!(decode(1700, "0.00"), Value::Decimal("0".into()));
        assert_eq!(decode(1184, "2020-01-02 03:04:05.6+00"), Value::Timestamp("2020-01-02T03:04:05.6+00:00".into()));
        assert_eq!(decode(1184, "0044-03-15 00:00:00+00 BC"), Value::Timestamp("0044-03-15T00:00:00+00:00 BC".into()));
        assert_eq!(decode(1114, "infinity"), Value::Timestamp("infinity".into()));
        assert_eq!(decode(1082, "0044-03-15 BC"), Value::Date("0044-03-15 BC".into()));
        assert_eq!(decode(1266, "10:00:00-03:30"), Value::Time("10:00:00-03:30".into()));
        assert_eq!(decode(701, "-0"), Value::Float(0.0));
        assert_eq!(decode(17, "\\x00ff"), Value::Bytes(vec![0, 255]));
        assert_eq!(encode(&Value::Bytes(vec![0, 255])).as_deref(), Some("\\x00ff"));
    }
}
