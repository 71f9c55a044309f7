//! Which tables become indexes, and the reason that is logged for each that cannot.

use crate::catalog::table::{self, Table};
use crate::catalog::views;
use crate::documents::builder::index_names::index_names;
use crate::error::{Error, Result};
use crate::name_list::{NAMED, shortened};
use crate::protocol::session::Session;
use flusso_plugin::log;

/// No index was asked for: every table that can be followed, under its own name (`schema.table` outside `public`).
pub(super) fn every_table(session: &mut Session) -> Result<Vec<(String, Table)>> {
    let (mut found, mut skipped) = (Vec::new(), Vec::new());
    let tables = table::all(session)?;
    for (name, table) in index_names(&tables).into_iter().zip(tables) {
        if !table.readable {
            log::debug("a table is skipped: this role may not read it", &[("table", &table.label())]);
        } else if let Some(reason) = table.obstacle() {
            skipped.push((table.label(), reason));
        } else {
            found.push((name, table));
        }
    }
    report(&skipped);
    if let Some(left_out) = views::left_out(session)? {
        log::info(&left_out, &[]);
    }
    Ok(found)
}

/// A line a table that cannot be followed, or one for many.
fn report(skipped: &[(String, String)]) {
    if skipped.len() > NAMED {
        let (count, names) =
            (skipped.len(), shortened(skipped.iter().map(|(name, reason)| format!("{name} ({reason})"))));
        log::warn(&format!("{count} tables are skipped: {names}; `flusso-host check` says why each is"), &[]);
        return;
    }
    for (name, reason) in skipped {
        log::warn(&format!("the table {name} is skipped: {reason}"), &[("table", name)]);
    }
}

/// An index without a schema is the table of its name.
pub(super) fn named(session: &mut Session, index: &str) -> Result<Table> {
    let wrong = |message: String| Error::configuration(&format!("index.{index}"), message);
    let (schema, name) = index.split_once('.').unwrap_or(("public", index));
    let mut found = table::find(session, schema, name)?;
    if found.is_none() {
        // A schema or a table with a dot in its name.
        let tables = table::all(session)?;
        let place = index_names(&tables).iter().position(|name| name == index);
        found = place.and_then(|place| tables.into_iter().nth(place));
    }
    let table = found
        .ok_or_else(|| wrong(format!("there is no table {schema}.{name} in this database; name an index as its table, `schema.table` outside public, or give it a schema")))?;
    if let Some(reason) = table.needs_schema() {
        return Err(wrong(reason));
    }
    match table.obstacle() {
        Some(reason) => Err(wrong(format!("the table {} cannot be followed: {reason}", table.label()))),
        None => Ok(table),
    }
}
