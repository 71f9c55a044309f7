//! Keys as bytes: to tell them apart in a map, and to write them into a cursor.

use flusso_plugin::{Key, Value};

/// A key's bytes: the same for equal keys, others for different ones.
pub fn code(key: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 * key.len());
    key.iter().for_each(|value| write(value, &mut out));
    out
}

/// Appends one value.
pub(crate) fn write(value: &Value, out: &mut Vec<u8>) {
    let mut put = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        number(bytes.len(), out);
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Null => put(0, &[]),
        Value::Boolean(it) => put(1, &[u8::from(*it)]),
        Value::Integer(it) => put(2, &it.to_le_bytes()),
        // Not-a-number equals itself, and there is one zero.
        Value::Float(it) if it.is_nan() => put(3, &f64::NAN.to_bits().to_le_bytes()),
        Value::Float(it) => put(3, &(it + 0.0).to_bits().to_le_bytes()),
        Value::Decimal(it) => put(4, it.as_bytes()),
        Value::Text(it) => put(5, it.as_bytes()),
        Value::Bytes(it) => put(6, it),
        Value::Uuid(it) => put(7, it.as_bytes()),
        Value::Date(it) => put(8, it.as_bytes()),
        Value::Time(it) => put(9, it.as_bytes()),
        Value::Timestamp(it) => put(10, it.as_bytes()),
        Value::Json(it) => put(11, it.as_bytes()),
    }
}

/// Appends a count.
pub(crate) fn number(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// Reads what was written; `None` where the bytes are not that.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn number(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?)).ok()
    }

    pub(crate) fn eight(&mut self) -> Option<[u8; 8]> {
        self.bytes(8)?.try_into().ok()
    }

    /// A list, each item read by `item`. Takes nothing on trust: it grows as items are found.
    pub(crate) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    pub(crate) fn key(&mut self) -> Option<Key> {
        self.list(Self::value)
    }

    fn value(&mut self) -> Option<Value> {
        let tag = *self.bytes(1)?.first()?;
        let length = self.number()?;
        let bytes = self.bytes(length)?;
        let text = || String::from_utf8(bytes.to_vec()).ok();
        Some(match tag {
            0 => Value::Null,
            1 => Value::Boolean(*bytes.first()? != 0),
            2 => Value::Integer(i64::from_le_bytes(bytes.try_into().ok()?)),
            3 => Value::Float(f64::from_bits(u64::from_le_bytes(bytes.try_into().ok()?))),
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
}

/// Appends a list of values with its length.
pub(crate) fn write_key(key: &[Value], out: &mut Vec<u8>) {
    number(key.len(), out);
    key.iter().for_each(|value| write(value, out));
}
