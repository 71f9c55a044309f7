//! What is needed of a source's catalogue: columns, how the text of their values looks, and which types they fit.

use flusso_schema::{LeafType, TableName};

/// What a source's catalogue knows.
pub trait Catalogue {
    /// The columns of a table's primary key, empty if it has none; `None` when there is no such table.
    fn key(&self, table: &TableName) -> Option<Vec<String>>;
    /// A column of a table.
    fn column(&self, table: &TableName, column: &str) -> Option<Column>;
    /// The names of a table's columns, for messages.
    fn columns(&self, table: &TableName) -> Vec<String>;
}

/// A column, as far as rendering and linking go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// How its values arrive.
    pub form: Form,
    /// The names its type goes by in the store; for messages, and for `custom`.
    pub type_names: Vec<String>,
    /// Columns with the same word here are equal exactly where their texts are, so that rows can be grouped by the text.
    /// `None`: only the store can tell whether two values are equal (`1.0` and `1.00`).
    pub alike: Option<String>,
}

/// How the text of a column's values looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `t` or `f`.
    Boolean,
    /// Digits with perhaps a minus.
    Integer,
    /// A number of JSON, or `NaN` or an infinity.
    Number,
    /// Any text.
    Text,
    /// 36 characters.
    Uuid,
    /// `2020-01-02`; rarely ` BC` or an infinity.
    Date,
    /// `03:04:05.6`, perhaps with a zone.
    Time,
    /// `2020-01-02 03:04:05.6`.
    Timestamp,
    /// The same in UTC, ending in `+00`.
    TimestampTz,
    /// `\x` and hexadecimal digits.
    Bytes,
    /// JSON.
    Json,
    /// Something with parts (an array, a composite): the executor is asked for it as JSON.
    Structured,
    /// Any other type, shown as its text.
    Other,
}

impl Form {
    /// Whether a field of this type can be read from it. What the sink might still take is let through (text that holds a
    /// date); what never fits is not (a number from a date).
    pub fn fits(self, ty: LeafType) -> bool {
        use LeafType as L;
        match ty {
            L::Text | L::Identifier | L::Keyword | L::Enum => true,
            L::Uuid => matches!(self, Self::Uuid | Self::Text | Self::Other | Self::Structured),
            L::Boolean => matches!(self, Self::Boolean | Self::Structured | Self::Text),
            L::Short | L::Integer | L::Long | L::Float | L::Double | L::Decimal => {
                matches!(self, Self::Integer | Self::Number | Self::Structured | Self::Other | Self::Text)
            }
            L::Date | L::Timestamp => !matches!(self, Self::Boolean | Self::Uuid | Self::Bytes | Self::Json),
            L::Binary => matches!(self, Self::Bytes | Self::Text),
            L::Json => matches!(self, Self::Json | Self::Structured | Self::Text | Self::Other),
        }
    }
}
