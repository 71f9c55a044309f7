//! What a document holds: fields, their types, and where their values come from.

use super::{Aggregate, Identifier, Join};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// One field of a document, or of an object or joined row within it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// The document key, in the case of the file; once in its object.
    pub key: String,
    /// Where the value comes from.
    pub kind: FieldKind,
    /// Properties for the sink's mapping, beside what the type says. Empty for most.
    pub options: BTreeMap<String, Json>,
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum FieldKind {
    /// A column of the row at hand.
    Scalar(Scalar),
    /// A point, from columns of the row at hand.
    Geo(Geo),
    /// Columns of the row at hand, grouped under one key. Never null.
    Object(Vec<Field>),
    /// A json column whose keys are data.
    Map(MapField),
    /// The same value in every document; may be null, a list or an object.
    Constant(Json),
    /// Rows of another table.
    Join(Box<Join>),
    /// One value over rows of another table.
    Aggregate(Box<Aggregate>),
}

/// A value read from a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scalar {
    /// The column.
    pub column: Identifier,
    /// How it is rendered and mapped.
    pub ty: ScalarType,
    /// Whether the document may hold null here. Never for a column of the row's primary key, or with a default.
    pub nullable: bool,
    /// Done to the column's text, in this order. Only for types that are text.
    pub transforms: Vec<Transform>,
    /// Stands in the document where the column is null, as it is (not transformed). Null when there is none.
    pub default: Json,
}

/// The type of a scalar field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ScalarType {
    /// A type of the language.
    Leaf(LeafType),
    /// `enum` with `variants`: sorts by their order. Values beside them sort last.
    Ranked(Vec<String>),
    /// `custom`: a type the language does not have.
    Custom {
        /// The database types it may be read from.
        postgres: Vec<String>,
        /// The mapping type at the sink; what else a mapping in `opensearch:` said is in the field's options.
        opensearch: String,
    },
}

/// A type of the language that needs no further word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the words of the language")]
pub enum LeafType {
    Text,
    Identifier,
    Keyword,
    Enum,
    Uuid,
    Boolean,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Decimal,
    Date,
    Timestamp,
    Binary,
    Json,
}

impl Field {
    /// The join, where it is an entry of `follow`: no field of the document.
    pub fn hidden(&self) -> Option<&Join> {
        match &self.kind {
            FieldKind::Join(join) if join.hidden => Some(join),
            _ => None,
        }
    }
}

impl LeafType {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 16] = [
        Self::Text,
        Self::Identifier,
        Self::Keyword,
        Self::Enum,
        Self::Uuid,
        Self::Boolean,
        Self::Short,
        Self::Integer,
        Self::Long,
        Self::Float,
        Self::Double,
        Self::Decimal,
        Self::Date,
        Self::Timestamp,
        Self::Binary,
        Self::Json,
    ];

    /// The word of the language.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Identifier => "identifier",
            Self::Keyword => "keyword",
            Self::Enum => "enum",
            Self::Uuid => "uuid",
            Self::Boolean => "boolean",
            Self::Short => "short",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Binary => "binary",
            Self::Json => "json",
        }
    }

    /// The type with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.word() == word)
    }

    /// The mapping type of OpenSearch that holds it.
    pub const fn opensearch(self) -> &'static str {
        match self {
            Self::Text | Self::Identifier => "text",
            Self::Keyword | Self::Enum | Self::Uuid => "keyword",
            Self::Decimal => "double",
            Self::Date | Self::Timestamp => "date",
            Self::Json => "object",
            Self::Boolean | Self::Short | Self::Integer | Self::Long | Self::Float | Self::Double | Self::Binary => {
                self.word()
            }
        }
    }

    /// Whether its values are text in the store: what transforms can work on.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Identifier | Self::Keyword | Self::Enum | Self::Uuid)
    }

    /// Whether its values are numbers: what can be summed.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Short | Self::Integer | Self::Long | Self::Float | Self::Double | Self::Decimal)
    }
}

/// Done to a text before it lands in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Transform {
    /// To lower case.
    Lowercase,
    /// White space before and after is taken off.
    Trim,
}

/// A point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Geo {
    /// From two number columns. If either is null, the point is.
    Pair {
        /// Degrees north.
        lat: Identifier,
        /// Degrees east.
        lon: Identifier,
        /// Whether the document may hold null here.
        nullable: bool,
    },
    /// From one column that already holds a point: json `{"lat": …, "lon": …}` or `[lon, lat]`, or text `lat,lon`.
    Single {
        /// The column.
        column: Identifier,
        /// Whether the document may hold null here.
        nullable: bool,
    },
}

impl Geo {
    /// Whether the document may hold null here.
    pub fn nullable(&self) -> bool {
        match self {
            Self::Pair { nullable, .. } | Self::Single { nullable, .. } => *nullable,
        }
    }
}

/// An object whose keys are data, over a json column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MapField {
    /// The json column.
    pub column: Identifier,
    /// The type that all values share.
    pub values: LeafType,
    /// Whether the document may hold null here.
    pub nullable: bool,
}
