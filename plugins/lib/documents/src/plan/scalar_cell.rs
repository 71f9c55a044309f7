//! How the value of a scalar field is fetched and rendered: by the column's form, and by the field's type where that asks for more.

use super::{Cell, Reduction};
use crate::catalogue::{Column, Form};
use crate::render::{Render, is_number};
use flusso_schema::{AggregateOp, LeafType, Scalar, ScalarType};
use serde_json::Value as Json;

/// How a scalar field is fetched and rendered.
pub(super) struct ScalarCell {
    pub(super) cell: Cell,
    pub(super) render: Render,
    /// What stands for null.
    pub(super) none: Vec<u8>,
}

pub(super) fn of_field(scalar: &Scalar, column: &Column) -> ScalarCell {
    let mut cell = cell(scalar.column.as_str(), column);
    // What a value is, where only the values say it, is what the field takes it for.
    let likely = match &scalar.ty {
        ScalarType::Leaf(ty) if column.form == Form::Tagged => usual(*ty),
        _ => column.form,
    };
    let mut none = null_substitute(&scalar.default, likely);
    if !scalar.transforms.is_empty() {
        cell.json = false;
        cell.transforms.clone_from(&scalar.transforms);
        let render = match &scalar.ty {
            ScalarType::Leaf(ty) if column.form == Form::Tagged => typed(*ty, Form::Tagged),
            ScalarType::Leaf(ty) => typed(*ty, Form::Text),
            ScalarType::Ranked(_) | ScalarType::Custom { .. } if column.form == Form::Tagged => natural(Form::Tagged),
            ScalarType::Ranked(_) | ScalarType::Custom { .. } => Render::Quoted,
        };
        return ScalarCell { cell, render, none };
    }
    // A moment that stands in for null is printed as the column's own are.
    if let (Json::String(text), Form::Date | Form::Timestamp | Form::TimestampTz) = (&scalar.default, likely) {
        cell.default = Some(text.clone());
        none = b"null".to_vec();
    }
    let render = match &scalar.ty {
        ScalarType::Leaf(ty) => typed(*ty, column.form),
        ScalarType::Ranked(_) | ScalarType::Custom { .. } => natural(column.form),
    };
    ScalarCell { cell, render, none }
}

/// A default where the column is null: what the column itself could hold is shown as the column shows it, so that `"{}"`
/// beside a json column is an object, and `"0"` beside a number a number.
fn null_substitute(default: &Json, form: Form) -> Vec<u8> {
    if let Json::String(text) = default {
        let coerced = match form {
            Form::Integer | Form::Number => is_number(text.as_bytes()),
            Form::Boolean => matches!(text.as_str(), "true" | "false"),
            Form::Json => serde_json::from_str::<Json>(text).is_ok(),
            _ => false,
        };
        if coerced {
            let mut out = Vec::with_capacity(text.len());
            Render::Json.render(text.trim().as_bytes(), &mut out);
            return out;
        }
    }
    default.to_string().into_bytes()
}

/// A column, asked for in the way its form wants.
pub(super) fn cell(name: &str, column: &Column) -> Cell {
    Cell { json: column.form == Form::Structured, ..Cell::plain(name) }
}

/// As the store itself shows the value in JSON.
pub(super) fn natural(form: Form) -> Render {
    match form {
        Form::Boolean => Render::Boolean,
        Form::Integer => Render::Bare,
        Form::Number => Render::Number,
        Form::Timestamp => Render::Timestamp,
        Form::TimestampTz => Render::TimestampTz,
        Form::Json | Form::Structured => Render::Json,
        Form::Tagged => Render::Tagged(LeafType::Json),
        Form::Text | Form::Uuid | Form::Date | Form::Time | Form::Bytes | Form::Other => Render::Quoted,
    }
}

/// A value of this form in a field of this type.
pub(crate) fn typed(ty: LeafType, form: Form) -> Render {
    match (ty, form) {
        (_, Form::Tagged) => Render::Tagged(ty),
        (LeafType::Timestamp, Form::TimestampTz) => Render::Moment,
        (LeafType::Timestamp, Form::Timestamp) => Render::LocalMoment,
        (LeafType::Timestamp, Form::Time) => Render::Clock,
        (LeafType::Binary, Form::Bytes) => Render::Base64,
        (LeafType::Decimal, Form::Text) => Render::CoercedNumber,
        (LeafType::Uuid, Form::Text) => Render::CoercedUuid,
        (LeafType::Date, Form::Text) => Render::CoercedDate,
        _ => natural(form),
    }
}

