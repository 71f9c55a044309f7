//! The built-in types of PostgreSQL that this plugin treats in a way of their own, in one table. Every other type is text: as
//! the server prints it in keys and links, as `row_to_json` shows it in documents, `keyword` in mappings.
//!
//! A type that is added is one row here. The numbers are those of `pg_type.dat` in PostgreSQL's sources; a test compares them
//! with the server's.

use crate::protocol::codec::Kind;
use flusso_documents::Form;

/// Types whose values are equal exactly where their texts are, so that a value of one finds rows by a column of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Integers of up to 64 bits.
    Integer,
    /// Texts, under a collation that does not ignore case.
    Text,
    /// UUIDs.
    Uuid,
    /// Dates.
    Date,
}

/// One type.
#[derive(Debug)]
pub struct PgType {
    /// Its oid.
    pub oid: u32,
    /// Its name in `pg_type`.
    pub name: &'static str,
    /// The oid of the array of it.
    pub array: u32,
    /// How keys and links are decoded and encoded.
    pub kind: Kind,
    /// How documents show it.
    pub form: Form,
    /// Its type in a mapping, in the schema language.
    pub field: &'static str,
    /// The types that its values compare with as texts.
    pub family: Option<Family>,
    /// Whether the server has `min` and `max` of it.
    pub has_extremes: bool,
    /// Whether a text can be read as one of its values; a text that cannot equals nothing in such a column.
    pub reads: fn(&str) -> bool,
}

const fn row(oid: u32, name: &'static str, array: u32, kind: Kind, form: Form, field: &'static str) -> PgType {
    PgType { oid, name, array, kind, form, field, family: None, has_extremes: true, reads: any }
}

const fn of_family(family: Family, row: PgType) -> PgType {
    PgType { family: Some(family), ..row }
}

/// The table.
pub static TYPES: [PgType; 21] = [
    PgType { has_extremes: false, ..row(16, "bool", 1000, Kind::Boolean, Form::Boolean, "boolean") },
    row(17, "bytea", 1001, Kind::Bytes, Form::Bytes, "keyword"),
    row(19, "name", 1003, Kind::Text, Form::Text, "keyword"),
    PgType {
        reads: |text| text.parse::<i64>().is_ok(),
        ..of_family(Family::Integer, row(20, "int8", 1016, Kind::Integer, Form::Integer, "long"))
    },
    PgType {
        reads: |text| text.parse::<i16>().is_ok(),
        ..of_family(Family::Integer, row(21, "int2", 1005, Kind::Integer, Form::Integer, "short"))
    },
    PgType {
        reads: |text| text.parse::<i32>().is_ok(),
        ..of_family(Family::Integer, row(23, "int4", 1007, Kind::Integer, Form::Integer, "integer"))
    },
    of_family(Family::Text, row(25, "text", 1009, Kind::Text, Form::Text, "text")),
    PgType { reads: |text| text.parse::<u32>().is_ok(), ..row(26, "oid", 1028, Kind::Integer, Form::Other, "keyword") },
    row(114, "json", 199, Kind::Json, Form::Json, "json"),
    row(700, "float4", 1021, Kind::Float, Form::Number, "float"),
    row(701, "float8", 1022, Kind::Float, Form::Number, "double"),
    row(1042, "bpchar", 1014, Kind::Text, Form::Text, "keyword"),
    of_family(Family::Text, row(1043, "varchar", 1015, Kind::Text, Form::Text, "text")),
    of_family(Family::Date, row(1082, "date", 1182, Kind::Date, Form::Date, "date")),
    row(1083, "time", 1183, Kind::Time, Form::Time, "keyword"),
    row(1114, "timestamp", 1115, Kind::Timestamp, Form::Timestamp, "timestamp"),
    row(1184, "timestamptz", 1185, Kind::Timestamp, Form::TimestampTz, "timestamp"),
    row(1266, "timetz", 1270, Kind::Time, Form::Time, "keyword"),
    row(1700, "numeric", 1231, Kind::Decimal, Form::Number, "decimal"),
    PgType {
        has_extremes: false,
        reads: |text| text.bytes().filter(u8::is_ascii_hexdigit).count() == 32 && text.len() <= 38,
        ..of_family(Family::Uuid, row(2950, "uuid", 2951, Kind::Uuid, Form::Uuid, "uuid"))
    },
    row(3802, "jsonb", 3807, Kind::Json, Form::Json, "json"),
];

/// The row of a type, by the oid of the base type (domains resolved); none: a type that is text here.
pub fn find(oid: u32) -> Option<&'static PgType> {
    TYPES.iter().find(|row| row.oid == oid)
}

fn any(_: &str) -> bool {
    true
}
