//! Names of tables and columns, checked.

use serde::Serialize;
use std::fmt;

/// The name of a table, column or database schema: `^[a-z_][a-z0-9_]*$`, at most 63 characters, or, once a catalogue was asked
/// ([`crate::Schema::resolve_names`]), the name with capitals that the file has and the database as well.
///
/// Two are equal where their names are; how one was written counts only until it is resolved.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Identifier {
    name: String,
    /// As the file has it, where that is not the folded name.
    #[serde(skip)]
    written: Option<String>,
}

impl PartialEq for Identifier {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Identifier {}

impl PartialOrd for Identifier {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Identifier {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}

impl std::hash::Hash for Identifier {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

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
        valid.then(|| Self { name: name.to_owned(), written: None })
    }

    /// The name folded to lower case, as the database folds one without quotes; it remembers how it was written.
    pub fn folded(text: &str) -> Option<Self> {
        let text = text.trim();
        let folded = Self::new(&text.to_lowercase())?;
        let written = (text != folded.name).then(|| text.to_owned());
        Some(Self { written, ..folded })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// As the file has it, where that is another name in the database.
    pub fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// Takes the name as it was written.
    pub(crate) fn take_written(&mut self) {
        if let Some(written) = self.written.take() {
            self.name = written;
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}

impl AsRef<str> for Identifier {
    fn as_ref(&self) -> &str {
        &self.name
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
