//! Replica identity: whether the server tells the links that a deleted or moved row had. Where it does not, it is set, or the
//! host's link table stands in.

use crate::catalog::table;
use crate::error::{Error, Result};
use crate::protocol::session::Session;
use crate::protocol::sql;
use crate::replication::relation::Watched;
use flusso_plugin::log;

/// Waiting for the lock of an `ALTER TABLE` holds everybody up who comes after: never longer than this.
const LOCK: &str = "500ms";

/// What to say of a table whose rows are followed through the link table, and what would be cheaper.
pub(crate) fn through_the_table(label: &str, links: &str, statements: &str) -> String {
    format!(
        "deleted and moved rows of {label} are followed through the link table that the host keeps, because the server does not tell their old {links}: it costs disk (about 10 bytes a row, 120 where keys are uuids) and some time of seeding; cheaper here, for some log on the server, is: {statements}; or `manage_replica_identity = true`"
    )
}

/// Sees to it that the links of every watched table are told: sets what is needed (`manage`), or says what stands in for it.
/// Answers why it is not done yet, when somebody holds a table.
pub(crate) fn ensure(session: &mut Session, watched: &mut [Watched], manage: bool) -> Result<Option<String>> {
    for watched in watched {
        let untold: Vec<&String> = watched.interest.links.iter().filter(|link| !tells(watched, link)).collect();
        if untold.is_empty() {
            continue;
        }
        let links = untold.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let tables = partial(session, watched.known.oid)?;
        let statements: Vec<String> =
            tables.iter().map(|table| format!("ALTER TABLE {table} REPLICA IDENTITY FULL")).collect();
        if statements.is_empty() {
            continue;
        }
        let (label, all) = (watched.known.label(), statements.join("; "));
        if !manage {
            log::info(&through_the_table(&label, &links, &all), &[("table", &label)]);
            continue;
        }
        for statement in &statements {
            session.simple(&format!("SET lock_timeout = '{LOCK}'"))?;
            let answer = session.simple(statement);
            session.simple("SET lock_timeout = 0")?;
            match answer {
                Ok(_) => log::info(&format!("{statement}: its old {links} are told now"), &[("table", &label)]),
                Err(error) if error.code() == Some("55P03") => {
                    return Ok(Some(format!("waiting for a lock on {label}, to set its replica identity")));
                }
                Err(error) if error.code() == Some("42501") => log::warn(
                    &format!(
                        "this role may not set the replica identity ({error}), so {}",
                        through_the_table(&label, &links, &all)
                    ),
                    &[("table", &label)],
                ),
                Err(error) => return Err(error),
            }
        }
        let (schema, name) = (&watched.interest.table.schema, &watched.interest.table.name);
        watched.known = table::find(session, schema, name)?
            .ok_or_else(|| Error::Transient(format!("the table {label} is gone: the tables are looked up again")))?;
    }
    Ok(None)
}

/// Whether a column of the old row is told. What is generated never is, and no identity helps.
fn tells(watched: &Watched, column: &String) -> bool {
    let table = &watched.known;
    // Each partition has an identity of its own.
    !table.partitioned && (table.identity == "f" || (table.identity == "i" && table.identity_columns.contains(column)))
}

/// Those of a table and its partitions whose identity is not the whole row.
fn partial(session: &mut Session, oid: u32) -> Result<Vec<String>> {
    let rows = session.simple(&format!(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relreplident <> 'f' AND (c.oid = {oid} OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree({oid})))
         ORDER BY c.oid"
    ))?;
    let name = |row: &Vec<Option<String>>| match row.as_slice() {
        [Some(schema), Some(name)] => Some(sql::table(schema, name)),
        _ => None,
    };
    Ok(rows.iter().filter_map(name).collect())
}
