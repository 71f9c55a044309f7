//! Scalars and keys.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};

/// A scalar with its type kept apart, in the contract's one canonical form: equal values of one column are equal here,
/// whichever path read them.
#[derive(Clone, Debug)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// Any integer of up to 64 bits.
    Integer(i64),
    /// A binary floating point number; not-a-number equals itself.
    Float(f64),
    /// A decimal number as normalised text.
    Decimal(String),
    /// Text, as it is.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A UUID, lower case with hyphens.
    Uuid(String),
    /// `YYYY-MM-DD`.
    Date(String),
    /// `HH:MM:SS[.ffffff][±HH:MM]`.
    Time(String),
    /// `YYYY-MM-DDTHH:MM:SS[.ffffff][±HH:MM]`.
    Timestamp(String),
    /// A JSON text.
    Json(String),
}

/// The values of some columns, in an order that the place where it stands defines.
pub type Row = Vec<Value>;

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Boolean(_) => 1,
            Self::Integer(_) => 2,
            Self::Float(_) => 3,
            Self::Decimal(_) => 4,
            Self::Text(_) => 5,
            Self::Bytes(_) => 6,
            Self::Uuid(_) => 7,
            Self::Date(_) => 8,
            Self::Time(_) => 9,
            Self::Timestamp(_) => 10,
            Self::Json(_) => 11,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Decimal(text)
            | Self::Text(text)
            | Self::Uuid(text)
            | Self::Date(text)
            | Self::Time(text)
            | Self::Timestamp(text)
            | Self::Json(text) => Some(text),
            _ => None,
        }
    }

    /// About how many bytes it occupies, for limits of size.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Bytes(bytes) => bytes.len(),
                other => other.text().map_or(0, str::len),
            }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => canonical_bits(*a) == canonical_bits(*b),
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            _ => self.rank() == other.rank() && self.text().is_some() && self.text() == other.text(),
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Self::Null => {}
            Self::Boolean(value) => value.hash(state),
            Self::Integer(value) => value.hash(state),
            Self::Float(value) => canonical_bits(*value).hash(state),
            Self::Bytes(bytes) => bytes.hash(state),
            other => other.text().hash(state),
        }
    }
}

/// One bit pattern for every not-a-number, and one for both zeros, as in SQL.
fn canonical_bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

impl fmt::Display for Value {
    /// The form in which a value stands in a document's id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            other => f.write_str(other.text().unwrap_or_default()),
        }
    }
}

/// The values of a table's key columns, in the order of its [`TableInterest`](super::TableInterest).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Parts);

/// A key of one part, by far the most common, needs no list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Parts {
    One(Value),
    Many(Box<[Value]>),
}

impl Key {
    /// A key of these parts. None: the key of a truncate, or of a table without one.
    pub fn new(mut parts: Vec<Value>) -> Self {
        match parts.pop() {
            Some(only) if parts.is_empty() => Self(Parts::One(only)),
            Some(last) => {
                parts.push(last);
                Self(Parts::Many(parts.into_boxed_slice()))
            }
            None => Self(Parts::Many(Box::default())),
        }
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Value] {
        match &self.0 {
            Parts::One(value) => std::slice::from_ref(value),
            Parts::Many(values) => values,
        }
    }

    /// The sink's `_id`: the parts joined by `:`; in a composite key `:` and `\` inside a part are escaped by `\`, so that
    /// two keys never meet.
    pub fn document_id(&self) -> String {
        let mut id = String::new();
        match &self.0 {
            Parts::One(Value::Text(text)) => id.push_str(text),
            Parts::One(value) => {
                // Writing to a string cannot fail.
                let _ = write!(id, "{value}");
            }
            Parts::Many(values) => {
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        id.push(':');
                    }
                    for character in value.to_string().chars() {
                        if matches!(character, ':' | '\\') {
                            id.push('\\');
                        }
                        id.push(character);
                    }
                }
            }
        }
        id
    }

    /// About how many bytes it occupies, for limits of size.
    pub fn size(&self) -> usize {
        self.parts().iter().map(Value::size).sum()
    }
}

impl From<Value> for Key {
    fn from(value: Value) -> Self {
        Self(Parts::One(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_two_composite_keys_never_meet() {
        let text = |text: &str| Value::Text(text.to_owned());
        let a = Key::new(vec![text("a:b"), text("c")]).document_id();
        let b = Key::new(vec![text("a"), text("b:c")]).document_id();
        assert_eq!((a.as_str(), b.as_str()), (r"a\:b:c", r"a:b\:c"));
    }

    #[test]
    fn a_single_key_is_its_own_id() {
        assert_eq!(Key::from(Value::Text("a:b".to_owned())).document_id(), "a:b");
        assert_eq!(Key::new(vec![Value::Integer(-42)]).document_id(), "-42");
        assert_eq!(Key::from(Value::Bytes(vec![0, 255])).document_id(), "00ff");
    }

    #[test]
    fn values_of_different_types_differ_even_when_they_read_alike() {
        assert_ne!(Value::Integer(1), Value::Text("1".to_owned()));
        assert_ne!(Value::Text("a".to_owned()), Value::Json("a".to_owned()));
        assert_ne!(Value::Null, Value::Text(String::new()));
        assert_eq!(Value::Float(0.0), Value::Float(-0.0));
        assert_eq!(Value::Float(f64::NAN), Value::Float(-f64::NAN));
    }
}
