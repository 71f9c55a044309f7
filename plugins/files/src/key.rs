//! Keys as bytes in the order of their values, so that rows that stand beside each other in a file, as most do by their key, are
//! asked for and read together.

use flusso_plugin::{Error, Key, Result, Value};

/// The key of a row, as bytes.
pub(crate) type KeyBytes = Vec<u8>;

/// Ends a text; one byte more says that a zero stood in the text itself.
const END: [u8; 2] = [0, 0];
const ZERO: [u8; 2] = [0, 1];

/// A key as bytes.
pub(crate) fn key_bytes(key: &Key) -> KeyBytes {
    let mut bytes = Vec::with_capacity(9 * key.len());
    for value in key {
        match value {
            Value::Null => bytes.push(0),
            Value::Boolean(flag) => bytes.extend([1, u8::from(*flag)]),
            Value::Integer(number) => {
                bytes.push(2);
                // Negative ones come first.
                bytes.extend((number ^ i64::MIN).to_be_bytes());
            }
            Value::Float(number) => {
                bytes.push(3);
                bytes.extend(number.to_bits().to_be_bytes());
            }
            Value::Decimal(text) => put(4, text.as_bytes(), &mut bytes),
            Value::Text(text) => put(5, text.as_bytes(), &mut bytes),
            Value::Bytes(some) => put(6, some, &mut bytes),
            Value::Uuid(text) => put(7, text.as_bytes(), &mut bytes),
            Value::Date(text) => put(8, text.as_bytes(), &mut bytes),
            Value::Time(text) => put(9, text.as_bytes(), &mut bytes),
            Value::Timestamp(text) => put(10, text.as_bytes(), &mut bytes),
            Value::Json(text) => put(11, text.as_bytes(), &mut bytes),
        }
    }
    bytes
}

fn put(tag: u8, some: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(tag);
    for byte in some {
        match byte {
            0 => bytes.extend(ZERO),
            byte => bytes.push(*byte),
        }
    }
    bytes.extend(END);
}

/// The same back.
///
/// # Errors
///
/// Bytes that are no key.
pub(crate) fn key_of(bytes: &[u8]) -> Result<Key> {
    let (mut key, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        key.push(value(&mut rest).ok_or_else(|| Error::fatal("a key that is none"))?);
    }
    Ok(key)
}

fn value(rest: &mut &[u8]) -> Option<Value> {
    let tag = rest.split_off_first()?;
    Some(match *tag {
        0 => Value::Null,
        1 => Value::Boolean(*rest.split_off_first()? != 0),
        2 => Value::Integer(i64::from_be_bytes(eight(rest)?) ^ i64::MIN),
        3 => Value::Float(f64::from_bits(u64::from_be_bytes(eight(rest)?))),
        6 => Value::Bytes(taken(rest)?),
        tag => {
            let text = String::from_utf8(taken(rest)?).ok()?;
            match tag {
                4 => Value::Decimal(text),
                5 => Value::Text(text),
                7 => Value::Uuid(text),
                8 => Value::Date(text),
                9 => Value::Time(text),
                10 => Value::Timestamp(text),
                11 => Value::Json(text),
                _ => return None,
            }
        }
    })
}

fn eight(rest: &mut &[u8]) -> Option<[u8; 8]> {
    rest.split_off(..8)?.try_into().ok()
}

fn taken(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut some = Vec::new();
    loop {
        match *rest.split_off_first()? {
            0 if *rest.split_off_first()? == END[1] => return Some(some),
            byte => some.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_and_stands_where_its_values_do() {
        let text = |text: &str| Value::Text(text.to_owned());
        let keys = [
            vec![Value::Null],
            vec![Value::Boolean(false)],
            vec![Value::Integer(i64::MIN)],
            vec![Value::Integer(-1)],
            vec![Value::Integer(0)],
            vec![Value::Integer(255), Value::Integer(-7)],
            vec![Value::Integer(255), text("")],
            vec![Value::Integer(255), text("a"), Value::Null],
            vec![Value::Integer(255), text("a\0")],
            vec![Value::Integer(255), text("a\0b")],
            vec![Value::Integer(255), text("aa")],
            vec![Value::Integer(256)],
            vec![Value::Float(1.5)],
            vec![Value::Decimal("1.5".into())],
            vec![Value::Bytes(vec![0, 1, 0])],
            vec![Value::Uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13".into())],
            vec![Value::Date("2020-01-02".into())],
            vec![Value::Time("03:04:05".into())],
            vec![Value::Timestamp("2020-01-02T03:04:05".into())],
            vec![Value::Json("{}".into())],
        ];
        let bytes: Vec<KeyBytes> = keys.iter().map(key_bytes).collect();
        assert!(bytes.is_sorted(), "{bytes:?}");
        for (key, bytes) in keys.iter().zip(&bytes) {
            assert_eq!(key_of(bytes).ok().as_ref(), Some(key));
        }
        for wrong in [&[2, 0][..], &[5, b'a'], &[5, 0], &[12, 0, 0], &[5, 0xff, 0, 0]] {
            assert!(key_of(wrong).is_err(), "{wrong:?}");
        }
    }
}
