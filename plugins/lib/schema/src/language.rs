//! The words of the language, in one table: every map of the file with the keys it takes, what each of them holds and
//! whether it has to be there. The reader refuses what is not in it and the JSON Schema for editors is written from it,
//! so that the two cannot part.

use crate::model::LeafType;

/// A key of a map.
#[derive(Debug)]
pub(crate) struct Sibling {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// What it is for: shown by editors, and after `add …` when it is missing.
    pub(crate) about: &'static str,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// The number 1.
    Version,
    /// A key of the document, in its own case.
    DocumentKey,
    /// A column or database schema.
    Identifier,
    /// One column, or a list of them for a composite key.
    Columns,
    /// A table, or `schema.table`.
    Table,
    Boolean,
    /// A whole number from 1.
    Count,
    Text,
    /// A list of texts, at least one, none twice.
    Texts,
    /// A type of the language, one of these.
    Type(&'static [LeafType]),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words.
    Words(&'static [&'static str]),
    /// Mapping properties.
    Options,
    /// The name of a mapping type, or a mapping with `type`.
    Mapping,
    /// Text, a number or a boolean.
    Scalar,
    /// Anything, also nothing.
    Any,
    Fields,
    Filters,
    OrderBy,
    Through,
    /// The same for an aggregate, which renders nothing of the junction.
    AggregateThrough,
    Follow,
    SoftDelete,
    /// Reserved: an error wherever it stands.
    Reserved,
}

/// A type key: what a field can be.
#[derive(Debug)]
pub(crate) struct TypeKey {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) siblings: &'static [Sibling],
    pub(crate) about: &'static str,
}

/// What a type key makes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Scalar(LeafType),
    Custom,
    Object,
    Map,
    Geo,
    Constant,
    Join(Verb),
    Aggregate(Op),
}

/// A join's verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    BelongsTo,
    HasOne,
    HasMany,
    ManyToMany,
}

/// An aggregate's operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Count,
    Avg,
    Sum,
    Min,
    Max,
    Ids,
}

const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Sibling {
    Sibling { name, shape, required: false, about }
}

const fn required(name: &'static str, shape: Shape, about: &'static str) -> Sibling {
    Sibling { name, shape, required: true, about }
}

const NUMBERS: &[LeafType] =
    &[LeafType::Short, LeafType::Integer, LeafType::Long, LeafType::Float, LeafType::Double, LeafType::Decimal];
const ORDERED: &[LeafType] = &[
    LeafType::Text,
    LeafType::Identifier,
    LeafType::Keyword,
    LeafType::Enum,
    LeafType::Uuid,
    LeafType::Short,
    LeafType::Integer,
    LeafType::Long,
    LeafType::Float,
    LeafType::Double,
    LeafType::Decimal,
    LeafType::Date,
    LeafType::Timestamp,
];

const COLUMN: Sibling = optional("column", Shape::Identifier, "the column it reads; the document key if left out");
const REQUIRED: Sibling = optional("required", Shape::Boolean, "true: never null; false if left out");
const DEFAULT: Sibling = optional("default", Shape::Scalar, "stands in the document where the column is null");
const TRANSFORMS: Sibling =
    optional("transforms", Shape::Words(&["lowercase", "trim"]), "done to the text, in this order");
const OPTIONS: Sibling =
    optional("options", Shape::Options, "properties for the sink's mapping, beside what the type says");
const VARIANTS: Sibling = optional("variants", Shape::Texts, "the values in the order they sort by");
const FIELDS: Sibling = required("fields", Shape::Fields, "what is rendered, a list of fields");
const TABLE: Sibling = required("table", Shape::Table, "the related table, or `schema.table`");
const SCHEMA: Sibling =
    optional("schema", Shape::Identifier, "the table's database schema; the root table's if left out");
const JOIN_KEY: Sibling =
    required("primary_key", Shape::Columns, "the related table's primary key, a column or a list");
