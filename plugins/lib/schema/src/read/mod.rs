//! From the raw form to the model: every rule of the language is checked here, once. A part that is wrong is noted and
//! left out, and reading goes on, so that several problems are found at once.

mod aggregate;
mod constant;
mod field;
mod filter;
mod follow;
mod join;
mod scalar;
mod value;

use crate::language::{SOFT_DELETE, TOP};
use crate::model::{Field, FieldKind, Identifier, Key, Schema, SoftDelete};
use crate::nearest::hint;
use crate::problem::{Problem, Problems, Report};
use crate::raw::Raw;
use crate::yaml;

/// Reads the text of one `*.schema.yml`. `origin` names the file in problems; nothing is read from it.
///
/// ```
/// let text = "version: 1\ntable: users\nprimary_key: id\nfields:\n  - long: id\n  - keyword: email\n";
/// let schema = flusso_schema::parse(text, "users.schema.yml")?;
/// assert_eq!(schema.table.to_string(), "public.users");
///
/// let problems = flusso_schema::parse("version: 1\ntabel: users\nfields:\n  - long: id\n", "users.schema.yml").unwrap_err();
/// assert_eq!(problems.to_string(), "users.schema.yml:2:1: tabel: unknown key; did you mean `table`?");
/// # Ok::<(), flusso_schema::Problems>(())
/// ```
///
/// # Errors
///
/// Everything that is wrong with it, as far as it can be told at once.
pub fn parse(text: &str, origin: &str) -> Result<Schema, Problems> {
    parse_with_notes(text, origin).map(|(schema, _)| schema)
}

/// The same, and what of the file is read otherwise than it is written: what flusso 0.15 let pass. It is for the operator,
/// who should write it as it is read.
///
/// ```
/// let text = "version: 1\ntable: Users\nfields:\n  - long: id\n";
/// let (schema, notes) = flusso_schema::parse_with_notes(text, "users.schema.yml")?;
/// assert_eq!(schema.table.to_string(), "public.users");
/// assert_eq!(notes[0].to_string(), "users.schema.yml:2:8: table: `Users` is read as `users`, unless the database has exactly this name");
/// # Ok::<(), flusso_schema::Problems>(())
/// ```
///
/// # Errors
///
/// Everything that is wrong with it, as far as it can be told at once.
pub fn parse_with_notes(text: &str, origin: &str) -> Result<(Schema, Vec<Problem>), Problems> {
    let mut report = Report::new(origin);
    let root = yaml::parse(text, &mut report);
    let schema = root.and_then(|root| {
        let raw = Raw::read(&root, "the file", TOP, &mut report);
        // A file of an unknown version, or without a table, still has fields to look at: missing keys are not the end.
        let raw = raw.or_else(|| Raw::partial(&root, TOP))?;
        let public = Identifier::new("public")?;
        let mut rules = Rules { report: &mut report, schema: public };
        rules.top(&raw)
    });
    report.finish(schema)
}

/// The rules at work: where problems go, and the database schema of tables that name none. Each file of this module adds
/// the rules of one part of the language.
struct Rules<'r> {
    report: &'r mut Report,
    schema: Identifier,
}

impl Rules<'_> {
    fn top(&mut self, raw: &Raw<'_>) -> Option<Schema> {
        if let Some(node) = raw.get("version") {
            self.version(node);
        }
        if raw.get("doc_id").is_some() {
            let message = "this is reserved: a document is named by its root row's `primary_key`; remove `doc_id`";
            self.report.add(raw.key_at("doc_id"), "doc_id", message);
        }
        let table = raw.get("table").and_then(|_| self.table(raw));
        if let Some(table) = &table {
            self.schema = table.schema.clone();
        } else if let Some(schema) = raw.get("schema").and_then(|node| self.identifier("schema", node)) {
            self.schema = schema;
        }
        let primary_key = match raw.get("primary_key") {
            Some(node) => self.columns("primary_key", node).map(Key::Declared),
            None => Some(Key::FromCatalogue),
        };
        let filters = self.filters("filters", raw.get("filters"));
        // Fields are looked at even where the key is wrong, as if the catalogue had to tell it.
        let row_key = primary_key.clone().unwrap_or(Key::FromCatalogue);
        let fields = raw.get("fields").and_then(|node| self.fields(node, &row_key));
        let follow = self.follow("", raw.get("follow"), &row_key);
        let soft_delete = self.soft_delete(raw, fields.as_deref());
        let (table, primary_key, filters, mut fields) = (table?, primary_key?, filters?, fields?);
        fields.extend(follow?);
        Some(Schema { table, primary_key, soft_delete: soft_delete?, filters, fields })
    }

    fn version(&mut self, node: &yaml::Node) {
        let is_one = matches!(&node.value, yaml::Value::Number(number, _) if number.as_i64() == Some(1));
        if !is_one {
            let message = format!("{} is no version of this format; write `version: 1`", node.describe());
            self.report.add(node.at, "version", message);
        }
    }

    fn soft_delete(&mut self, raw: &Raw<'_>, fields: Option<&[Field]>) -> Option<SoftDelete> {
        let Some(node) = raw.get("soft_delete") else { return Some(SoftDelete::Never) };
        let mark = Raw::read(node, "soft_delete", SOFT_DELETE, self.report)?;
        let when = self.filters("when", mark.get("when"));
        let column = match (mark.get("column"), mark.get("field")) {
            (Some(column), None) => self.identifier("column", column),
            (None, Some(field)) => {
                let key = self.document_key("field", field)?;
                self.column_of(&key, field, fields?)
            }
            (None, None) => {
                self.report.add(
                    mark.at,
                    "soft_delete",
                    "it needs a mark: write `column`, or `field` for a field's column",
                );
                None
            }
            (Some(_), Some(_)) => {
                self.report.add(
                    mark.key_at("field"),
                    "field",
                    "the mark is either a `column` or a `field`; keep one of the two",
                );
                None
            }
        };
        Some(SoftDelete::Marked { column: column?, when: when? })
    }

    /// The column that a field of the document reads.
    fn column_of(&mut self, key: &str, node: &yaml::Node, fields: &[Field]) -> Option<Identifier> {
        let mut scalars = Vec::new();
        same_row(fields, &mut scalars);
        if let Some((_, column)) = scalars.iter().find(|(name, _)| *name == key) {
            return Some((*column).clone());
        }
        let scalars: Vec<&str> = scalars.into_iter().map(|(name, _)| name).collect();
        let message = match scalars.is_empty() {
            true => format!("`{key}` is no field of this document that reads a column; write `column` instead"),
            false => format!("`{key}` is no field of this document that reads a column; {}", hint(key, scalars)),
        };
        self.report.add(node.at, "field", message);
        None
    }
}

/// The fields that read a column of the row at hand, those of objects too, each with its column.
fn same_row<'f>(fields: &'f [Field], out: &mut Vec<(&'f str, &'f Identifier)>) {
    for field in fields {
        match &field.kind {
            FieldKind::Scalar(scalar) => out.push((field.key.as_str(), &scalar.column)),
            FieldKind::Object(members) => same_row(members, out),
            _ => {}
        }
    }
}
