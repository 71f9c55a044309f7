//! Which tables become indexes, and the reason that is logged for each that cannot.

use crate::catalog::table::{self, Table};
use crate::catalog::views;
use crate::error::{Error, Result};
use crate::protocol::session::Session;
use flusso_plugin::log;

/// No index was asked for: every table that can be followed, under its own name (`schema.table` outside `public`).
pub(super) fn every_table(session: &mut Session) -> Result<Vec<(String, Table)>> {
    let mut found = Vec::new();
    for table in table::all(session)? {
        if !table.readable {
            log::debug("a table is skipped: this role may not read it", &[("table", &table.label())]);
        } else if let Some(reason) = table.obstacle() {
            log::warn(&format!("the table {} is skipped: {reason}", table.label()), &[("table", &table.label())]);
        } else {
            found.push((index_name(&table), table));
        }
    }
    if let Some(left_out) = views::left_out(session)? {
        log::info(&left_out, &[]);
    }
    Ok(found)
}

fn index_name(table: &Table) -> String {
    if table.schema == "public" { table.name.clone() } else { table.label() }
}

/// An index without a schema is the table of its name.
pub(super) fn named(session: &mut Session, index: &str) -> Result<Table> {
    let wrong = |message: String| Error::configuration(&format!("index.{index}"), message);
    let (schema, name) = index.split_once('.').unwrap_or(("public", index));
    let table = table::find(session, schema, name)?
        .ok_or_else(|| wrong(format!("there is no table {schema}.{name} in this database; name an index as its table, `schema.table` outside public, or give it a schema")))?;
    if let Some(reason) = table.needs_schema() {
        return Err(wrong(reason));
    }
    match table.obstacle() {
        Some(reason) => Err(wrong(format!("the table {} cannot be followed: {reason}", table.label()))),
        None => Ok(table),
    }
}