const FILTERS: Sibling = optional("filters", Shape::Filters, "conditions on the rows; all must hold");
const ORDER_BY: Sibling = optional("order_by", Shape::OrderBy, "the order of the related rows");
const LIMIT: Sibling = optional("limit", Shape::Count, "at most this many rows");
const FOREIGN_KEY: Sibling =
    required("foreign_key", Shape::Columns, "the related table's column that holds the key of this row");
const THROUGH: Sibling = required("through", Shape::Through, "the junction: a map of `table`, `left_key`, `right_key`");
const WHEN: Sibling = optional(
    "when",
    Shape::Filters,
    "conditions on this row, such as the type in a polymorphic relation; where one does not hold, there is no related row",
);
const ONE_FOREIGN_KEY: Sibling = optional("foreign_key", Shape::Columns, FOREIGN_KEY.about);
const ONE_THROUGH: Sibling = optional("through", Shape::AggregateThrough, THROUGH.about);
const REDUCED: Sibling = required("column", Shape::Identifier, "the related table's column that is reduced");

/// Keys of scalars. Any may be read from a text column, and a text can be transformed.
const VALUES: &[Sibling] = &[COLUMN, REQUIRED, DEFAULT, TRANSFORMS, OPTIONS];
const ENUMS: &[Sibling] = &[COLUMN, REQUIRED, DEFAULT, TRANSFORMS, OPTIONS, VARIANTS];
const BINARIES: &[Sibling] = &[COLUMN, REQUIRED, OPTIONS];

const fn scalar(ty: LeafType, about: &'static str) -> TypeKey {
    let siblings = match ty {
        LeafType::Enum => ENUMS,
        LeafType::Binary => BINARIES,
        _ => VALUES,
    };
    TypeKey { name: ty.word(), family: Family::Scalar(ty), siblings, about }
}

