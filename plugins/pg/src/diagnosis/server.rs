//! The server and the slot: settings that logical replication needs, and how much the slot retains.

use crate::diagnosis::Report;
use crate::diagnosis::code::Code;
use crate::error::Result;
use crate::protocol::session::{Session, TextRow};
use crate::protocol::sql;
use crate::replication::slot::{SYNCHRONOUS_REMEDY, Server, is_synchronous, prepared_transactions};
use crate::replication::source;
use crate::settings::Settings;

/// The oldest version that is supported.
const OLDEST_SERVER_VERSION: u32 = 140_000;

/// What the other looks need of it.
pub(super) struct Found {
    /// Whether the slot is there already: then what is not published is being missed.
    pub(super) slot: bool,
    /// Who asks.
    pub(super) role: String,
}

/// Looks at the server and at the slot.
pub(super) fn look(session: &mut Session, settings: &Settings, report: &mut Report) -> Result<Found> {
    let rows = session.simple(
        "SELECT current_setting('server_version'), current_setting('wal_level'), pg_catalog.pg_is_in_recovery(), r.rolreplication OR r.rolsuper,
             current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_catalog.pg_replication_slots), session_user, current_database()
         FROM pg_catalog.pg_roles r WHERE r.rolname = session_user",
    )?;
    let row = Cells(rows.into_iter().next().unwrap_or_default());
    let role = row.text(5).to_owned();
    let before = report.errors();
    if session.version < OLDEST_SERVER_VERSION {
        let message = format!("this is PostgreSQL {}; 14 is the oldest that can be followed", row.text(0));
        report.error(Code::ServerVersion, "server", message, None);
    }
    if row.text(2) == "t" {
        let message =
            "this server is a standby, and a slot is made on the primary: name the primary in `connection_url`";
        report.error(Code::Standby, "server", message, None);
    }
    if row.text(1) != "logical" {
        let message = format!(
            "wal_level is `{}`, and changes can be followed only with `logical`; restart the server after it",
            row.text(1)
        );
        report.error(Code::WalLevel, "server", message, "ALTER SYSTEM SET wal_level = 'logical';".to_owned());
    }
    if row.text(3) != "t" {
        let message = format!(
            "the role `{role}` may not replicate (on Amazon RDS: GRANT rds_replication TO {};)",
            sql::name(&role)
        );
        report.error(Code::Replication, "server", message, format!("ALTER ROLE {} REPLICATION;", sql::name(&role)));
    }
    let standbys = session.one("SELECT current_setting('synchronous_standby_names')")?.unwrap_or_default();
    let application = &settings.connection.application;
    if is_synchronous(&standbys, application) {
        let message = format!(
            "synchronous_standby_names is '{standbys}', so every commit would wait for this host (application_name `{application}`), and this host for the commit; {SYNCHRONOUS_REMEDY}"
        );
        let remedy = "ALTER SYSTEM SET synchronous_standby_names = '…';\nSELECT pg_reload_conf();".to_owned();
        report.error(Code::SynchronousStandby, "server", message, remedy);
    }
    if report.errors() == before {
        let message = format!(
            "PostgreSQL {}, database {}, role {role}: wal_level is logical, and the role may replicate",
            row.text(0),
            row.text(6)
        );
        report.ok(Code::Server, "server", message);
    }
    let server = Server::read(session)?;
    let name = source::slot_name(session, settings, &server)?;
    let slot = slot(session, settings, &name, &server.name, report)?;
    if !slot && row.text(4).parse().is_ok_and(|left: i64| left < 1) {
        let message = "every replication slot is taken: drop one that is not used, or raise max_replication_slots and restart the server";
        report.error(Code::Slots, "server", message, "SELECT slot_name, active FROM pg_replication_slots;".to_owned());
    }
    Ok(Found { slot, role })
}