/// A degree of a point.
pub(super) fn coordinate(form: Form) -> Render {
    match form {
        Form::Tagged => natural(form),
        _ => Render::Number,
    }
}

/// The form that the values of a field of this type usually have.
fn usual(ty: LeafType) -> Form {
    match ty {
        LeafType::Boolean => Form::Boolean,
        LeafType::Short | LeafType::Integer | LeafType::Long => Form::Integer,
        LeafType::Float | LeafType::Double | LeafType::Decimal => Form::Number,
        LeafType::Date => Form::Date,
        LeafType::Timestamp => Form::Timestamp,
        LeafType::Json => Form::Json,
        LeafType::Binary => Form::Bytes,
        LeafType::Uuid => Form::Uuid,
        LeafType::Text | LeafType::Identifier | LeafType::Keyword | LeafType::Enum => Form::Text,
    }
}

/// Why the field cannot be read from the column.
pub(super) fn misfit(scalar: &Scalar, column: &Column) -> Option<String> {
    let is = column.type_names.first().map_or("unknown", String::as_str);
    let name = &scalar.column;
    if column.form == Form::Tagged {
        return None;
    }
    match &scalar.ty {
        ScalarType::Leaf(ty) if !scalar.transforms.is_empty() && !ty.is_text() && column.form != Form::Text => {
            Some(format!("the column `{name}` is of type {is}, and only text is transformed; remove `transforms`"))
        }
        ScalarType::Leaf(ty) if !column.form.fits(*ty) => {
            Some(format!("the column `{name}` is of type {is}, which is no `{}`; declare another type", ty.word()))
        }
        ScalarType::Custom { postgres, .. } => {
            let known =
                |name: &String| column.type_names.iter().any(|known| base(known).eq_ignore_ascii_case(base(name)));
            (!postgres.iter().any(known))
                .then(|| format!("the column `{name}` is of type {is}, which is not in `postgres`: add it there"))
        }
        ScalarType::Leaf(_) | ScalarType::Ranked(_) => None,
    }
}

/// A type's name without its modifier, and of a list that of its elements.
fn base(name: &str) -> &str {
    let name = name.trim().trim_end_matches("[]");
    name.split('(').next().unwrap_or(name).trim()
}

/// How an aggregate is asked for and rendered, and what stands where there are no rows.
pub(super) fn reduced(op: &AggregateOp, column: Option<&Column>) -> (Reduction, Render, Vec<u8>) {
    let form = column.map_or(Form::Other, |column| column.form);
    let json = form == Form::Structured;
    let (render, none): (Render, &[u8]) = match op {
        AggregateOp::Count => (Render::Bare, b"0"),
        AggregateOp::Ids { .. } => (Render::Json, b"[]"),
        AggregateOp::Avg { .. } => (Render::Number, b"null"),
        AggregateOp::Sum { .. } if matches!(form, Form::Integer | Form::Number | Form::Tagged) => {
            (Render::Number, b"null")
        }
        AggregateOp::Sum { .. } => (Render::Quoted, b"null"),
        AggregateOp::Min { value_type, .. } | AggregateOp::Max { value_type, .. } => {
            (typed(*value_type, form), b"null")
        }
    };
    (Reduction { op: op.clone(), json }, render, none.to_vec())
}

/// Why the column cannot be reduced like this.
pub(super) fn irreducible(op: &AggregateOp, column: &Column) -> Option<String> {
    let is = column.type_names.first().map_or("unknown", String::as_str);
    let number = matches!(column.form, Form::Integer | Form::Number | Form::Other | Form::Tagged);
    match op {
        AggregateOp::Sum { .. } | AggregateOp::Avg { .. } if !number => {
            Some(format!("values of type {is} cannot be added up"))
        }
        AggregateOp::Min { value_type, .. } | AggregateOp::Max { value_type, .. } if !column.form.fits(*value_type) => {
            Some(format!("the column is of type {is}, which is no `{}`", value_type.word()))
        }
        _ => None,
    }
}
