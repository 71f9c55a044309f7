//! Schema files against the live catalogue: missing tables and columns, types that do not fit, SQL that the server refuses.

use crate::catalog::interest;
use crate::catalog::table::{self, Table};
use crate::catalog::table_catalog::TableCatalog;
use crate::catalog::views;
use crate::diagnosis::code::Code;
use crate::diagnosis::{Report, fields, lookups, tables};
use crate::documents::builder::index_names::index_names;
use crate::documents::query::Queries;
use crate::error::{Error, Result};
use crate::protocol::session::Session;
use flusso_documents::{Misfit, Plan};
use flusso_plugin::IndexRequest;
use flusso_schema::Schema;

/// The schemas that can be read, by the place of their index.
pub(super) fn read(indexes: &[IndexRequest], report: &mut Report) -> Vec<Option<Schema>> {
    indexes
        .iter()
        .map(|index| {
            let text = index.schema.as_ref()?;
            match flusso_schema::parse(text, &origin(index)) {
                Ok(schema) => Some(schema),
                Err(problems) => {
                    for problem in problems {
                        report.error(Code::SchemaInvalid, &subject(index), problem.to_string(), None);
                    }
                    None
                }
            }
        })
        .collect()
}

pub(super) fn subject(index: &IndexRequest) -> String {
    format!("index {}", index.name)
}

fn origin(index: &IndexRequest) -> String {
    index.origin.clone().unwrap_or_else(|| format!("the schema of {}", index.name))
}

/// Each index against the catalogue; those that could be opened.
pub(super) fn check(
    session: &mut Session,
    indexes: &[IndexRequest],
    schemas: &mut [Option<Schema>],
    read: &mut Vec<Table>,
    report: &mut Report,
) -> Result<Vec<IndexRequest>> {
    let mut good = Vec::new();
    for (index, schema) in indexes.iter().zip(schemas.iter_mut()) {
        let before = report.errors();
        let catalog = match (&mut *schema, &index.schema) {
            (Some(schema), _) => one(session, index, schema, report)?,
            (None, Some(_)) => continue,
            (None, None) => rows(session, index, report)?,
        };
        for table in catalog.tables() {
            let root = schema.as_ref().is_none_or(|schema| {
                (schema.table.schema.as_str(), schema.table.name.as_str())
                    == (table.schema.as_str(), table.name.as_str())
            });
            // A junction may do without a key of its own.
            tables::check(table, root || !table.key.is_empty(), report);
            if !read.iter().any(|one| one.oid == table.oid) {
                read.push(table.clone());
            }
        }
        if report.errors() == before {
            good.push(index.clone());
            let tables: Vec<String> = catalog.tables().map(Table::label).collect();
            report.ok(Code::Index, &subject(index), format!("is made of {}", sorted(tables).join(", ")));
        }
    }
    let found: Vec<_> = read.iter().collect();
    tables::inheritance(session, &found.into_iter().cloned().collect::<Vec<_>>(), report)?;
    Ok(good)
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

/// An index without a schema: the table of its name.
fn rows(session: &mut Session, index: &IndexRequest, report: &mut Report) -> Result<TableCatalog> {
    let mut catalog = TableCatalog::default();
    let (schema, name) = index.name.split_once('.').unwrap_or(("public", index.name.as_str()));
    match table::find(session, schema, name)? {
        Some(table) => {
            if let Some(reason) = table.needs_schema() {
                report.error(Code::PrimaryKey, &subject(index), reason, None);
            }
            catalog.add(table);
        }
        None => {
            // A schema or a table with a dot in its name.
            let tables = table::all(session)?;
            let place = index_names(&tables).iter().position(|name| *name == index.name);
            match place.and_then(|place| tables.into_iter().nth(place)) {
                Some(table) => catalog.add(table),
                None => missing(session, schema, name, &subject(index), "", report)?,
            }
        }
    }
    Ok(catalog)
}

fn one(session: &mut Session, index: &IndexRequest, schema: &mut Schema, report: &mut Report) -> Result<TableCatalog> {
    let (subject, origin) = (subject(index), origin(index));
    let catalog = TableCatalog::of_schema(session, schema)?;
    let schema = &*schema;
    for used in flusso_schema::tables([schema]) {
        let (space, name) = (used.table.schema.as_str(), used.table.name.as_str());
        if catalog.table(space, name).is_none() {
            let places = schema.places();
            let place =
                places.iter().find(|place| place.table == used.table).map_or("table", |place| place.path.as_str());
            let place = if place.is_empty() { "table" } else { place };
            missing(session, space, name, &subject, &format!("{origin}: {place}: "), report)?;
        }
    }
    fields::look(schema, &catalog, &subject, &origin, session.version, report);
    let plan = match Plan::of_schema(schema, &catalog) {
        Ok(plan) => plan,
        Err(problems) => {
            for problem in problems {
                let code = match problem.misfit {
                    // Told above, with the name that may have been meant.
                    Misfit::NoTable => continue,
                    Misfit::NoColumn => Code::ColumnMissing,
                    Misfit::Type => Code::TypeMismatch,
                };
                report.error(code, &subject, format!("{origin}: {problem}"), None);
            }
            return Ok(catalog);
        }
    };
    for problem in views::misplaced(schema, &catalog) {
        report.error(Code::IndexRefused, &subject, format!("{origin}: {problem}"), None);
    }
    for note in views::unfollowed(session, &index.name, schema, &catalog)? {
        report.warn(Code::NotFollowed, &subject, note, None);
    }
    statements(session, &plan, &catalog, &subject, &origin, report)?;
    lookups::look(session, schema, &plan, &catalog, report)?;
    Ok(catalog)
}

/// Lets the server look at every statement.
fn statements(
    session: &mut Session,
    plan: &Plan,
    catalog: &TableCatalog,
    subject: &str,
    origin: &str,
    report: &mut Report,
) -> Result<()> {
    let queries = match Queries::of(plan, catalog) {
        Ok(queries) => queries,
        Err(error) => {
            report.error(Code::StatementRefused, subject, format!("{origin}: {error}"), None);
            return Ok(());
        }
    };
    for (node, statements) in plan.nodes.iter().zip(&queries.by_links) {
        let place = if node.path.is_empty() { "filters" } else { node.path.as_str() };
        match session.prepare(&statements.list) {
            Ok(_) => {}
            // What it may not read is said of the table.
            Err(Error::Server(error)) if error.code == "42501" => {}
            Err(Error::Server(error)) if error.code.starts_with("42") || error.code.starts_with("22") => {
                let message = format!("{origin}: {place}: the database refuses it: {error}");
                report.error(Code::StatementRefused, subject, message, None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A table that is not there, and the one that may have been meant.
pub(super) fn missing(
    session: &mut Session,
    schema: &str,
    name: &str,
    subject: &str,
    place: &str,
    report: &mut Report,
) -> Result<()> {
    let misfit = interest::missing(session, schema, name)?;
    report.error(Code::TableMissing, subject, format!("{place}{}", misfit.message()), None);
    Ok(())
}