fn slot(session: &mut Session, settings: &Settings, name: &str, database: &str, report: &mut Report) -> Result<bool> {
    let subject = format!("slot {name}");
    let rows = session.simple(&format!(
        "SELECT s.plugin, s.database, s.active_pid, s.wal_status, s.confirmed_flush_lsn,
             CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.confirmed_flush_lsn)::int8 END,
             s.safe_wal_size,
             (SELECT 'process ' || a.pid || ', user ' || coalesce(a.usename, '?') || ', from ' || coalesce(a.client_addr::text, 'a local socket')
                  || coalesce(', application ' || nullif(a.application_name, ''), '')
              FROM pg_catalog.pg_stat_activity a WHERE a.pid = s.active_pid),
             (SELECT a.application_name FROM pg_catalog.pg_stat_activity a WHERE a.pid = s.active_pid)
         FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = {}",
        sql::text(name)
    ))?;
    let Some(row) = rows.into_iter().next().map(Cells) else {
        report.ok(
            Code::Slot,
            &subject,
            "is not there; the first start makes it (a host that ran before has lost its history)",
        );
        if let Some(which) = prepared_transactions(session)? {
            let message = format!("the first start waits until the prepared transactions {which} have ended");
            let remedy =
                "ROLLBACK PREPARED '…'; -- or COMMIT PREPARED, each in the database where it was prepared".to_owned();
            report.warn(Code::PreparedTransaction, &subject, message, remedy);
        }
        return Ok(false);
    };
    if row.text(0) != "pgoutput" || row.text(1) != database {
        let of = if row.text(1).is_empty() { "is a physical slot" } else { "belongs to the database " };
        let message = format!(
            "{of}{} with the output plugin {}; set `slot` to a name of its own",
            row.text(1),
            if row.text(0).is_empty() { "(none)" } else { row.text(0) }
        );
        report.error(Code::SlotForeign, &subject, message, None);
        return Ok(true);
    }
    let drop = format!("SELECT pg_drop_replication_slot({});", sql::text(name));
    match row.text(3) {
        "lost" => {
            let message = "the server dropped log that it still needed (max_slot_wal_keep_size): its history is lost; a start with --reseed drops it and makes it again";
            report.error(Code::SlotLost, &subject, message, drop);
            return Ok(true);
        }
        "unreserved" => {
            let message = format!(
                "is {} behind and about to be dropped by the server (max_slot_wal_keep_size): start the host, or raise the limit",
                behind(row.text(5))
            );
            report.warn(
                Code::SlotAtRisk,
                &subject,
                message,
                "ALTER SYSTEM SET max_slot_wal_keep_size = -1;\nSELECT pg_reload_conf();".to_owned(),
            );
        }
        _ => {
            let left = row
                .text(6)
                .parse()
                .ok()
                .map(|left: i64| format!(", and {} more until the server drops it", size(left)))
                .unwrap_or_default();
            report.ok(
                Code::Slot,
                &subject,
                format!("confirmed up to {}, {} behind{left}", row.text(4), behind(row.text(5))),
            );
        }
    }
    if !row.text(2).is_empty() {
        let message = format!("is in use by {}", row.text(7));
        // A host that runs is as it should be, and most likely this one.
        if row.text(8) == settings.connection.application {
            report.ok(Code::SlotActive, &subject, message);
        } else {
            let remedy = format!("SELECT pg_terminate_backend({});", row.text(2));
            report.warn(
                Code::SlotActive,
                &subject,
                format!(
                    "{message}; a start waits for it and then gives up: stop that one, or set `slot` to another name"
                ),
                remedy,
            );
        }
    }
    Ok(true)
}

fn behind(bytes: &str) -> String {
    bytes.parse().map_or_else(|_| "an unknown way".to_owned(), size)
}

/// Bytes for a person.
fn size(bytes: i64) -> String {
    let units = [("GiB", 1_i64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

struct Cells(TextRow);

impl Cells {
    fn text(&self, at: usize) -> &str {
        self.0.get(at).and_then(Option::as_deref).unwrap_or_default()
    }
}
