//! Conditions on rows.

use super::Identifier;
use serde::Serialize;
use std::fmt;

/// A condition on a row of the table it stands at. In a list, all must hold. A condition on a null column does not hold,
/// but for `IsNull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Filter {
    /// The column compared with one value.
    Compare {
        /// The column.
        column: Identifier,
        /// How.
        op: Comparison,
        /// With what, in the column's own type.
        value: Literal,
    },
    /// The column equals one of some values; at least one.
    In {
        /// The column.
        column: Identifier,
        /// The values, in the column's own type.
        values: Vec<Literal>,
    },
    /// The column equals none of some values; at least one.
    NotIn {
        /// The column.
        column: Identifier,
        /// The values, in the column's own type.
        values: Vec<Literal>,
    },
    /// The column lies between two values, both included.
    Between {
        /// The column.
        column: Identifier,
        /// The lower bound, in the column's own type.
        low: Literal,
        /// The upper bound, in the column's own type.
        high: Literal,
    },
    /// The column is null.
    IsNull {
        /// The column.
        column: Identifier,
    },
    /// The column is not null.
    IsNotNull {
        /// The column.
        column: Identifier,
    },
    /// A condition in the store's own language, as the operator wrote it. May read any column of the row.
    Raw(String),
}

impl Filter {
    /// The column it reads; none for a raw condition, which may read any.
    pub fn column(&self) -> Option<&Identifier> {
        match self {
            Self::Compare { column, .. }
            | Self::In { column, .. }
            | Self::NotIn { column, .. }
            | Self::Between { column, .. }
            | Self::IsNull { column }
            | Self::IsNotNull { column } => Some(column),
            Self::Raw(_) => None,
        }
    }
}

/// How a column is compared with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    Neq,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// A pattern with `%` and `_`.
    Like,
    /// A pattern with `%` and `_`, letters of either case alike.
    Ilike,
}

/// A value in a filter. The column's own type decides what it means, so it is kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Literal {
    /// `true` or `false`.
    Boolean(bool),
    /// A number, its digits as written.
    Number(String),
    /// Anything else: text, a date, a uuid.
    Text(String),
}

impl fmt::Display for Literal {
    /// The text that is read in the column's type: no quotes around it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(out, "{value}"),
            Self::Number(text) | Self::Text(text) => out.write_str(text),
        }
    }
}
