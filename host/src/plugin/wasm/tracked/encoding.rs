//! Values and keys as bytes, for the link table. No encoding is the beginning of another, so that several stand behind each other.
//!
//! Values that are looked for are encoded loosely: whatever a column's type may hold as equal is equal here, since a guest may look
//! for the integer 5 in a column of decimals. Values that meet without being equal wake a document too many, never one too few.
//! Keys of documents are encoded exactly, and read back.

use crate::model::{Key, Value};
use crate::plugin::wasm::bindings::flusso::connector::types::Value as WitValue;

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 3;
const DECIMAL: u8 = 4;
const TEXT: u8 = 5;
const BYTES: u8 = 6;
const UUID: u8 = 7;
const DATE: u8 = 8;
const TIME: u8 = 9;
const TIMESTAMP: u8 = 10;
const JSON: u8 = 11;

/// The largest integer up to which every integer is a float of its own.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// A value, wherever it is held.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Decimal(&'a str),
    Text(&'a str),
    Bytes(&'a [u8]),
    Uuid(&'a str),
    Date(&'a str),
    Time(&'a str),
    Timestamp(&'a str),
    Json(&'a str),
}

macro_rules! views {
    ($($value:ty),+) => { $(
        impl<'a> From<&'a $value> for View<'a> {
            fn from(value: &'a $value) -> Self {
                type Held = $value;
                match value {
                    Held::Null => Self::Null,
                    Held::Boolean(value) => Self::Boolean(*value),
                    Held::Integer(value) => Self::Integer(*value),
                    Held::Float(value) => Self::Float(*value),
                    Held::Decimal(text) => Self::Decimal(text),
                    Held::Text(text) => Self::Text(text),
                    Held::Bytes(bytes) => Self::Bytes(bytes),
                    Held::Uuid(text) => Self::Uuid(text),
                    Held::Date(text) => Self::Date(text),
                    Held::Time(text) => Self::Time(text),
                    Held::Timestamp(text) => Self::Timestamp(text),
                    Held::Json(text) => Self::Json(text),
                }
            }
        }
    )+ };
}

views!(Value, WitValue);

/// Values that are looked for; `None` where one of them is null, which finds nothing.
pub(super) fn looked_for<'a, V: Into<View<'a>>>(values: impl IntoIterator<Item = V>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(9);
    for value in values {
        match value.into() {
            View::Null => return None,
            View::Boolean(value) => out.extend([BOOLEAN, u8::from(value)]),
            View::Integer(value) => put_integer(value, &mut out),
            View::Float(value) if value.fract() == 0.0 && value.abs() < EXACT_FLOAT => {
                #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
                put_integer(value as i64, &mut out);
            }
            View::Float(value) => {
                out.push(FLOAT);
                out.extend_from_slice(&(if value.is_nan() { f64::NAN } else { value }).to_bits().to_be_bytes());
            }
            View::Decimal(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(value), _) => put_integer(value, &mut out),
                // A column of floats is asked with decimals, and the other way round.
                (_, Ok(value)) => {
                    out.push(FLOAT);
                    out.extend_from_slice(&(if value.is_nan() { f64::NAN } else { value }).to_bits().to_be_bytes());
                }
                _ => put_bytes(DECIMAL, text.as_bytes(), &mut out),
            },
            View::Bytes(bytes) => put_bytes(BYTES, bytes, &mut out),
            View::Text(text)
            | View::Uuid(text)
            | View::Date(text)
            | View::Time(text)
            | View::Timestamp(text)
            | View::Json(text) => match packed_uuid(text) {
                Some(bytes) => {
                    out.push(UUID);
                    out.extend_from_slice(&bytes);
                }
                None => put_bytes(TEXT, text.as_bytes(), &mut out),
            },
        }
    }
    Some(out)
}

/// The key of a document, encoded, whose parts are equal to values that are looked for; `None` where several keys may be. A
/// function of the encoded values alone: what a column holds as equal leads to one key.
pub(super) fn key_of_values(values: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut count, mut rest) = (vec![0], 0_u8, values);
    while let Some((tag, after)) = rest.split_first() {
        rest = after;
        match *tag {
            BOOLEAN => out.extend([BOOLEAN, u8::from_be_bytes(take(&mut rest)?)]),
            INTEGER => {
                out.push(INTEGER);
                out.extend(take::<8>(&mut rest)?);
            }
            TEXT => put_bytes(TEXT, take_bytes(&mut rest)?, &mut out),
            UUID => put_bytes(UUID, uuid_text(take(&mut rest)?).as_bytes(), &mut out),
            _ => return None,
        }
        count = count.checked_add(1)?;
    }
    *out.first_mut()? = count;
    Some(out)
}

/// As the contract writes a UUID.
fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    text
}

/// The 16 bytes of what looks like a UUID.
fn packed_uuid(text: &str) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut digits = text.bytes().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
    if ![8, 13, 18, 23].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-')) {
        return None;
    }
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        let (high, low) = (digits.next()?.1, digits.next()?.1);
        let digit = |character: u8| char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// The highest byte first, and negative numbers before the others, so that numbers that follow each other are stored together.
fn put_integer(value: i64, out: &mut Vec<u8>) {
    out.push(INTEGER);
    out.extend_from_slice(&(value ^ i64::MIN).to_be_bytes());
}

fn put_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A document's key.
pub(super) fn key(key: &Key) -> Vec<u8> {
    key_of(key.parts())
}

/// The key of these parts.
pub(super) fn key_of<'a, V: Into<View<'a>>>(parts: impl IntoIterator<Item = V>) -> Vec<u8> {
    let mut out = Vec::with_capacity(10);
    out.push(0);
    let mut count = 0_u8;
    for part in parts {
        count = count.saturating_add(1);
        match part.into() {
            View::Null => out.push(NULL),
            View::Boolean(value) => out.extend([BOOLEAN, u8::from(value)]),
            View::Integer(value) => put_integer(value, &mut out),
            View::Float(value) => {
                out.push(FLOAT);
                out.extend_from_slice(&value.to_bits().to_be_bytes());
            }
            View::Decimal(text) => put_bytes(DECIMAL, text.as_bytes(), &mut out),
            View::Text(text) => put_bytes(TEXT, text.as_bytes(), &mut out),
            View::Bytes(bytes) => put_bytes(BYTES, bytes, &mut out),
            View::Uuid(text) => put_bytes(UUID, text.as_bytes(), &mut out),
            View::Date(text) => put_bytes(DATE, text.as_bytes(), &mut out),
            View::Time(text) => put_bytes(TIME, text.as_bytes(), &mut out),
            View::Timestamp(text) => put_bytes(TIMESTAMP, text.as_bytes(), &mut out),
            View::Json(text) => put_bytes(JSON, text.as_bytes(), &mut out),
        }
    }
    if let Some(first) = out.first_mut() {
        *first = count;
    }
    out
}

/// A key as [`key`] wrote it; `None`: it did not.
pub(super) fn read_key(bytes: &[u8]) -> Option<Key> {
    let (count, mut rest) = bytes.split_first()?;
    let mut parts = Vec::with_capacity(usize::from(*count));
    for _ in 0..*count {
        let (tag, after) = rest.split_first()?;
        rest = after;
        parts.push(match *tag {
            NULL => Value::Null,
            BOOLEAN => {
                let (byte, after) = rest.split_first()?;
                rest = after;
                Value::Boolean(*byte != 0)
            }
            INTEGER => Value::Integer(i64::from_be_bytes(take(&mut rest)?) ^ i64::MIN),
            FLOAT => Value::Float(f64::from_bits(u64::from_be_bytes(take(&mut rest)?))),
            BYTES => Value::Bytes(take_bytes(&mut rest)?.to_vec()),
            tag => {
                let text = String::from_utf8(take_bytes(&mut rest)?.to_vec()).ok()?;
                match tag {
                    DECIMAL => Value::Decimal(text),
                    TEXT => Value::Text(text),
                    UUID => Value::Uuid(text),
                    DATE => Value::Date(text),
                    TIME => Value::Time(text),
                    TIMESTAMP => Value::Timestamp(text),
                    JSON => Value::Json(text),
                    _ => return None,
                }
            }
        });
    }
    rest.is_empty().then(|| Key::new(parts))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_be_bytes(take(rest)?)).ok()?;
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_value() -> Vec<Value> {
        let text = |text: &str| text.to_owned();
        vec![
            Value::Null,
            Value::Boolean(true),
            Value::Integer(-7),
            Value::Integer(i64::MAX),
            Value::Float(2.5),
            Value::Decimal(text("12345678901234567890.5")),
            Value::Text(text("a:b")),
            Value::Bytes(vec![0, 1, 255]),
            Value::Uuid(text("3f2504e0-4f89-11d3-9a0c-0305e82c3301")),
            Value::Date(text("2024-02-29")),
            Value::Time(text("12:00:00")),
            Value::Timestamp(text("2024-02-29T12:00:00+00:00")),
            Value::Json(text("{}")),
        ]
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for value in every_value() {
            let one = Key::from(value.clone());
            assert_eq!(read_key(&key(&one)), Some(one));
            let several = Key::new(vec![value.clone(), Value::Integer(1), value]);
            assert_eq!(read_key(&key(&several)), Some(several));
        }
    }

    #[test]
    fn values_that_are_looked_for_lead_to_one_key_or_to_none() {
        let leads = |value: Value| looked_for([&value]).and_then(|values| key_of_values(&values));
        let text = |text: &str| text.to_owned();
        for value in [Value::Boolean(true), Value::Integer(-7), Value::Text(text("a:b"))] {
            assert_eq!(leads(value.clone()), Some(key(&Key::from(value))));
        }
        let uuid = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
        let of_uuid = Some(key(&Key::from(Value::Uuid(text(uuid)))));
        assert_eq!(leads(Value::Uuid(text(uuid))), of_uuid);
        assert_eq!(leads(Value::Text(uuid.to_uppercase())), of_uuid, "as a column of UUIDs has it");
        assert_eq!(leads(Value::Decimal(text("5"))), Some(key(&Key::from(Value::Integer(5)))));
        assert_eq!(leads(Value::Date(text("2024-02-29"))), Some(key(&Key::from(Value::Text(text("2024-02-29"))))));
        assert_eq!(leads(Value::Float(2.5)), None);
        assert_eq!(leads(Value::Bytes(vec![1])), None);
        let two = [Value::Integer(1), Value::Text(text("x"))];
        let values = looked_for(&two).unwrap_or_default();
        assert_eq!(key_of_values(&values), Some(key(&Key::new(two.to_vec()))));
    }

    #[test]
    fn no_encoding_is_the_beginning_of_another() {
        let (keys, values) = (every_value(), every_value());
        let keys: Vec<_> = keys.into_iter().map(|value| key(&Key::from(value))).collect();
        let values: Vec<_> = values.iter().filter_map(|value| looked_for([value])).collect();
        for list in [keys, values] {
            for (at, one) in list.iter().enumerate() {
                assert!(
                    list.iter().enumerate().all(|(other, bytes)| other == at || !bytes.starts_with(one)),
                    "{one:?}"
                );
            }
        }
    }

    #[test]
    fn what_a_column_holds_as_equal_is_looked_for_alike() {
        let alike = |a: Value, b: Value| assert_eq!(looked_for([&a]), looked_for([&b]), "{a:?} {b:?}");
        alike(Value::Integer(5), Value::Decimal("5".to_owned()));
        alike(Value::Integer(5), Value::Float(5.0));
        alike(Value::Float(-0.0), Value::Integer(0));
        alike(Value::Decimal("2.5".to_owned()), Value::Float(2.5));
        let upper = "3F2504E0-4F89-11D3-9A0C-0305E82C3301";
        alike(Value::Uuid(upper.to_lowercase()), Value::Text(upper.to_owned()));
        assert_ne!(looked_for([&Value::Text("1".to_owned())]), looked_for([&Value::Text("2".to_owned())]));
        assert_eq!(looked_for([&Value::Integer(1), &Value::Null]), None);
    }
}
