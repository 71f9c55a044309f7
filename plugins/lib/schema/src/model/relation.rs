//! Rows of other tables in a document: joins fold them in, aggregates reduce them to a value.

use super::{Field, Filter, Identifier, LeafType, TableName};
use serde::Serialize;

/// Rows of another table, each rendered by `fields`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Join {
    /// The related table.
    pub table: TableName,
    /// The columns that name a related row, at least one.
    pub primary_key: Vec<Identifier>,
    /// How related rows are found, and how many there may be.
    pub link: Link,
    /// All must hold for a related row to be folded in.
    pub filters: Vec<Filter>,
    /// The order of related rows; for `HasOne` the first is taken. Nulls stand where the store puts them. Empty: by
    /// primary key, so that the same rows give the same document.
    pub order_by: Vec<OrderBy>,
    /// What is rendered of each related row, at least one.
    pub fields: Vec<Field>,
    /// An entry of `follow`: nothing of it is rendered (its `fields` are entries of `follow`, too), and a change of any column
    /// of its rows builds the document anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl Join {
    /// Whether it renders a list (`[]` when there are none) and not an object or null.
    pub fn is_to_many(&self) -> bool {
        matches!(self.link, Link::HasMany { .. } | Link::ManyToMany { .. })
    }

    /// Whether the document may hold null here: never for a list.
    pub fn nullable(&self) -> bool {
        match self.link {
            // Where a condition on the row at hand does not hold, there is nothing.
            Link::BelongsTo { nullable, ref when, .. } => nullable || !when.is_empty(),
            Link::HasOne { nullable, .. } => nullable,
            Link::HasMany { .. } | Link::ManyToMany { .. } => false,
        }
    }
}

/// How the rows of a join are found. Composite keys are lists of equal length, in corresponding order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Link {
    /// `column` of the row at hand = the related row's `primary_key`.
    BelongsTo {
        /// The columns of the row at hand.
        column: Vec<Identifier>,
        /// Whether the document may hold null here.
        nullable: bool,
        /// Conditions on the row at hand: where one does not hold, the relation leads nowhere.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        when: Vec<Filter>,
    },
    /// `foreign_key` of the related row = the key of the row at hand; the first of them.
    HasOne {
        /// The columns of the related row.
        foreign_key: Vec<Identifier>,
        /// Whether the document may hold null here.
        nullable: bool,
    },
    /// `foreign_key` of the related row = the key of the row at hand.
    HasMany {
        /// The columns of the related row.
        foreign_key: Vec<Identifier>,
        /// At most this many, at least 1; `None` takes all.
        limit: Option<u64>,
    },
    /// By a junction.
    ManyToMany {
        /// The junction.
        through: Through,
        /// At most this many, at least 1; `None` takes all.
        limit: Option<u64>,
    },
}

/// A junction: a table whose rows connect two others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Through {
    /// The junction table.
    pub table: TableName,
    /// Its columns that hold the key of the row at hand.
    pub left_key: Vec<Identifier>,
    /// Its columns that hold the related row's primary key.
    pub right_key: Vec<Identifier>,
    /// All must hold for a row of it to connect anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// The order of related rows by its columns, before the join's own order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order_by: Vec<OrderBy>,
    /// What is rendered of it in each related row, behind the join's own fields. Reads columns alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// One criterion of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderBy {
    /// A column of the related table, or of the junction.
    pub column: Identifier,
    /// Which way.
    pub direction: Direction,
}

/// Which way an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// Smallest first; the default.
    Asc,
    /// Largest first.
    Desc,
}

/// One value over the related rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aggregate {
    /// The related table. Its primary key is the catalogue's.
    pub table: TableName,
    /// What is computed.
    pub op: AggregateOp,
    /// How related rows are found.
    pub link: AggregateLink,
    /// All must hold for a related row to count.
    pub filters: Vec<Filter>,
}

/// How the rows of an aggregate are found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum AggregateLink {
    /// These columns of the related row = the key of the row at hand.
    ForeignKey(Vec<Identifier>),
    /// By a junction; its `right_key` holds the related table's primary key.
    Through(Through),
}

/// What an aggregate computes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum AggregateOp {
    /// How many rows; 0 when there are none. A long.
    Count,
    /// The mean of a column; null when there is none. A double.
    Avg {
        /// The column.
        column: Identifier,
    },
    /// The sum of a column; null when there is nothing to add.
    Sum {
        /// The column.
        column: Identifier,
        /// The type of the result, a number.
        value_type: LeafType,
    },
    /// The smallest value of a column, or null.
    Min {
        /// The column.
        column: Identifier,
        /// The type of the result.
        value_type: LeafType,
    },
    /// The largest value of a column, or null.
    Max {
        /// The column.
        column: Identifier,
        /// The type of the result.
        value_type: LeafType,
    },
    /// The primary keys of the related rows, in ascending order; `[]` when there are none.
    Ids {
        /// The type of one key.
        element_type: LeafType,
    },
}

impl AggregateOp {
    /// The column it reads, if it reads one.
    pub fn column(&self) -> Option<&Identifier> {
        match self {
            Self::Avg { column } | Self::Sum { column, .. } | Self::Min { column, .. } | Self::Max { column, .. } => {
                Some(column)
            }
            Self::Count | Self::Ids { .. } => None,
        }
    }

    /// The type of the value, or for `ids` of each element.
    pub fn value_type(&self) -> LeafType {
        match self {
            Self::Count => LeafType::Long,
            Self::Avg { .. } => LeafType::Double,
            Self::Sum { value_type, .. } | Self::Min { value_type, .. } | Self::Max { value_type, .. } => *value_type,
            Self::Ids { element_type } => *element_type,
        }
    }

    /// Whether the document may hold null here.
    pub fn nullable(&self) -> bool {
        !matches!(self, Self::Count | Self::Ids { .. })
    }
}
