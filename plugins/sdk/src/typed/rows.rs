//! Rows as Rust structs, and their columns.

use std::marker::PhantomData;

use super::Failed;
use crate::{TableName, TableRead, Value};

/// A row of a table, made by [`crate::row!`]. Its fields are the columns that are read.
pub trait TableRow: Sized + 'static {
    /// The table's schema.
    const SCHEMA: &'static str;
    /// The table.
    const TABLE: &'static str;
    /// The columns, in the order in which [`TableRow::from_row`] takes their values.
    const COLUMNS: &'static [&'static str];
    /// Makes it of the values of the columns.
    ///
    /// # Errors
    ///
    /// The class `row`, if a value is of another kind than the field: which table, column and kinds.
    fn from_row(row: crate::Row) -> Result<Self, Failed>;
}

pub(super) fn table_name<R: TableRow>() -> TableName {
    TableName { schema: R::SCHEMA.to_owned(), name: R::TABLE.to_owned() }
}

/// What a build may read of a table, for [`crate::OfferedIndex`]: its struct's columns, looked up by these lists of columns.
#[must_use]
pub fn read<R: TableRow>(by: &[&[&str]]) -> TableRead {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    TableRead {
        table: table_name::<R>(),
        columns: texts(R::COLUMNS),
        by: by.iter().map(|by| texts(by)).collect(),
        extra: None,
    }
}

/// A column of a row type, with the type of its field.
pub struct Column<R, T> {
    pub(super) name: &'static str,
    of: PhantomData<fn() -> (R, T)>,
}

impl<R, T> Column<R, T> {
    /// The column of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }
}

/// A field's type. Kinds that have none of their own here are read as [`Value`].
pub trait FromValue: Sized {
    /// What is wanted, for messages.
    const WANTED: &'static str;
    /// The value, or the one that does not fit.
    ///
    /// # Errors
    ///
    /// The value, unchanged.
    fn from_value(value: Value) -> Result<Self, Value>;
}

/// What a column of type `T` can be looked up by. A null finds nothing.
pub trait IntoValue<T> {
    /// The value.
    fn into_value(self) -> Value;
}

macro_rules! kinds {
    ($($type:ty, $wanted:literal, $kind:ident);+ $(;)?) => { $(
        impl FromValue for $type {
            const WANTED: &'static str = $wanted;
            fn from_value(value: Value) -> Result<Self, Value> {
                match value { Value::$kind(it) => it.try_into().map_err(|_| Value::$kind(it)), other => Err(other) }
            }
        }
        kinds!(@into $type, |it| Value::$kind(it.into()));
    )+ };
    (@into $type:ty, $make:expr) => {
        impl IntoValue<$type> for $type { fn into_value(self) -> Value { let make: fn($type) -> Value = $make; make(self) } }
        impl IntoValue<$type> for Option<$type> { fn into_value(self) -> Value { self.map_or(Value::Null, $make) } }
        impl IntoValue<Option<$type>> for $type { fn into_value(self) -> Value { let make: fn($type) -> Value = $make; make(self) } }
        impl IntoValue<Option<$type>> for Option<$type> { fn into_value(self) -> Value { self.map_or(Value::Null, $make) } }
    };
}

kinds! { i16, "an integer of 16 bits", Integer; i32, "an integer of 32 bits", Integer; i64, "an integer", Integer; bool, "a boolean", Boolean; f64, "a float", Float }

impl FromValue for String {
    const WANTED: &'static str = "text";
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(other),
        }
    }
}
kinds!(@into String, Value::Text);

impl FromValue for Value {
    const WANTED: &'static str = "anything";
    fn from_value(value: Value) -> Result<Self, Value> {
        Ok(value)
    }
}
impl IntoValue<Value> for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const WANTED: &'static str = T::WANTED;
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// The next value of a row, as a field's type.
///
/// # Errors
///
/// The class `row`, as [`TableRow::from_row`].
pub fn cell<R: TableRow, T: FromValue>(values: &mut impl Iterator<Item = Value>, column: &str) -> Result<T, Failed> {
    let place = || format!("{}.{}.{column}", R::SCHEMA, R::TABLE);
    let Some(value) = values.next() else { return Err(Failed::new("row", format!("{} was not read", place()))) };
    T::from_value(value).map_err(|value| {
        Failed::new("row", format!("{} holds {}, but its field takes {}", place(), kind(&value), T::WANTED))
    })
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null (make the field an Option)",
        Value::Boolean(_) => "a boolean",
        Value::Integer(_) => "an integer that is of another kind or too large",
        Value::Float(_) => "a float",
        Value::Decimal(_) => "a decimal",
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
        Value::Uuid(_) => "a UUID",
        Value::Date(_) => "a date",
        Value::Time(_) => "a time",
        Value::Timestamp(_) => "a timestamp",
        Value::Json(_) => "JSON",
    }
}

/// A row type: `row! { pub struct Item in "public", "order_items" { order_id: i64, product: String } }`. Each field is a column
/// that is read, and a function of its name gives the [`Column`](crate::typed::Column) to look up and order by.
#[macro_export]
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident in $schema:literal, $table:literal { $($field:ident: $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[allow(missing_docs, reason = "the columns are named by the database")]
        #[derive(Debug, Clone)]
        $vis struct $name { $(pub $field: $type),+ }

        #[allow(missing_docs, dead_code, reason = "the columns are named by the database")]
        impl $name {
            $(#[must_use] pub const fn $field() -> $crate::typed::Column<Self, $type> {
                $crate::typed::Column::new(stringify!($field))
            })+
        }

        impl $crate::typed::TableRow for $name {
            const SCHEMA: &'static str = $schema;
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];
            fn from_row(row: $crate::Row) -> ::std::result::Result<Self, $crate::typed::Failed> {
                let mut values = row.into_iter();
                Ok(Self { $($field: $crate::typed::cell::<Self, $type>(&mut values, stringify!($field))?),+ })
            }
        }
    };
}
