//! What documents look like, for the sinks.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::decimal::Decimal;
use super::values::{Bytes, Date, Json, Time, Timestamp, Uuid};
use crate::Field;

/// A document. Derive it, and `serde::Serialize`.
pub trait Document: FieldType + Serialize {}

/// A type that a document's field can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no type of a document's field",
    note = "derive `Document` for a struct or an enum without data; other fields are numbers, bool, String, the kinds of columns, and Option, Vec, Box and maps of these"
)]
pub trait FieldType {
    /// What it is in an index.
    fn shape() -> Shape;
}

/// What a field is in an index.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The type, in the words of the schema language.
    pub kind: String,
    /// Whether it can be null.
    pub nullable: bool,
    /// Whether it holds a list.
    pub array: bool,
    /// The fields of an object, each by its path inside it.
    pub fields: Vec<Field>,
    /// The type of the values of a map.
    pub map_values: Option<String>,
}

impl Shape {
    /// A value of this type.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), nullable: false, array: false, fields: Vec::new(), map_values: None }
    }

    /// An object with these fields.
    #[must_use]
    pub fn object(fields: Vec<Field>) -> Self {
        Self { fields, ..Self::of("object") }
    }
}

/// Adds a field of a shape, and those inside it, to a mapping. `kind` and `options` are what its attribute says.
pub fn add_field(fields: &mut Vec<Field>, name: &str, shape: Shape, kind: Option<&str>, options: Option<&str>) {
    let Shape { kind: own, nullable, array, fields: inner, map_values } = shape;
    let dynamic = if map_values.is_some() { r#"{"dynamic":true}"# } else { "{}" };
    fields.push(Field {
        path: name.to_owned(),
        type_: kind.map_or(own, str::to_owned),
        nullable,
        array,
        options: options.unwrap_or(dynamic).to_owned(),
        variants: None,
        map_values,
        extra: None,
    });
    fields.extend(inner.into_iter().map(|field| Field { path: format!("{name}.{}", field.path), ..field }));
}

macro_rules! kinds {
    ($($type:ty: $kind:literal),+ $(,)?) => { $(
        impl FieldType for $type {
            fn shape() -> Shape { Shape::of($kind) }
        }
    )+ };
}

kinds! {
    bool: "boolean", i8: "short", u8: "short", i16: "short", u16: "integer", i32: "integer", u32: "long", i64: "long",
    f32: "float", f64: "double", String: "text", &str: "text", Decimal: "decimal", Uuid: "uuid", Date: "date",
    Timestamp: "timestamp", Time: "keyword", Bytes: "binary", Json: "json", serde_json::Value: "json",
}

impl<T: FieldType> FieldType for Option<T> {
    fn shape() -> Shape {
        Shape { nullable: true, ..T::shape() }
    }
}

impl<T: FieldType> FieldType for Box<T> {
    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: FieldType> FieldType for Vec<T> {
    fn shape() -> Shape {
        let one = T::shape();
        let kind = if one.kind == "object" && one.map_values.is_none() { "nested".to_owned() } else { one.kind };
        Shape { kind, nullable: false, array: true, ..one }
    }
}

fn map<T: FieldType>() -> Shape {
    Shape { map_values: Some(T::shape().kind), ..Shape::of("object") }
}

impl<T: FieldType> FieldType for BTreeMap<String, T> {
    fn shape() -> Shape {
        map::<T>()
    }
}

impl<T: FieldType, S> FieldType for HashMap<String, T, S> {
    fn shape() -> Shape {
        map::<T>()
    }
}
