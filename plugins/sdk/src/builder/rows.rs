//! Rows as Rust structs, and their columns.

use std::marker::PhantomData;

use super::Failed;
use super::decimal::Decimal;
use super::reads::Condition;
use super::values::{Bytes, Date, Json, Time, Timestamp, Uuid};
use crate::{Comparison, TableName, Value};

/// A row of a table: derive [`Row`](macro@super::Row). Its fields are the columns that are read.
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
    /// Its values, in the order of the columns.
    fn into_row(self) -> crate::Row;
}

pub(super) fn table_name<R: TableRow>() -> TableName {
    TableName { schema: R::SCHEMA.to_owned(), name: R::TABLE.to_owned() }
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

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Rows whose column has this value.
    #[must_use]
    pub fn equals(self, value: impl IntoValue<T>) -> Condition<R> {
        self.is(Comparison::Eq, vec![value.into_value()])
    }

    /// Rows whose column has another value; a null is none.
    #[must_use]
    pub fn differs_from(self, value: impl IntoValue<T>) -> Condition<R> {
        self.is(Comparison::Neq, vec![value.into_value()])
    }

    /// Rows whose column is less.
    #[must_use]
    pub fn less_than(self, value: impl IntoValue<T>) -> Condition<R> {
        self.is(Comparison::Lt, vec![value.into_value()])
    }

    /// Rows whose column is at most this.
    #[must_use]
    pub fn at_most(self, value: impl IntoValue<T>) -> Condition<R> {
        self.is(Comparison::Lte, vec![value.into_value()])
    }

    /// Rows whose column is greater.
    #[must_use]
    pub fn greater_than(self, value: impl IntoValue<T>) -> Condition<R> {
        self.is(Comparison::Gt, vec![value.into_value()])
    }

    /// Rows whose column is at least this.
    #[must_use]
    pub fn at_least(self, value: impl IntoValue<T>) -> Condition<R> {
        self.is(Comparison::Gte, vec![value.into_value()])
    }

    /// Rows whose column has one of these values.
    #[must_use]
    pub fn one_of<V: IntoValue<T>>(self, values: impl IntoIterator<Item = V>) -> Condition<R> {
        self.is(Comparison::In, values.into_iter().map(IntoValue::into_value).collect())
    }

    /// Rows whose column matches a pattern of SQL `LIKE`.
    #[must_use]
    pub fn like(self, pattern: impl Into<String>) -> Condition<R> {
        self.is(Comparison::Like, vec![Value::Text(pattern.into())])
    }

    /// Rows whose column is null.
    #[must_use]
    pub fn is_null(self) -> Condition<R> {
        self.is(Comparison::IsNull, Vec::new())
    }

    /// Rows whose column is not null.
    #[must_use]
    pub fn is_not_null(self) -> Condition<R> {
        self.is(Comparison::IsNotNull, Vec::new())
    }

    fn is(self, comparison: Comparison, operands: Vec<Value>) -> Condition<R> {
        Condition::new(crate::Condition { column: self.name.to_owned(), comparison, operands })
    }
}

/// A field's type. Kinds that have none of their own here are read as [`Value`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no kind of column",
    note = "columns are bool, i16, i32, i64, f32, f64, String, Decimal, Uuid, Date, Time, Timestamp, Bytes, Json, Value, or an Option of one"
)]
pub trait FromValue: Sized {
    /// What is wanted, for messages.
    const WANTED: &'static str;
    /// The value, or the one that does not fit.
    ///
    /// # Errors
    ///
    /// The value, unchanged.
    fn from_value(value: Value) -> Result<Self, Value>;
    /// The value of a column that holds this.
    fn into_cell(self) -> Value;
}

/// What a column of type `T` can be looked up by and compared with: a `T`, an `Option` of one, or a reference to either. A null
/// finds nothing.
pub trait IntoValue<T> {
    /// The value.
    fn into_value(self) -> Value;
}

