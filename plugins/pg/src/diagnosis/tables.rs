//! Each table by itself: whether it may be read and followed, and how a deleted or moved row is traced to its old parents.

use crate::catalog::table::Table;
use crate::catalog::views;
use crate::diagnosis::Report;
use crate::diagnosis::code::Code;
use crate::error::Result;
use crate::protocol::session::Session;
use crate::protocol::sql;
use flusso_resolve::{Relation, Tracing};

/// What stands in the way of a table: what, why, and the statement that helps.
pub(super) type Obstacle = (Code, String, Option<String>);

pub(super) fn subject(table: &Table) -> String {
    format!("table {}", table.label())
}

/// Everything that keeps a table from being followed. The list is empty where [`Table::obstacle`] finds none.
pub(super) fn obstacles(table: &Table) -> Vec<Obstacle> {
    let name = table.sql();
    let mut found: Vec<Obstacle> = Vec::new();
    if !table.readable {
        let remedy = format!(
            "GRANT USAGE ON SCHEMA {} TO {role};\nGRANT SELECT ON {name} TO {role};",
            sql::name(&table.schema),
            role = sql::name(&table.role)
        );
        found.push((Code::SelectPrivilege, format!("the role `{}` may not read it", table.role), Some(remedy)));
    }
    if !table.is_streamed() {
        return found;
    }
    if table.hidden_rows {
        let why = "row-level security hides rows of it from this role, though the stream tells them".to_owned();
        found.push((Code::RowSecurity, why, Some(format!("ALTER ROLE {} BYPASSRLS;", sql::name(&table.role)))));
    }
    if table.persistence == "u" {
        let why = "it is unlogged, so its changes are not in the log".to_owned();
        found.push((Code::Unlogged, why, Some(format!("ALTER TABLE {name} SET LOGGED;"))));
    }
    if table.key.is_empty() {
        let why = "it has no primary key, so its rows have no names".to_owned();
        found.push((Code::PrimaryKey, why, Some(format!("ALTER TABLE {name} ADD PRIMARY KEY (…);"))));
    } else if let Some((why, identity)) = identity(table) {
        let remedy = format!("ALTER TABLE {name} REPLICA IDENTITY {identity};");
        found.push((Code::ReplicaIdentity, why.to_owned(), Some(remedy)));
    }
    found
}

fn identity(table: &Table) -> Option<(&'static str, &'static str)> {
    let covers = || table.key.iter().all(|column| table.identity_columns.contains(column));
    match table.identity.as_str() {
        "d" if !table.key_identifies => Some((
            "its primary key is deferrable, which is no replica identity: once published, updates and deletes of it would fail",
            "FULL",
        )),
        "n" => {
            Some(("its replica identity is NOTHING: once published, updates and deletes of it would fail", "DEFAULT"))
        }
        "i" if table.identity_columns.is_empty() => Some((
            "the index of its replica identity is gone: once published, updates and deletes of it would fail",
            "DEFAULT",
        )),
        "i" if !covers() => Some(("its replica identity is an index that does not cover the primary key", "DEFAULT")),
        _ => None,
    }
}

/// A table that is read. Without `keyed` it may do without a primary key, if whole old rows are told.
pub(super) fn check(table: &Table, keyed: bool, report: &mut Report) {
    for (code, why, remedy) in obstacles(table) {
        if code == Code::PrimaryKey && !keyed {
            if table.identity != "f" {
                let remedy = format!("ALTER TABLE {} REPLICA IDENTITY FULL;", table.sql());
                let why = "it has no primary key, so updates and deletes of it would fail once it is published";
                report.error(Code::ReplicaIdentity, &subject(table), why, remedy);
            }
            continue;
        }
        report.error(code, &subject(table), why, remedy);
    }
}

/// A table that is read by another key than its primary one.
pub(super) fn check_by(table: &Table, key: &[String], report: &mut Report) {
    let by_identity = |code: &Code| matches!(code, Code::PrimaryKey | Code::ReplicaIdentity);
    for (code, why, remedy) in obstacles(table).into_iter().filter(|(code, ..)| !by_identity(code)) {
        report.error(code, &subject(table), why, remedy);
    }
    if let Some(why) = table.untold(key) {
        let remedy = format!("ALTER TABLE {} REPLICA IDENTITY FULL;", table.sql());
        report.error(Code::ReplicaIdentity, &subject(table), why, remedy);
    }
}

/// Tables that inherit from one that is read: their rows are not read with it.
pub(super) fn inheritance(session: &mut Session, tables: &[Table], report: &mut Report) -> Result<()> {
    let oids = sql::array(tables.iter().map(|table| table.oid.to_string()));
    let rows = session.simple(&format!(
        "SELECT i.inhparent, string_agg(i.inhrelid::regclass::text, ', ' ORDER BY i.inhrelid)
         FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhparent
         WHERE c.relkind = 'r' AND i.inhparent = ANY({}::oid[]) GROUP BY 1",
        sql::text(&oids)
    ))?;
    for row in rows {
        let [Some(oid), Some(children)] = row.as_slice() else { continue };
        if let Some(table) = tables.iter().find(|table| table.oid.to_string() == *oid) {
            let message =
                format!("rows of {children} are not part of it (INHERITS); an index of their own follows them");
            report.warn(Code::Inheritance, &subject(table), message, None);
        }
    }
    Ok(())
}

/// Which way a child that is deleted or moved is followed to where it was.
pub(super) fn relation(relation: &Relation, managed: bool, report: &mut Report) {
    let label = format!("table {}.{}", relation.table.schema, relation.table.name);
    let columns = relation.columns.join(", ");
    if let (Some(problem), Tracing::Untold { remedy }, false) = (views::untold(relation), &relation.tracing, managed) {
        report.error(Code::ReplicaIdentity, &label, problem, remedy.as_ref().map(|statement| format!("{statement};")));
        return;
    }
    match &relation.tracing {
        Tracing::Key => report.ok(
            Code::OldLinks,
            &label,
            format!("a row that goes or moves is followed by its old {columns}, which the primary key tells; it costs nothing"),
        ),
        Tracing::Identity { whole: false } => report.ok(
            Code::OldLinks,
            &label,
            format!("a row that goes or moves is followed by its old {columns}, which the index of its replica identity tells; it costs the index's columns in the log"),
        ),
        Tracing::Identity { whole: true } => report.ok(
            Code::OldLinks,
            &label,
            format!("a row that goes or moves is followed by its old {columns}, which REPLICA IDENTITY FULL tells; every update and delete of it writes the whole old row to the log"),
        ),
        Tracing::Untold { remedy: Some(_) } if managed => report.ok(
            Code::OldLinks,
            &label,
            format!("its old {columns} are not told yet; the next start sets REPLICA IDENTITY FULL (manage_replica_identity), and every update and delete of it then writes the whole old row to the log"),
        ),
        Tracing::Untold { remedy } => {
            let cheaper = remedy.as_ref().map(|statement| {
                format!("; cheaper here, for more log on the server: {statement}; or `manage_replica_identity = true`")
            });
            report.ok(
                Code::OldLinks,
                &label,
                format!(
                    "a row that goes or moves is followed by its old {columns}, which the host's link table remembers; it costs about 10 bytes of disk a row (120 where keys are uuids) and time of seeding{}",
                    cheaper.unwrap_or_default()
                ),
            );
        }
    }
}
