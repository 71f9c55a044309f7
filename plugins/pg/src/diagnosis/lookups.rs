//! Indexes for lookups: each build and each followed change looks rows up by some columns, and without an index on them the
//! server reads the whole table every time.

use crate::catalog::table::Table;
use crate::catalog::table_catalog::TableCatalog;
use crate::diagnosis::Report;
use crate::diagnosis::code::Code;
use crate::error::Result;
use crate::protocol::session::Session;
use crate::protocol::sql;
use flusso_documents::Plan;
use flusso_schema::{Key, Schema};
use std::collections::BTreeMap;

/// Columns of a table, and the first place that looks rows up by them.
type Lookups = BTreeMap<(u32, Vec<String>), String>;

/// Looks for the missing ones.
pub(super) fn look(
    session: &mut Session,
    schema: &Schema,
    plan: &Plan,
    catalog: &TableCatalog,
    report: &mut Report,
) -> Result<()> {
    let wanted = wanted(schema, plan, catalog)?;
    let table = |oid| catalog.tables().find(|table| table.oid == oid);
    missing(session, wanted, &table, report)
}

/// The same for the links of the tables that another plugin's builder reads.
pub(super) fn look_links(session: &mut Session, read: &[(Table, Vec<String>)], report: &mut Report) -> Result<()> {
    let mut wanted = Lookups::new();
    for (table, links) in read {
        for link in links.iter().filter(|link| table.key.first() != Some(link)) {
            wanted.insert((table.oid, vec![link.clone()]), "the builder".to_owned());
        }
    }
    let table = |oid| read.iter().map(|(table, _)| table).find(|table| table.oid == oid);
    missing(session, wanted, &table, report)
}

fn missing<'a>(
    session: &mut Session,
    wanted: Lookups,
    table: &dyn Fn(u32) -> Option<&'a Table>,
    report: &mut Report,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let oids = sql::array(wanted.keys().map(|(oid, _)| oid.to_string()));
    let leading = session.simple(&format!(
        "SELECT i.indrelid, a.attname FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = ANY({}::oid[]) AND i.indisvalid AND i.indpred IS NULL",
        sql::text(&oids)
    ))?;
    let rows = session.simple(&format!(
        "SELECT oid, greatest(reltuples, 0)::int8 FROM pg_catalog.pg_class WHERE oid = ANY({}::oid[])",
        sql::text(&oids)
    ))?;
    let cell = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    for ((oid, columns), place) in wanted {
        let is = |row: &Vec<Option<String>>| cell(row, 0) == oid.to_string();
        if leading.iter().any(|row| is(row) && columns.contains(&cell(row, 1))) {
            continue;
        }
        let Some(table) = table(oid) else { continue };
        if matches!(table.kind.as_str(), "v" | "f") {
            continue;
        }
        let names: Vec<String> = columns.iter().map(|column| sql::name(column)).collect();
        // A partitioned table takes no index concurrently.
        let concurrently = if table.partitioned { "" } else { " CONCURRENTLY" };
        let remedy = format!("CREATE INDEX{concurrently} ON {} ({});", table.sql(), names.join(", "));
        let rows = rows.iter().find(|row| is(row)).map(|row| cell(row, 1)).unwrap_or_default();
        let message = format!(
            "no index begins with {}: `{place}` looks rows up by it, and each time the whole table is read (about {rows} rows)",
            columns.join(", ")
        );
        report.warn(Code::IndexMissing, &crate::diagnosis::tables::subject(table), message, remedy);
    }
    Ok(())
}

/// From documents down to rows, and from a changed row up to documents.
fn wanted(schema: &Schema, plan: &Plan, catalog: &TableCatalog) -> Result<Lookups> {
    let mut wanted = Lookups::new();
    let mut want = |table: Option<&Table>, columns: Vec<String>, place: &str| {
        if let Some(table) = table {
            wanted.entry((table.oid, columns)).or_insert_with(|| place.to_owned());
        }
    };
    for node in plan.nodes.iter().skip(1) {
        let table = node.link.through.as_ref().map_or(&node.table, |through| &through.table);
        want(Some(catalog.of_plan(table)?), node.link.columns.clone(), &node.path);
    }
    for place in schema.places() {
        if let Some(hop) = place.hops.first()
            && let Key::Declared(columns) = &hop.by
        {
            let table = catalog.table(hop.to.schema.as_str(), hop.to.name.as_str());
            want(table, columns.iter().map(ToString::to_string).collect(), &place.path);
        }
    }
    Ok(wanted)
}
