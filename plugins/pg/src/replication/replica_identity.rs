//! Replica identity: whether the server sends the old link values of a deleted or moved row. Where it does not, the replica
//! identity is set, or the host's link table stands in.

use crate::error::Result;
use crate::protocol::session::Session;
use crate::protocol::sql;
use crate::replication::relation::FollowedTable;
use flusso_plugin::log;

/// While an `ALTER TABLE` waits for its lock, every later statement on the table waits behind it: never longer than this.
const LOCK_TIMEOUT: &str = "500ms";

/// The message about a table whose rows are followed through the link table, with what would be cheaper.
pub(crate) fn through_the_table(label: &str, links: &str, statements: &str) -> String {
    format!(
        "deleted and moved rows of {label} are followed through the link table that the host keeps, because the server does not tell their old {links}: it costs disk (about 10 bytes a row, 120 where keys are uuids) and some time of seeding; cheaper here, for some log on the server, is: {statements}; or `manage_replica_identity = true`"
    )
}

/// Has the server send the old links of every followed table: sets the replica identity (`manage`), or logs that the link table
/// stands in. Returns why it is not done yet, where another client holds a lock on a table.
pub(crate) fn ensure(session: &mut Session, followed: &mut [FollowedTable], manage: bool) -> Result<Option<String>> {
    for followed in followed {
        let untold: Vec<&String> = followed.interest.links.iter().filter(|link| !sends_old(followed, link)).collect();
        if untold.is_empty() || !followed.table.is_streamed() {
            continue;
        }
        let links = untold.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let tables = without_full_identity(session, followed.table.oid)?;
        let statements: Vec<String> =
            tables.iter().map(|table| format!("ALTER TABLE {table} REPLICA IDENTITY FULL")).collect();
        if statements.is_empty() {
            continue;
        }
        let (label, all) = (followed.table.label(), statements.join("; "));
        if !manage {
            log::info(&through_the_table(&label, &links, &all), &[("table", &label)]);
            continue;
        }
        for statement in &statements {
            session.simple(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))?;
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
        followed.refresh(session)?;
    }
    Ok(None)
}

/// Whether the server sends a column of the old row. It never sends generated columns, whatever the identity.
fn sends_old(followed: &FollowedTable, column: &String) -> bool {
    let table = &followed.table;
    // Each partition has an identity of its own.
    !table.partitioned && (table.identity == "f" || (table.identity == "i" && table.identity_columns.contains(column)))
}

/// Of a table and its partitions, those whose replica identity is not the whole row.
fn without_full_identity(session: &mut Session, oid: u32) -> Result<Vec<String>> {
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
