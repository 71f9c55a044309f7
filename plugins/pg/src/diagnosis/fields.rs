//! What a schema file claims about columns, compared with the catalogue: nulls, generated values, conditions on other tables.

use crate::catalog::table::{Column, Table};
use crate::catalog::table_catalog::TableCatalog;
use crate::diagnosis::Report;
use crate::diagnosis::code::Code;
use crate::protocol::sql;
use flusso_schema::{
    Aggregate, Field, FieldKind, Filter, Geo, Identifier, Join, Key, Link, Reads, Schema, SoftDelete, TableName,
};

/// Since this version the stream tells stored generated columns.
const PUBLISHES_GENERATED_COLUMNS: u32 = 180_000;

/// Words in a raw condition that make it depend on more than the row: other tables, the clock, chance, who asks.
const ELSEWHERE: [&str; 14] = [
    "select",
    "now",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "random",
    "current_user",
    "current_setting",
];

/// Looks at one schema.
pub(super) fn look(
    schema: &Schema,
    catalog: &TableCatalog,
    subject: &str,
    origin: &str,
    version: u32,
    report: &mut Report,
) {
    let mut look = Look { catalog, subject, origin, report };
    look.filters("filters", &schema.filters);
    if let SoftDelete::Marked { when, .. } = &schema.soft_delete {
        look.filters("soft_delete.when", when);
    }
    if let Key::Declared(columns) = &schema.primary_key {
        look.present("primary_key", &schema.table, columns, "a row without it is no document");
    }
    look.fields("", &schema.table, &schema.fields);
    if version < PUBLISHES_GENERATED_COLUMNS {
        look.generated(schema);
    }
}

struct Look<'a> {
    catalog: &'a TableCatalog,
    subject: &'a str,
    origin: &'a str,
    report: &'a mut Report,
}

impl Look<'_> {
    fn fields(&mut self, prefix: &str, table: &TableName, fields: &[Field]) {
        for field in fields {
            let path = format!("{prefix}{}", field.key);
            let required = "the field is `required`";
            match &field.kind {
                FieldKind::Scalar(scalar) if !scalar.nullable && scalar.default.is_null() => {
                    self.present(&path, table, std::slice::from_ref(&scalar.column), required);
                }
                FieldKind::Geo(geo) if !geo.nullable() => match geo {
                    Geo::Pair { lat, lon, .. } => self.present(&path, table, &[lat.clone(), lon.clone()], required),
                    Geo::Single { column, .. } => self.present(&path, table, std::slice::from_ref(column), required),
                },
                FieldKind::Map(map) if !map.nullable => {
                    self.present(&path, table, std::slice::from_ref(&map.column), required);
                }
                FieldKind::Object(members) => self.fields(&format!("{path}."), table, members),
                FieldKind::Join(join) => self.join(&path, table, join),
                FieldKind::Aggregate(one) => self.aggregate(&path, one),
                FieldKind::Scalar(_) | FieldKind::Geo(_) | FieldKind::Map(_) | FieldKind::Constant(_) => {}
            }
        }
    }

    fn join(&mut self, path: &str, table: &TableName, join: &Join) {
        if let Link::BelongsTo { column, nullable: false, when } = &join.link
            && when.is_empty()
        {
            self.present(path, table, column, "the join is `required`");
        }
        self.filters(&format!("{path}.filters"), &join.filters);
        self.fields(&format!("{path}."), &join.table, &join.fields);
    }

    fn aggregate(&mut self, path: &str, one: &Aggregate) {
        self.filters(&format!("{path}.filters"), &one.filters);
    }

    /// Columns that should never be null.
    fn present(&mut self, path: &str, table: &TableName, columns: &[Identifier], why: &str) {
        for name in columns {
            let Some((found, column)) = self.column(table, name) else { continue };
            if column.required || !found.is_streamed() {
                continue;
            }
            let remedy = format!("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL;", found.sql(), sql::name(&column.name));
            let message = format!("{}: {path}: {why}, and {}.{name} may be null", self.origin, found.label());
            self.report.warn(Code::Nullable, self.subject, message, remedy);
        }
    }

    fn filters(&mut self, path: &str, filters: &[Filter]) {
        for filter in filters {
            let Filter::Raw(text) = filter else { continue };
            let lower = text.to_lowercase();
            let mut words = lower.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            if let Some(word) = words.find(|word| ELSEWHERE.contains(word)) {
                let message = format!(
                    "{}: {path}: the raw condition says `{word}`, so it depends on more than the row: when that changes, no change of the row tells, and the documents stay as they are until they are built for another reason",
                    self.origin
                );
                self.report.warn(Code::RawFilter, self.subject, message, None);
            }
        }
    }

    /// What the server computes is not in the stream.
    fn generated(&mut self, schema: &Schema) {
        for used in flusso_schema::tables([schema]) {
            let Some(table) = self.catalog.table(used.table.schema.as_str(), used.table.name.as_str()) else {
                continue;
            };
            let read = |column: &&Column| {
                let is = |name: &Identifier| name.as_str() == column.name;
                used.links.iter().any(is) || matches!(&used.reads, Reads::Columns(columns) if columns.iter().any(is))
            };
            let columns: Vec<&str> = table
                .columns
                .iter()
                .filter(|column| column.generated)
                .filter(read)
                .map(|it| it.name.as_str())
                .collect();
            if columns.is_empty() {
                continue;
            }
            let message = format!(
                "{} is generated, and before PostgreSQL 18 the stream does not tell it: every update of a row builds its documents, whatever it changed",
                columns.join(", ")
            );
            self.report.warn(Code::GeneratedColumn, &crate::diagnosis::tables::subject(table), message, None);
        }
    }

    fn column(&self, table: &TableName, name: &Identifier) -> Option<(&Table, &Column)> {
        let table = self.catalog.table(table.schema.as_str(), table.name.as_str())?;
        Some((table, table.columns.iter().find(|column| column.name == name.as_str())?))
    }
}
