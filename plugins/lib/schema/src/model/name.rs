//! Names of tables and columns, checked.

use serde::Serialize;
use std::fmt;

/// The name of a table, column or database schema: `^[a-z_][a-z0-9_]*$`, at most 63 characters. Needs no quoting beyond
/// the usual (it may still be a word of SQL).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Identifier(String);

impl Identifier {
    /// The longest name PostgreSQL keeps, in bytes.
    pub const MAX: usize = 63;

    /// The name, if it is one.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = name.bytes();
        let first = bytes.next()?;
        let valid = (first == b'_' || first.is_ascii_lowercase())
            && bytes.all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
            && name.len() <= Self::MAX;
        valid.then(|| Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl AsRef<str> for Identifier {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A table, always with its database schema: two schemas may hold tables of one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TableName {
    /// The database schema, such as `public`.
    pub schema: Identifier,
    /// The table.
    pub name: Identifier,
}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.schema, self.name)
    }
}

/// The columns that name one row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Key {
    /// These, in this order; at least one.
    Declared(Vec<Identifier>),
    /// The file does not say: the primary key that the source's catalogue tells.
    FromCatalogue,
}

impl Key {
    /// The declared columns; none when the catalogue has to be asked.
    pub fn columns(&self) -> &[Identifier] {
        match self {
            Self::Declared(columns) => columns,
            Self::FromCatalogue => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_lower_case_and_short() {
        for name in ["a", "_", "order_items", "t2"] {
            assert!(Identifier::new(name).is_some(), "{name}");
        }
        for name in ["", "2t", "Users", "naïve", "a b", "a\"", &"x".repeat(64)] {
            assert!(Identifier::new(name).is_none(), "{name}");
        }
    }
}
