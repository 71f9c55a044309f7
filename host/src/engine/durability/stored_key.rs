//! A key as the state keeps it: with the types of its values, so that the same document can be asked for again.

use serde::{Deserialize, Serialize};

use crate::model::{Key, Value};

/// The parts of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredKey(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Its bits: JSON has no not-a-number.
    Float(u64),
    Decimal(String),
    Text(String),
    Bytes(Vec<u8>),
    Uuid(String),
    Date(String),
    Time(String),
    Timestamp(String),
    Json(String),
}

impl From<&Key> for StoredKey {
    fn from(key: &Key) -> Self {
        let part = |value: &Value| match value.clone() {
            Value::Null => Part::Null,
            Value::Boolean(flag) => Part::Boolean(flag),
            Value::Integer(number) => Part::Integer(number),
            Value::Float(number) => Part::Float(number.to_bits()),
            Value::Decimal(text) => Part::Decimal(text.to_string()),
            Value::Text(text) => Part::Text(text.to_string()),
            Value::Bytes(bytes) => Part::Bytes(bytes.to_vec()),
            Value::Uuid(text) => Part::Uuid(text.to_string()),
            Value::Date(text) => Part::Date(text.to_string()),
            Value::Time(text) => Part::Time(text.to_string()),
            Value::Timestamp(text) => Part::Timestamp(text.to_string()),
            Value::Json(text) => Part::Json(text.to_string()),
        };
        Self(key.parts().iter().map(part).collect())
    }
}

impl From<StoredKey> for Key {
    fn from(StoredKey(parts): StoredKey) -> Self {
        let value = |part| match part {
            Part::Null => Value::Null,
            Part::Boolean(flag) => Value::Boolean(flag),
            Part::Integer(number) => Value::Integer(number),
            Part::Float(bits) => Value::Float(f64::from_bits(bits)),
            Part::Decimal(text) => Value::Decimal(text.into()),
            Part::Text(text) => Value::Text(text.into()),
            Part::Bytes(bytes) => Value::Bytes(bytes.into()),
            Part::Uuid(text) => Value::Uuid(text.into()),
            Part::Date(text) => Value::Date(text.into()),
            Part::Time(text) => Value::Time(text.into()),
            Part::Timestamp(text) => Value::Timestamp(text.into()),
            Part::Json(text) => Value::Json(text.into()),
        };
        Self::new(parts.into_iter().map(value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_the_state_as_it_was() {
        let key = Key::new(vec![
            Value::Integer(-1),
            Value::Boolean(true),
            Value::Float(f64::NAN),
            Value::Decimal("1.50".into()),
            Value::Text("a:b".into()),
            Value::Bytes(vec![0, 255].into()),
            Value::Uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13".into()),
            Value::Timestamp("2020-01-02T03:04:05+00:00".into()),
            Value::Null,
        ]);
        let stored = serde_json::to_vec(&StoredKey::from(&key)).unwrap_or_default();
        let read: Result<StoredKey, _> = serde_json::from_slice(&stored);
        assert_eq!(read.ok().map(Key::from), Some(key));
    }
}