/// Every type key.
pub(crate) const TYPE_KEYS: &[TypeKey] = &[
    scalar(LeafType::Text, "prose, analysed"),
    scalar(LeafType::Identifier, "a code or name, analysed: split on punctuation and case"),
    scalar(LeafType::Keyword, "text, matched as a whole"),
    scalar(LeafType::Enum, "one of a closed set of texts; `variants` gives it an order"),
    scalar(LeafType::Uuid, "a uuid, matched as a whole"),
    scalar(LeafType::Boolean, "true or false"),
    scalar(LeafType::Short, "an integer of 16 bits"),
    scalar(LeafType::Integer, "an integer of 32 bits"),
    scalar(LeafType::Long, "an integer of 64 bits"),
    scalar(LeafType::Float, "a floating point number of 32 bits"),
    scalar(LeafType::Double, "a floating point number of 64 bits"),
    scalar(LeafType::Decimal, "a decimal number, indexed as a double"),
    scalar(LeafType::Date, "a calendar date"),
    scalar(LeafType::Timestamp, "a moment"),
    scalar(LeafType::Binary, "bytes, as base64"),
    scalar(LeafType::Json, "any json"),
    TypeKey {
        name: "custom",
        family: Family::Custom,
        siblings: &[
            COLUMN,
            REQUIRED,
            DEFAULT,
            TRANSFORMS,
            OPTIONS,
            required("postgres", Shape::Texts, "the database types it may be read from, a list"),
            required("opensearch", Shape::Mapping, "the mapping type, or a mapping with `type`"),
        ],
        about: "a type the language does not have",
    },
    TypeKey {
        name: "object",
        family: Family::Object,
        siblings: &[FIELDS, OPTIONS],
        about: "columns of this row under one key",
    },
    TypeKey {
        name: "map",
        family: Family::Map,
        siblings: &[
            required("values", Shape::Type(ORDERED), "the type that all values share"),
            COLUMN,
            REQUIRED,
            OPTIONS,
        ],
        about: "a json column whose keys are data",
    },
    TypeKey {
        name: "geo",
        family: Family::Geo,
        siblings: &[
            optional("lat", Shape::Identifier, "the column of degrees north"),
            optional("lon", Shape::Identifier, "the column of degrees east"),
            COLUMN,
            REQUIRED,
            OPTIONS,
        ],
        about: "a point, from `lat` and `lon` or from one `column`",
    },
    TypeKey {
        name: "constant",
        family: Family::Constant,
        siblings: &[optional("value", Shape::Any, "the value in every document; null if left out")],
        about: "the same value in every document",
    },
    TypeKey {
        name: "belongs_to",
        family: Family::Join(Verb::BelongsTo),
        siblings: &[
            TABLE,
            SCHEMA,
            JOIN_KEY,
            optional(
                "column",
                Shape::Columns,
                "this table's column that holds the related row's key; the document key if left out",
            ),
            WHEN,
            FIELDS,
            FILTERS,
            REQUIRED,
            OPTIONS,
        ],
        about: "the row that a column of this row points at",
    },
    TypeKey {
        name: "has_one",
        family: Family::Join(Verb::HasOne),
        siblings: &[TABLE, SCHEMA, JOIN_KEY, FOREIGN_KEY, FIELDS, FILTERS, ORDER_BY, REQUIRED, OPTIONS],
        about: "the row of another table that points at this row",
    },
    TypeKey {
        name: "has_many",
        family: Family::Join(Verb::HasMany),
        siblings: &[TABLE, SCHEMA, JOIN_KEY, FOREIGN_KEY, FIELDS, FILTERS, ORDER_BY, LIMIT, OPTIONS],
        about: "the rows of another table that point at this row",
    },
    TypeKey {
        name: "many_to_many",
        family: Family::Join(Verb::ManyToMany),
        siblings: &[TABLE, SCHEMA, JOIN_KEY, THROUGH, FIELDS, FILTERS, ORDER_BY, LIMIT, OPTIONS],
        about: "the rows that a junction connects with this row",
    },
    TypeKey {
        name: "count",
        family: Family::Aggregate(Op::Count),
        siblings: &[
            TABLE,
            SCHEMA,
            ONE_FOREIGN_KEY,
            ONE_THROUGH,
            FILTERS,
            OPTIONS,
            optional("value_type", Shape::Type(&[LeafType::Long]), "always `long`; may be left out"),
        ],
        about: "how many related rows there are",
    },
    TypeKey {
        name: "avg",
        family: Family::Aggregate(Op::Avg),
        siblings: &[
            TABLE,
            SCHEMA,
            REDUCED,
            ONE_FOREIGN_KEY,
            ONE_THROUGH,
            FILTERS,
            OPTIONS,
            optional("value_type", Shape::Type(&[LeafType::Double]), "always `double`; may be left out"),
        ],
        about: "the mean of a column of the related rows",
    },
    reduction(
        "sum",
        Op::Sum,
        &[
            TABLE,
            SCHEMA,
            REDUCED,
            required("value_type", Shape::Type(NUMBERS), "the type of the sum"),
            ONE_FOREIGN_KEY,
            ONE_THROUGH,
            FILTERS,
            OPTIONS,
        ],
        "the sum of a column of the related rows",
    ),
    reduction("min", Op::Min, EXTREMES, "the smallest value of a column of the related rows"),
    reduction("max", Op::Max, EXTREMES, "the largest value of a column of the related rows"),
    reduction(
        "ids",
        Op::Ids,
        &[
            TABLE,
            SCHEMA,
            required("element_type", Shape::Type(&LeafType::ALL), "the type of one key"),
            ONE_FOREIGN_KEY,
            ONE_THROUGH,
            FILTERS,
            OPTIONS,
        ],
        "the primary keys of the related rows, a list",
    ),
];

const EXTREMES: &[Sibling] = &[
    TABLE,
    SCHEMA,
    REDUCED,
    required("value_type", Shape::Type(ORDERED), "the type of the result, that of the column"),
    ONE_FOREIGN_KEY,
    ONE_THROUGH,
    FILTERS,
    OPTIONS,
];

