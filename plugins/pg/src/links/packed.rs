//! Keys and links as bytes: short, equal where the values are, and for numbers in an order in which neighbours differ in the
//! last byte alone.

use crate::protocol::codec::Kind;
use flusso_plugin::{Key, Value};

/// Tags of values that have a form of their own; an integer's tag holds how many bytes follow.
const NEGATIVE: u8 = 0x10;
const NATURAL: u8 = 0x20;
const UUID: u8 = 0x30;

/// Appends a value that the server printed.
#[inline]
pub fn put_text(kind: Kind, text: &[u8], out: &mut Vec<u8>) {
    match kind {
        Kind::Integer => match natural(text) {
            Some(number) => put_number(NATURAL, number, out),
            None => put(&kind.decode(text), out),
        },
        Kind::Uuid => {
            if !put_uuid(text, out) {
                put(&kind.decode(text), out);
            }
        }
        _ => put(&kind.decode(text), out),
    }
}

/// Appends a value.
pub fn put(value: &Value, out: &mut Vec<u8>) {
    let mut bytes = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        put_length(bytes.len(), out);
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Null => bytes(0, &[]),
        Value::Boolean(it) => bytes(1, &[u8::from(*it)]),
        Value::Integer(it) => match u64::try_from(*it) {
            Ok(natural) => put_number(NATURAL, natural, out),
            Err(_) => put_number(NEGATIVE, it.unsigned_abs(), out),
        },
        Value::Float(it) if it.is_nan() => bytes(3, &f64::NAN.to_bits().to_be_bytes()),
        Value::Float(it) => bytes(3, &(it + 0.0).to_bits().to_be_bytes()),
        Value::Decimal(it) => bytes(4, it.as_bytes()),
        Value::Text(it) => bytes(5, it.as_bytes()),
        Value::Bytes(it) => bytes(6, it),
        Value::Uuid(it) => {
            if !put_uuid(it.as_bytes(), out) {
                put_other(7, it.as_bytes(), out);
            }
        }
        Value::Date(it) => bytes(8, it.as_bytes()),
        Value::Time(it) => bytes(9, it.as_bytes()),
        Value::Timestamp(it) => bytes(10, it.as_bytes()),
        Value::Json(it) => bytes(11, it.as_bytes()),
    }
}

fn put_other(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Digits alone, of a number that is printed as they are.
#[inline]
fn natural(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 18 && (text.len() == 1 || text.first() != Some(&b'0'));
    if !plain {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

#[inline]
fn put_number(tag: u8, number: u64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let from = usize::try_from(number.leading_zeros() / 8).unwrap_or(0).min(7);
    let bytes = bytes.get(from..).unwrap_or_default();
    out.push(tag | u8::try_from(bytes.len()).unwrap_or(8));
    out.extend_from_slice(bytes);
}

/// A uuid as the server prints it: 16 bytes.
fn put_uuid(text: &[u8], out: &mut Vec<u8>) -> bool {
    if text.len() != 36 {
        return false;
    }
    let start = out.len();
    out.push(UUID);
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut high = None;
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte == b'-' {
                continue;
            }
        } else if let Some(digit) = digit(*byte) {
            match high.take() {
                None => high = Some(digit << 4),
                Some(high) => out.push(high | digit),
            }
            continue;
        }
        out.truncate(start);
        return false;
    }
    true
}

/// Appends a length, as an unsigned LEB128 number.
#[inline]
pub fn put_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        let byte = u8::try_from(length & 0x7f).unwrap_or(0);
        length >>= 7;
        if length == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

/// A whole key.
pub fn key(key: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * key.len());
    key.iter().for_each(|value| put(value, &mut out));
    out
}

/// The values that were written; `None` where the bytes are not that.
pub fn values(mut bytes: &[u8]) -> Option<Key> {
    let mut key = Key::new();
    while !bytes.is_empty() {
        key.push(value(&mut bytes)?);
    }
    Some(key)
}

