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
    /// The catalogue does not know: each value says it, by the [`Form::tag`] before its text.
    Tagged,
}

/// The tags of values, each with the form that it stands for.
const TAGS: [(u8, Form); 11] = [
    (b'b', Form::Boolean),
    (b'i', Form::Integer),
    (b'n', Form::Number),
    (b's', Form::Text),
    (b'u', Form::Uuid),
    (b'd', Form::Date),
    (b'c', Form::Time),
    (b't', Form::Timestamp),
    (b'z', Form::TimestampTz),
    (b'x', Form::Bytes),
    (b'j', Form::Json),
];

impl Form {
    /// What stands before the text of a value of a [`Form::Tagged`] column. A form without a tag of its own is text.
    pub fn tag(self) -> u8 {
        TAGS.iter().find(|(_, form)| *form == self).map_or(b's', |(tag, _)| *tag)
    }

    /// The form of a tagged value, and its text.
    pub fn of_tagged(value: &[u8]) -> (Self, &[u8]) {
        match value.split_first() {
            Some((tag, text)) => {
                (TAGS.iter().find(|(known, _)| known == tag).map_or(Self::Text, |(_, form)| *form), text)
            }
            None => (Self::Text, value),
        }
    }

    /// Whether a field of this type can be read from it. What the sink might still take is let through (text that holds a
    /// date); what never fits is not (a number from a date).
    pub fn fits(self, ty: LeafType) -> bool {
        use LeafType as L;
        match ty {
            _ if self == Self::Tagged => true,
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
