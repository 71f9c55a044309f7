//! The publication: whether it covers what is read, wholly, and who may change it where it does not.

use crate::catalog::table::Table;
use crate::diagnosis::Report;
use crate::diagnosis::code::Code;
use crate::diagnosis::server::Found;
use crate::error::Result;
use crate::protocol::session::Session;
use crate::protocol::sql;
use crate::replication::publication::covered;
use crate::settings::Settings;

/// Looks at it, for these tables.
pub(super) fn look(
    session: &mut Session,
    settings: &Settings,
    server: &Found,
    tables: &[Table],
    report: &mut Report,
) -> Result<()> {
    let (name, managed) = (settings.publication.as_str(), settings.manage_publication);
    let subject = format!("publication {name}");
    let found = session.simple(&format!(
        "SELECT pubviaroot, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pg_catalog.pg_has_role(pubowner, 'USAGE'), puballtables
         FROM pg_catalog.pg_publication WHERE pubname = {}",
        sql::text(name)
    ))?;
    let list = |tables: &[&Table]| tables.iter().map(|table| table.sql()).collect::<Vec<_>>().join(", ");
    let all: Vec<&Table> = tables.iter().collect();
    let Some(row) = found.into_iter().next() else {
        let what = if all.is_empty() { String::new() } else { format!(" FOR TABLE {}", list(&all)) };
        let remedy = format!("CREATE PUBLICATION {}{what} WITH (publish_via_partition_root = true);", sql::name(name));
        if !managed {
            let message = "is not there, and it is not managed here (manage_publication = false)";
            report.error(Code::PublicationMissing, &subject, message, remedy);
        } else if server.slot {
            let message = "is gone though the slot is there: what was written since cannot be read, so the history is lost; start with --reseed";
            report.error(Code::PublicationMissing, &subject, message, None);
        } else {
            report.ok(Code::Publication, &subject, "is not there; the first start makes it");
            own(session, &subject, name, true, &all, server, &remedy, report)?;
        }
        return Ok(());
    };
    let is = |at: usize| row.get(at).and_then(Option::as_deref) == Some("t");
    let before = report.findings.len();
    let mut mend = |code: Code, message: String, remedy: String| {
        if managed && is(2) {
            report.warn(code, &subject, format!("{message}; the next start mends it"), remedy);
        } else {
            report.error(code, &subject, message, remedy);
        }
    };
    let alter = format!("ALTER PUBLICATION {}", sql::name(name));
    if !is(1) {
        let remedy = format!("{alter} SET (publish = 'insert, update, delete, truncate');");
        mend(Code::PublicationKinds, "leaves some kinds of changes out".to_owned(), remedy);
    }
    if !is(0) && tables.iter().any(|table| table.partitioned) {
        let remedy = format!("{alter} SET (publish_via_partition_root = true);");
        mend(Code::PublicationRoot, "publishes partitions under their own names".to_owned(), remedy);
    }
    let published = covered(session, name)?;
    let missing: Vec<&Table> = tables.iter().filter(|table| !published.contains(&table.label())).collect();
    if !missing.is_empty() {
        let names = missing.iter().map(|table| table.label()).collect::<Vec<_>>().join(", ");
        let remedy = format!("{alter} ADD TABLE {};", list(&missing));
        let missed =
            if server.slot { "; what changed meanwhile is missed, and what reads it is built anew" } else { "" };
        let message = format!("does not cover {names}{missed}");
        if managed {
            report.warn(
                Code::PublicationCoverage,
                &subject,
                format!("{message}; the next start adds it"),
                remedy.clone(),
            );
            own(session, &subject, name, false, &missing, server, &remedy, report)?;
        } else {
            report.error(Code::PublicationCoverage, &subject, message, remedy);
        }
    }
    filters(session, name, &subject, tables, report)?;
    if report.findings.len() == before {
        report.ok(Code::Publication, &subject, format!("covers everything that is read ({} tables)", tables.len()));
    }
    Ok(())
}

/// Whether this role may do what the start will do: own the tables, and the publication or the right to make one.
#[expect(clippy::too_many_arguments, reason = "one question; each is a part of it")]
fn own(
    session: &mut Session,
    subject: &str,
    name: &str,
    create: bool,
    tables: &[&Table],
    server: &Found,
    remedy: &str,
    report: &mut Report,
) -> Result<()> {
    let oids = sql::array(tables.iter().map(|table| table.oid.to_string()));
    let foreign = session.simple(&format!(
        "SELECT oid::regclass::text FROM pg_catalog.pg_class WHERE oid = ANY({}::oid[]) AND NOT pg_catalog.pg_has_role(relowner, 'USAGE') ORDER BY 1",
        sql::text(&oids)
    ))?;
    let question = if create {
        "SELECT pg_catalog.has_database_privilege(current_database(), 'CREATE')".to_owned()
    } else {
        format!(
            "SELECT pg_catalog.pg_has_role(pubowner, 'USAGE') FROM pg_catalog.pg_publication WHERE pubname = {}",
            sql::text(name)
        )
    };
    let may = session.one(&question)?.as_deref() == Some("t");
    let foreign: Vec<String> = foreign.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    if may && foreign.is_empty() {
        return Ok(());
    }
    let why = match (foreign.is_empty(), create) {
        (false, _) => format!("does not own {}", foreign.join(", ")),
        (true, true) => "may not create in this database".to_owned(),
        (true, false) => "does not own the publication".to_owned(),
    };
    let message = format!("the role `{}` {why}, so it cannot do this; the owner of the tables has to", server.role);
    report.error(Code::PublicationOwner, subject, message, remedy.to_owned());
    Ok(())
}

/// A row filter or a column list (PostgreSQL 15) hides changes.
fn filters(session: &mut Session, name: &str, subject: &str, tables: &[Table], report: &mut Report) -> Result<()> {
    if session.version < 150_000 {
        return Ok(());
    }
    let rows = session.simple(&format!(
        "SELECT r.prrelid FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
         WHERE p.pubname = {} AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)",
        sql::text(name)
    ))?;
    let oids: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    for table in tables.iter().filter(|table| oids.contains(&table.oid.to_string())) {
        let alter = format!("ALTER PUBLICATION {}", sql::name(name));
        let remedy = format!("{alter} DROP TABLE {0};\n{alter} ADD TABLE {0};", table.sql());
        let message = format!("filters rows or columns of {}, so changes would be missed", table.label());
        report.error(Code::PublicationFilter, subject, message, remedy);
    }
    Ok(())
}
