//! Replica identity: whether the server sends the old link values of a deleted or moved row. Where it does not, the replica
//! identity is set, or the host's link table stands in.

use crate::error::Result;
use crate::name_list::{NAMED, shortened};
use crate::protocol::session::Session;
use crate::protocol::sql;
use crate::replication::relation::FollowedTable;
use flusso_plugin::log;
use std::collections::HashMap;

/// While an `ALTER TABLE` waits for its lock, every later statement on the table waits behind it: never longer than this.
const LOCK_TIMEOUT: &str = "500ms";

/// The message about tables whose rows are followed through the link table, with what would be cheaper.
fn through_the_table(labels: &str, links: &str, statements: &str) -> String {
    format!(
        "deleted and moved rows of {labels} are followed through the link table that the host keeps, if the builder records its links (that of pg and tracked builders do), because the server does not tell their old {links}: it costs disk (about 10 bytes a row, 120 where keys are uuids) and some time of seeding; cheaper here, for some log on the server, is: {statements}; or `manage_replica_identity = true`"
    )
}

/// What [`ensure`] had to do.
pub(crate) enum Ensured {
    /// Nothing.
    Found,
    /// Replica identities were set.
    Altered,
    /// Another client holds a lock on a table; the text says so.
    Pending(String),
}

/// A table that does not tell the old values of some links.
struct Untold<'a> {
    followed: &'a mut FollowedTable,
    links: String,
    /// What would make it, and its partitions, tell them.
    statements: Vec<String>,
}

/// Has the server send the old links of every followed table: sets the replica identity (`manage`), or logs that the link table
/// stands in.
pub(crate) fn ensure(session: &mut Session, followed: &mut [FollowedTable], manage: bool) -> Result<Ensured> {
    let mut untold = untold(session, followed)?;
    if !manage {
        report(&untold);
        return Ok(Ensured::Found);
    }
    let mut altered = false;
    for one in &untold {
        let label = one.followed.table.label();
        for statement in &one.statements {
            session.simple(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))?;
            let answer = session.simple(statement);
            session.simple("SET lock_timeout = 0")?;
            match answer {
                Ok(_) => {
                    altered = true;
                    log::info(&format!("{statement}: its old {} are told now", one.links), &[("table", &label)]);
                }
                Err(error) if error.code() == Some("55P03") => {
                    return Ok(Ensured::Pending(format!("waiting for a lock on {label}, to set its replica identity")));
                }
                Err(error) if error.code() == Some("42501") => log::warn(
                    &format!(
                        "this role may not set the replica identity ({error}), so {}",
                        through_the_table(&label, &one.links, &one.statements.join("; "))
                    ),
                    &[("table", &label)],
                ),
                Err(error) => return Err(error),
            }
        }
    }
    if !altered {
        return Ok(Ensured::Found);
    }
    let mut tables: Vec<&mut FollowedTable> = untold.iter_mut().map(|one| &mut *one.followed).collect();
    FollowedTable::refresh_all(session, &mut tables)?;
    Ok(Ensured::Altered)
}

/// A line a table, or one for many.
fn report(untold: &[Untold<'_>]) {
    if untold.len() > NAMED {
        let labels = shortened(untold.iter().map(|one| one.followed.table.label()));
        let first = untold.iter().flat_map(|one| &one.statements).next().cloned().unwrap_or_default();
        let statements = format!("{first} and the same for the others, which `flusso-host check` names");
        log::info(&through_the_table(&labels, "links", &statements), &[]);
        return;
    }
    for one in untold {
        let label = one.followed.table.label();
        log::info(&through_the_table(&label, &one.links, &one.statements.join("; ")), &[("table", &label)]);
    }
}

/// Whether the server sends a column of the old row. It never sends generated columns, whatever the identity.
fn sends_old(followed: &FollowedTable, column: &String) -> bool {
    let table = &followed.table;
    // Each partition has an identity of its own.
    !table.partitioned && (table.identity == "f" || (table.identity == "i" && table.identity_columns.contains(column)))
}

/// The tables that do not tell all of their links, with their partitions looked up in one query.
fn untold<'a>(session: &mut Session, followed: &'a mut [FollowedTable]) -> Result<Vec<Untold<'a>>> {
    let mut untold = Vec::new();
    for followed in followed.iter_mut().filter(|followed| followed.table.is_streamed()) {
        let links: Vec<&String> = followed.interest.links.iter().filter(|link| !sends_old(followed, link)).collect();
        if !links.is_empty() {
            let links = links.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            untold.push(Untold { followed, links, statements: Vec::new() });
        }
    }
    let oids: Vec<String> = untold.iter().map(|one| one.followed.table.oid.to_string()).collect();
    if oids.is_empty() {
        return Ok(untold);
    }
    let rows = session.simple(&format!(
        "SELECT root.oid, n.nspname, c.relname
         FROM pg_catalog.unnest({}::oid[]) root(oid)
         CROSS JOIN LATERAL (SELECT root.oid UNION SELECT relid FROM pg_catalog.pg_partition_tree(root.oid)) below(oid)
         JOIN pg_catalog.pg_class c ON c.oid = below.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relreplident <> 'f' ORDER BY c.oid",
        sql::text(&sql::array(&oids))
    ))?;
    let mut statements: HashMap<String, Vec<String>> = HashMap::new();
    for row in rows {
        if let [Some(root), Some(schema), Some(name)] = row.as_slice() {
            let statement = format!("ALTER TABLE {} REPLICA IDENTITY FULL", sql::table(schema, name));
            statements.entry(root.clone()).or_default().push(statement);
        }
    }
    for one in &mut untold {
        one.statements = statements.remove(&one.followed.table.oid.to_string()).unwrap_or_default();
    }
    untold.retain(|one| !one.statements.is_empty());
    Ok(untold)
}