fn value(rest: &mut &[u8]) -> Option<Value> {
    let mut take = |count: usize| {
        let (head, tail) = rest.split_at_checked(count)?;
        *rest = tail;
        Some(head)
    };
    let tag = *take(1)?.first()?;
    if matches!(tag & 0xf0, NATURAL | NEGATIVE) {
        let number = take(usize::from(tag & 0x0f))?.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let number = i128::from(number);
        let number = if tag & 0xf0 == NEGATIVE { -number } else { number };
        return i64::try_from(number).ok().map(Value::Integer);
    }
    if tag == UUID {
        let mut text = String::with_capacity(36);
        for (at, byte) in take(16)?.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16)?);
            }
        }
        return Some(Value::Uuid(text));
    }
    let mut length = 0_usize;
    for shift in (0..32).step_by(7) {
        let byte = *take(1)?.first()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let bytes = take(length)?;
    let text = || String::from_utf8(bytes.to_vec()).ok();
    Some(match tag {
        0 => Value::Null,
        1 => Value::Boolean(*bytes.first()? != 0),
        3 => Value::Float(f64::from_bits(u64::from_be_bytes(bytes.try_into().ok()?))),
        4 => Value::Decimal(text()?),
        5 => Value::Text(text()?),
        6 => Value::Bytes(bytes.to_vec()),
        7 => Value::Uuid(text()?),
        8 => Value::Date(text()?),
        9 => Value::Time(text()?),
        10 => Value::Timestamp(text()?),
        11 => Value::Json(text()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_and_is_told_apart() {
        let text = |text: &str| text.to_owned();
        let all = [
            Value::Null,
            Value::Boolean(true),
            Value::Boolean(false),
            Value::Integer(0),
            Value::Integer(1),
            Value::Integer(-1),
            Value::Integer(255),
            Value::Integer(256),
            Value::Integer(-256),
            Value::Integer(i64::MAX),
            Value::Integer(i64::MIN),
            Value::Float(1.5),
            Value::Decimal(text("1.5")),
            Value::Text(text("1")),
            Value::Text("x".repeat(300)),
            Value::Bytes(vec![0, 255]),
            Value::Uuid(text("00112233-4455-6677-8899-aabbccddeeff")),
            Value::Uuid(text("NO UUID")),
            Value::Date(text("2020-01-02")),
            Value::Time(text("10:00:00")),
            Value::Timestamp(text("2020-01-02T10:00:00")),
            Value::Json(text("{}")),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for value in &all {
            let bytes = key(std::slice::from_ref(value));
            assert_eq!(values(&bytes).as_deref(), Some(std::slice::from_ref(value)));
            assert!(seen.insert(bytes), "{value:?}");
        }
        assert_eq!(values(&key(&all)).as_deref(), Some(&all[..]));
        assert_eq!(values(&[0x24, 1]), None);
        assert_eq!(values(&[5, 9, b'x']), None);
    }

    #[test]
    fn text_from_the_server_and_values_from_the_stream_are_the_same_bytes() {
        let cases = [
            (Kind::Integer, "0"),
            (Kind::Integer, "-12"),
            (Kind::Integer, "007"),
            (Kind::Integer, "300000"),
            (Kind::Integer, "9223372036854775807"),
            (Kind::Integer, "-9223372036854775808"),
            (Kind::Uuid, "00112233-4455-6677-8899-aabbccddeeff"),
            (Kind::Uuid, "00112233-4455-6677-8899-AABBCCDDEEFF"),
            (Kind::Text, "Ä"),
            (Kind::Decimal, "1.50"),
            (Kind::Float, "-0"),
            (Kind::Timestamp, "2020-01-02 03:04:05+00"),
            (Kind::Bytes, "\\x00ff"),
            (Kind::Boolean, "t"),
        ];
        for (kind, text) in cases {
            let (mut ours, value) = (Vec::new(), kind.decode(text.as_bytes()));
            put_text(kind, text.as_bytes(), &mut ours);
            assert_eq!(ours, key(&[value]), "{text}");
        }
    }

    #[test]
    fn neighbours_differ_in_the_last_byte() {
        let (a, b) = (key(&[Value::Integer(300_000)]), key(&[Value::Integer(300_001)]));
        assert_eq!(a.len(), 4);
        assert_eq!((a.split_last().unwrap().1, a < b), (b.split_last().unwrap().1, true));
    }
}