const fn reduction(name: &'static str, op: Op, siblings: &'static [Sibling], about: &'static str) -> TypeKey {
    TypeKey { name, family: Family::Aggregate(op), siblings, about }
}

/// The keys of the file itself.
pub(crate) const TOP: &[Sibling] = &[
    required("version", Shape::Version, "the version of this format: 1"),
    required("table", Shape::Table, "the root table: one row, one document"),
    optional("schema", Shape::Identifier, "the root table's database schema; `public` if left out"),
    optional(
        "primary_key",
        Shape::Columns,
        "the root table's primary key, a column or a list; the catalogue's if left out",
    ),
    optional("doc_id", Shape::Reserved, "reserved: a document is named by its primary key"),
    optional("soft_delete", Shape::SoftDelete, "which rows count as deleted"),
    optional(
        "filters",
        Shape::Filters,
        "conditions on the root rows; a row that does not meet all of them is no document",
    ),
    required("fields", Shape::Fields, "what the document holds, a list of fields"),
    optional(
        "follow",
        Shape::Follow,
        "tables whose changes build documents anew, beside those of `fields`; for a view as root, what it selects from",
    ),
];

/// The keys of an entry of `follow`.
pub(crate) const FOLLOW: &[Sibling] = &[
    required("table", Shape::Table, "the table that is followed, or `schema.table`"),
    SCHEMA,
    required("primary_key", Shape::Columns, "its primary key, a column or a list"),
    ONE_FOREIGN_KEY,
    optional("column", Shape::Columns, "the column of the row above that holds its key"),
    ONE_THROUGH,
    optional("follow", Shape::Follow, "tables that are found from its rows in turn"),
];

/// The keys of `soft_delete`.
pub(crate) const SOFT_DELETE: &[Sibling] = &[
    optional("column", Shape::Identifier, "the root table's column that marks a deleted row"),
    optional("field", Shape::DocumentKey, "the field whose column marks a deleted row"),
    optional("when", Shape::Filters, "conditions beside the mark; all must hold"),
];

/// The operators of filters, in the order of the manual.
pub(crate) const OPERATORS: &[&str] =
    &["eq", "neq", "lt", "lte", "gt", "gte", "like", "ilike", "in", "not_in", "between", "is_null", "is_not_null"];

/// The keys of a filter.
pub(crate) const FILTER: &[Sibling] = &[
    required("column", Shape::Identifier, "the column that is compared"),
    required("op", Shape::Word(OPERATORS), "how it is compared"),
    optional("value", Shape::Any, "what it is compared with: a value, a list for `in` and `not_in`, two for `between`"),
];

/// The keys of a filter in the store's own language.
pub(crate) const RAW_FILTER: &[Sibling] = &[required("raw", Shape::Text, "a condition in SQL")];

/// The keys of an item of `order_by`.
pub(crate) const ORDER_BY_ITEM: &[Sibling] = &[
    required("column", Shape::Identifier, "a column of the related table"),
    optional("direction", Shape::Word(&["asc", "desc"]), "`asc` if left out"),
];

const JUNCTION: Sibling = required("table", Shape::Table, "the junction table, or `schema.table`");
const LEFT_KEY: Sibling = required("left_key", Shape::Columns, "the junction's column that holds the key of this row");
const RIGHT_KEY: Sibling =
    required("right_key", Shape::Columns, "the junction's column that holds the related row's key");
const JUNCTION_FILTERS: Sibling = optional(
    "filters",
    Shape::Filters,
    "conditions on the junction's rows, such as the type in a polymorphic relation",
);

/// The keys of a join's `through`.
pub(crate) const THROUGH_KEYS: &[Sibling] = &[
    JUNCTION,
    SCHEMA,
    LEFT_KEY,
    RIGHT_KEY,
    JUNCTION_FILTERS,
    optional("order_by", Shape::OrderBy, "the order of the related rows by the junction's columns, before any other"),
    optional("fields", Shape::Fields, "the junction's columns that show in each related row, behind its own fields"),
];

