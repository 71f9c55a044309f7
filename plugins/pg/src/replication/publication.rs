//! The publication: created and committed before the slot, extended by new tables, or only checked where the role owns none.

use crate::catalog::table::{Table, row_label};
use crate::error::{Error, Result};
use crate::name_list::shortened;
use crate::protocol::session::Session;
use crate::protocol::sql;
use flusso_plugin::log;
use std::collections::HashSet;

/// The comment on a publication that was created here: `drop` removes no other.
pub(crate) const CREATED: &str = "created by flusso-host";

/// What [`ensure`] had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ensured {
    /// Nothing.
    Found,
    /// It was altered.
    Altered,
    /// It was made just now: a slot that is older cannot be read through it.
    Created,
}

/// Whether it is there.
pub(crate) fn exists(session: &mut Session, publication: &str) -> Result<bool> {
    Ok(session
        .one(&format!("SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = {}", sql::text(publication)))?
        .is_some())
}

/// Sees to it that every table is published under its root. `manage`: makes and extends it; else says what is missing.
pub(crate) fn ensure(session: &mut Session, publication: &str, tables: &[&Table], manage: bool) -> Result<Ensured> {
    let found = session.simple(&format!(
        "SELECT pubviaroot, pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_catalog.pg_publication WHERE pubname = {}",
        sql::text(publication)
    ))?;
    let list = |tables: &[&Table]| tables.iter().map(|table| table.sql()).collect::<Vec<_>>().join(", ");
    let Some(found) = found.into_iter().next() else {
        let what = if tables.is_empty() { String::new() } else { format!(" FOR TABLE {}", list(tables)) };
        let statement =
            format!("CREATE PUBLICATION {}{what} WITH (publish_via_partition_root = true)", sql::name(publication));
        apply(session, publication, &statement, manage, "does not exist")?;
        session.simple(&format!("COMMENT ON PUBLICATION {} IS {}", sql::name(publication), sql::text(CREATED)))?;
        log::info("the publication was created", &[("publication", publication)]);
        return Ok(Ensured::Created);
    };
    let mut ensured = Ensured::Found;
    let is = |at: usize| found.get(at).and_then(Option::as_deref) == Some("t");
    if !is(1) {
        let statement =
            format!("ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate')", sql::name(publication));
        apply(session, publication, &statement, manage, "leaves some kinds of changes out")?;
        ensured = Ensured::Altered;
    }
    if !is(0) && tables.iter().any(|table| table.partitioned) {
        let statement = format!("ALTER PUBLICATION {} SET (publish_via_partition_root = true)", sql::name(publication));
        apply(session, publication, &statement, manage, "publishes partitions under their own names")?;
        ensured = Ensured::Altered;
    }
    let published = covered(session, publication)?;
    let missing: Vec<&Table> = tables.iter().copied().filter(|table| !published.contains(&table.label())).collect();
    if !missing.is_empty() {
        let names = shortened(missing.iter().map(|table| table.label()));
        let statement = format!("ALTER PUBLICATION {} ADD TABLE {}", sql::name(publication), list(&missing));
        apply(session, publication, &statement, manage, &format!("does not cover {names}"))?;
        log::info(&format!("tables joined the publication: {names}"), &[("publication", publication)]);
        ensured = Ensured::Altered;
    }
    if manage {
        release(session, publication)?;
    }
    filtered(session, publication, tables).map(|()| ensured)
}

/// A table that was published while it had a replica identity and has none any more: as long as it stays, the application's
/// own updates and deletes of it fail.
pub(crate) fn release(session: &mut Session, publication: &str) -> Result<()> {
    let rows = session.simple(&format!(
        "SELECT n.nspname, c.relname
         FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
         JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE p.pubname = {} AND (c.relreplident = 'n' OR c.relreplident IN ('d', 'i') AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indimmediate AND i.indisvalid
                 AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END))",
        sql::text(publication)
    ))?;
    for row in rows {
        let [Some(schema), Some(name)] = row.as_slice() else { continue };
        let statement = format!("ALTER PUBLICATION {} DROP TABLE {}", sql::name(publication), sql::table(schema, name));
        let table = format!("{schema}.{name}");
        match session.simple(&statement) {
            Ok(_) => log::warn(
                &format!(
                    "the table {table} left the publication: it has no replica identity any more, so updates and deletes of it failed"
                ),
                &[("publication", publication), ("table", &table)],
            ),
            Err(error) if error.code() == Some("42501") => log::warn(
                &format!(
                    "the table {table} is published and has no replica identity, so updates and deletes of it fail; its owner should run: {statement};"
                ),
                &[("publication", publication), ("table", &table)],
            ),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The tables it covers, by their labels; partitioned ones by their root, whichever way the option stands.
pub(crate) fn covered(session: &mut Session, publication: &str) -> Result<HashSet<String>> {
    let rows = session.simple(&format!(
        "SELECT n.nspname, c.relname
         FROM pg_catalog.pg_publication p
         JOIN pg_catalog.pg_class c ON c.relkind IN ('r', 'p') JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE p.pubname = {0} AND (p.puballtables
             OR c.oid IN (SELECT r.prrelid FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication q ON q.oid = r.prpubid WHERE q.pubname = {0})
             OR (n.nspname, c.relname) IN (SELECT t.schemaname, t.tablename FROM pg_catalog.pg_publication_tables t WHERE t.pubname = {0}))",
        sql::text(publication)
    ))?;
    Ok(rows.iter().filter_map(|row| row_label(row)).collect())
}

/// A row filter or a column list (PostgreSQL 15) would hide changes.
fn filtered(session: &mut Session, publication: &str, tables: &[&Table]) -> Result<()> {
    if session.version < 150_000 {
        return Ok(());
    }
    let rows = session.simple(&format!(
        "SELECT r.prrelid FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
         WHERE p.pubname = {} AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)",
        sql::text(publication)
    ))?;
    let oids: HashSet<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    match tables.iter().find(|table| oids.contains(&table.oid.to_string())) {
        Some(table) => Err(Error::configuration(
            "publication",
            format!(
                "`{publication}` filters rows or columns of {0}, so changes would be missed: ALTER PUBLICATION {1} DROP TABLE {2}; ALTER PUBLICATION {1} ADD TABLE {2}; or name another publication",
                table.label(),
                sql::name(publication),
                table.sql()
            ),
        )),
        None => Ok(()),
    }
}

/// Runs a statement, or returns an error with the statement that an administrator has to run.
fn apply(session: &mut Session, publication: &str, statement: &str, manage: bool, problem: &str) -> Result<()> {
    if !manage {
        return Err(Error::configuration(
            "manage_publication",
            format!(
                "the publication `{publication}` {problem}, and it is not managed here; its owner should run: {statement};"
            ),
        ));
    }
    match session.simple(statement) {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("42501") => Err(Error::configuration(
            "publication",
            format!(
                "the publication `{publication}` {problem}, and this role may not change that ({error}); the owner of the tables should run: {statement};"
            ),
        )),
        // Two instances at once: the other one made it.
        Err(error) if matches!(error.code(), Some("42710" | "23505")) => Ok(()),
        Err(error) => Err(error),
    }
}