macro_rules! kinds {
    ($($type:ty: $wanted:literal, $pattern:pat => $read:expr, $it:ident => $write:expr;)+) => { $(
        impl FromValue for $type {
            const WANTED: &'static str = $wanted;

            fn from_value(value: Value) -> Result<Self, Value> {
                let read = match &value { $pattern => $read, _ => None };
                read.ok_or(value)
            }

            fn into_cell(self) -> Value {
                let $it = self;
                $write
            }
        }
        lookups!($type, $type);
        lookups!($type, Option<$type>);
    )+ };
}

/// The ways to say a value of a column.
macro_rules! lookups {
    ($type:ty, $column:ty) => {
        impl IntoValue<$column> for $type {
            fn into_value(self) -> Value {
                self.into_cell()
            }
        }
        impl IntoValue<$column> for &$type {
            fn into_value(self) -> Value {
                self.clone().into_cell()
            }
        }
        impl IntoValue<$column> for Option<$type> {
            fn into_value(self) -> Value {
                self.map_or(Value::Null, FromValue::into_cell)
            }
        }
        impl IntoValue<$column> for &Option<$type> {
            fn into_value(self) -> Value {
                self.clone().map_or(Value::Null, FromValue::into_cell)
            }
        }
        impl IntoValue<$column> for Option<&$type> {
            fn into_value(self) -> Value {
                self.cloned().map_or(Value::Null, FromValue::into_cell)
            }
        }
    };
}

kinds! {
    i16: "an integer of 16 bits", Value::Integer(it) => i16::try_from(*it).ok(), it => Value::Integer(it.into());
    i32: "an integer of 32 bits", Value::Integer(it) => i32::try_from(*it).ok(), it => Value::Integer(it.into());
    i64: "an integer", Value::Integer(it) => Some(*it), it => Value::Integer(it);
    bool: "a boolean", Value::Boolean(it) => Some(*it), it => Value::Boolean(it);
    f32: "a float", Value::Float(it) => narrow(*it), it => Value::Float(it.into());
    f64: "a float", Value::Float(it) => Some(*it), it => Value::Float(it);
    String: "text", Value::Text(it) => Some(it.clone()), it => Value::Text(it);
    Decimal: "a decimal that is a number", Value::Decimal(it) => it.parse().ok(), it => Value::Decimal(it.to_string());
    Uuid: "a UUID", Value::Uuid(it) => Some(it.clone().into()), it => Value::Uuid(it.0);
    Date: "a date", Value::Date(it) => Some(it.clone().into()), it => Value::Date(it.0);
    Time: "a time", Value::Time(it) => Some(it.clone().into()), it => Value::Time(it.0);
    Timestamp: "a timestamp", Value::Timestamp(it) => Some(it.clone().into()), it => Value::Timestamp(it.0);
    Bytes: "bytes", Value::Bytes(it) => Some(Bytes(it.clone())), it => Value::Bytes(it.0);
    Json: "JSON", Value::Json(it) => it.parse().ok(), it => Value::Json(it.as_str().to_owned());
}

/// A float of 64 bits as the nearest of 32, as a column `real` holds them; none where it is too large.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit becomes infinite, and is refused")]
fn narrow(number: f64) -> Option<f32> {
    let narrow = number as f32;
    (narrow.is_finite() || !number.is_finite()).then_some(narrow)
}

impl IntoValue<String> for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl IntoValue<Option<String>> for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl FromValue for Value {
    const WANTED: &'static str = "anything";

    fn from_value(value: Value) -> Result<Self, Value> {
        Ok(value)
    }

    fn into_cell(self) -> Value {
        self
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

    fn into_cell(self) -> Value {
        self.map_or(Value::Null, T::into_cell)
    }
}

impl Value {
    /// Whether it is the same value of the same kind.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            (Self::Integer(one), Self::Integer(other)) => one == other,
            (Self::Float(one), Self::Float(other)) => one.to_bits() == other.to_bits(),
            (Self::Decimal(one), Self::Decimal(other))
            | (Self::Text(one), Self::Text(other))
            | (Self::Uuid(one), Self::Uuid(other))
            | (Self::Date(one), Self::Date(other))
            | (Self::Time(one), Self::Time(other))
            | (Self::Timestamp(one), Self::Timestamp(other))
            | (Self::Json(one), Self::Json(other)) => one == other,
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            _ => false,
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
