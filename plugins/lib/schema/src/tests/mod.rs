//! Tests over whole files: every rule with its exact message, and what follows from a valid schema.

mod documents;
mod editor;
mod hostile;
mod mapping;
mod notes;
mod rules;
mod same;
mod watched;

use crate::{Schema, parse};

/// A file with every word of the language, shown in the README.
const EXAMPLE: &str = include_str!("../../example.schema.yml");

/// What fields of rules stand under; they begin on line 5.
const HEAD: &str = "version: 1\ntable: users\nprimary_key: id\nfields:\n";

fn schema(text: &str) -> Schema {
    parse(text, "test.schema.yml").unwrap_or_else(|problems| panic!("{problems}"))
}

/// A schema over `users` with these fields.
fn with_fields(fields: &str) -> Schema {
    schema(&format!("{HEAD}{fields}"))
}