/// The keys of an aggregate's `through`.
pub(crate) const AGGREGATE_THROUGH_KEYS: &[Sibling] = &[JUNCTION, SCHEMA, LEFT_KEY, RIGHT_KEY, JUNCTION_FILTERS];

/// The type key of this name.
pub(crate) fn type_key(name: &str) -> Option<&'static TypeKey> {
    TYPE_KEYS.iter().find(|key| key.name == name)
}

/// Why a word of the language does not stand beside this type key; `None` for what is no word of it.
pub(crate) fn misplaced(word: &str, family: Family) -> Option<&'static str> {
    if !TYPE_KEYS.iter().any(|key| key.siblings.iter().any(|sibling| sibling.name == word)) {
        return None;
    }
    Some(match (word, family) {
        ("limit", Family::Join(_)) => "a to-one join takes one row as it is; remove it, or use a to-many join",
        ("when", _) => {
            "only `belongs_to` has conditions on this row; those on related rows are `filters`, those on a junction `through.filters`"
        }
        ("order_by", Family::Join(_)) => "`belongs_to` points at one row, so there is nothing to order; remove it",
        ("required", Family::Join(_)) => "a to-many join is a list and never null; remove it",
        ("required", Family::Aggregate(_)) => "whether an aggregate can be null follows from its operation; remove it",
        ("required", Family::Object) => "an object is never null; remove it",
        ("column" | "foreign_key" | "through", Family::Join(verb)) => match verb {
            Verb::BelongsTo => "`belongs_to` is found by `column`, this table's column that points at the related row",
            Verb::HasOne => "`has_one` is found by `foreign_key`, the related table's column that points at this row",
            Verb::HasMany => "`has_many` is found by `foreign_key`, the related table's column that points at this row",
            Verb::ManyToMany => "`many_to_many` is found by `through`, the junction and its two keys",
        },
        ("column" | "value_type", Family::Aggregate(_)) => {
            "`ids` collects primary keys, typed by `element_type`; remove it"
        }
        ("element_type", _) => "only `ids` has elements; remove it",
        ("transforms", _) => "bytes are not transformed; remove it",
        ("default", Family::Scalar(_)) => "bytes have no default; remove it",
        ("variants", _) => "only `enum` has variants; remove it",
        ("postgres" | "opensearch", _) => "only `custom` names types of its own; remove it",
        ("primary_key", Family::Aggregate(_)) => "an aggregate takes the related table's own primary key; remove it",
        _ => "remove it",
    })
}

/// Why a word beside this type key means nothing, where flusso 0.15 let it stand; it is read over.
pub(crate) fn meaningless(word: &str, family: Family) -> Option<&'static str> {
    match (word, family) {
        ("column", Family::Aggregate(Op::Count)) => {
            Some("this means nothing: rows are counted, not values; remove it, or filter with `is_not_null`")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_both_a_type_key_and_a_sibling() {
        for key in TYPE_KEYS {
            for sibling in key.siblings {
                assert!(type_key(sibling.name).is_none(), "{}", sibling.name);
            }
        }
    }

    #[test]
    fn every_type_key_and_every_sibling_of_a_map_is_written_once() {
        let mut maps: Vec<Vec<&str>> = vec![TYPE_KEYS.iter().map(|key| key.name).collect()];
        maps.extend(TYPE_KEYS.iter().map(|key| key.siblings.iter().map(|sibling| sibling.name).collect()));
        for mut words in maps {
            let count = words.len();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), count, "{words:?}");
        }
    }

    #[test]
    fn every_leaf_type_is_a_type_key() {
        for ty in LeafType::ALL {
            assert_eq!(type_key(ty.word()).map(|key| key.family), Some(Family::Scalar(ty)));
            assert_eq!(LeafType::from_word(ty.word()), Some(ty));
        }
    }
}
