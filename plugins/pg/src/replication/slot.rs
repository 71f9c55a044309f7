//! The replication slot: its state on the server, whether a stored position can be resumed from, and its creation.

use crate::error::{Error, Result, ServerError};
use crate::protocol::session::{Session, TextRow};
use crate::protocol::sql;
use crate::replication::position::{Lsn, Origin};
use postgres_protocol::message::frontend;
use std::time::Duration;

/// What the server is.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Its system identifier.
    pub system: u64,
    /// The database's oid.
    pub database: u32,
    /// The database's name.
    pub name: String,
    /// `wal_level`.
    wal_level: String,
    /// Whether the role that logged in may replicate: it is the one that the server asks, whatever `SET role` says.
    may_replicate: bool,
    /// Whether it is a standby.
    standby: bool,
    /// When a dead stream is given up.
    pub timeout: Duration,
    /// `synchronous_standby_names`.
    synchronous: String,
}

/// Whether the server may choose a client of this name as a synchronous standby: then each commit waits for the position that
/// this client confirms, and this client waits for the commit to become visible.
pub(crate) fn is_synchronous(standby_names: &str, application: &str) -> bool {
    let list = standby_names.split_once('(').map_or(standby_names, |(_, rest)| rest.trim_end().trim_end_matches(')'));
    list.split(',')
        .map(|name| name.trim().trim_matches('"'))
        .any(|name| name == "*" || name.eq_ignore_ascii_case(application))
}

/// What a server that may do so is told to do instead.
pub(crate) const SYNCHRONOUS_REMEDY: &str = "name the standbys themselves in synchronous_standby_names (ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (standby1)'; SELECT pg_reload_conf();), or give this host another application_name in its connection_url";

/// A slot that is there.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// Its output plugin.
    pub plugin: Option<String>,
    /// Its database.
    pub database: Option<String>,
    /// The process that uses it.
    pub pid: Option<u32>,
    /// What was confirmed to it.
    pub confirmed: Lsn,
    /// `lost` when the log it needs is gone.
    pub lost: bool,
    /// Where the server's log ends now.
    pub current: Lsn,
}

impl Server {
    /// Looks.
    pub(crate) fn read(session: &mut Session) -> Result<Self> {
        let rows = session.simple(
            "SELECT (pg_catalog.pg_control_system()).system_identifier, d.oid, d.datname, current_setting('wal_level'),
                 r.rolreplication OR r.rolsuper, pg_catalog.pg_is_in_recovery(),
                 (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'),
                 current_setting('synchronous_standby_names')
             FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
             WHERE d.datname = pg_catalog.current_database() AND r.rolname = session_user",
        )?;
        let row = Fields(rows.into_iter().next().unwrap_or_default());
        Ok(Self {
            // The identifier is shown as a signed number.
            system: row
                .text(0)
                .parse::<i64>()
                .map(|number| u64::from_ne_bytes(number.to_ne_bytes()))
                .map_err(|_| Error::protocol("no system identifier"))?,
            database: row.text(1).parse().map_err(|_| Error::protocol("no database"))?,
            name: row.text(2).to_owned(),
            wal_level: row.text(3).to_owned(),
            may_replicate: row.text(4) == "t",
            standby: row.text(5) == "t",
            timeout: Duration::from_millis(row.text(6).parse().unwrap_or(60_000)),
            synchronous: row.text(7).to_owned(),
        })
    }

    /// Whether it can be followed at all.
    pub(crate) fn check(&self, user: &str, application: &str) -> Result<()> {
        if self.standby {
            return Err(Error::configuration(
                "connection_url",
                "this server is a standby, and a slot is made on the primary: name the primary",
            ));
        }
        if self.wal_level != "logical" {
            return Err(Error::configuration(
                "",
                format!(
                    "the server's wal_level is `{}`, and its changes can be followed only with `logical`: ALTER SYSTEM SET wal_level = logical; then restart the server",
                    self.wal_level
                ),
            ));
        }
        if is_synchronous(&self.synchronous, application) {
            return Err(Error::configuration(
                "",
                format!(
                    "synchronous_standby_names is '{}', so this server would choose this host (application_name `{application}`) as a standby that every commit waits for, for ever; {SYNCHRONOUS_REMEDY}",
                    self.synchronous
                ),
            ));
        }
        if !self.may_replicate {
            return Err(Error::configuration(
                "",
                format!(
                    "the role {0} may not replicate: ALTER ROLE {0} REPLICATION; (on Amazon RDS: GRANT rds_replication TO {0};)",
                    sql::name(user)
                ),
            ));
        }
        Ok(())
    }

    /// A history that begins at `lsn`.
    pub(crate) fn origin(&self, lsn: Lsn) -> Origin {
        Origin { system: self.system, database: self.database, lsn }
    }
}

impl Slot {
    /// Looks for a slot.
    pub(crate) fn find(session: &mut Session, name: &str) -> Result<Option<Self>> {
        let rows = session.simple(&format!(
            "SELECT plugin, database, active_pid, confirmed_flush_lsn, wal_status = 'lost',
                 CASE WHEN pg_catalog.pg_is_in_recovery() THEN '0/0' ELSE pg_catalog.pg_current_wal_lsn() END
             FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            sql::text(name)
        ))?;
        let Some(row) = rows.into_iter().next().map(Fields) else { return Ok(None) };
        let lsn = |at: usize| if row.text(at).is_empty() { Ok(Lsn::default()) } else { Lsn::parse(row.text(at)) };
        Ok(Some(Self {
            plugin: row.0.first().cloned().flatten(),
            database: row.0.get(1).cloned().flatten(),
            pid: row.text(2).parse().ok(),
            confirmed: lsn(3)?,
            lost: row.text(4) == "t",
            current: lsn(5)?,
        }))
    }

    /// Whether it can be ours.
    pub(crate) fn check(&self, name: &str, server: &Server) -> Result<()> {
        if self.plugin.as_deref() != Some("pgoutput") || self.database.as_deref() != Some(server.name.as_str()) {
            return Err(Error::configuration(
                "slot",
                format!(
                    "the slot `{name}` is not ours: it belongs to the database {} with the output plugin {}; set `slot` to a name of its own",
                    self.database.as_deref().unwrap_or("(none: it is a physical slot)"),
                    self.plugin.as_deref().unwrap_or("(none)")
                ),
            ));
        }
        Ok(())
    }

    /// An error that names the session that uses the slot, if one does.
    pub(crate) fn check_free(&self, session: &mut Session, name: &str, server: &Server) -> Result<()> {
        match self.pid {
            Some(pid) => Err(in_use(session, name, pid, server.timeout)),
            None => Ok(()),
        }
    }

    /// Why `resume` cannot be gone on from; `None` when it can.
    pub(crate) fn gap(&self, resume: Lsn) -> Option<String> {
        if self.lost {
            return Some("the server dropped log that the slot still needed (max_slot_wal_keep_size)".to_owned());
        }
        if self.confirmed > resume {
            return Some(format!(
                "the slot begins at {}, later than the last confirmed position {resume}: it was recreated, or another consumer read from it",
                self.confirmed
            ));
        }
        if resume > self.current {
            return Some(format!(
                "the server's log ends at {}, before the last confirmed position {resume}: it was restored from a backup, or failed over and lost its tail",
                self.current
            ));
        }
        None
    }
}

/// Drops a slot, as the role that logged in: one that `ALTER ROLE … SET role` put in its place may lack REPLICATION.
pub(crate) fn drop(session: &mut Session, name: &str) -> Result<()> {
    let drop = format!("SELECT pg_catalog.pg_drop_replication_slot({})", sql::text(name));
    let dropped = session.simple(&format!("BEGIN; SET LOCAL ROLE NONE; {drop}; COMMIT"));
    if dropped.is_err() {
        session.simple("ROLLBACK")?;
    }
    dropped.map(|_| ())
}

/// Names who holds a slot.
pub(crate) fn in_use(session: &mut Session, name: &str, pid: u32, timeout: Duration) -> Error {
    let who = session
        .one(&format!(
            "SELECT 'process ' || pid || ', user ' || coalesce(usename, '?') || ', from ' || coalesce(client_addr::text, 'a local socket')
                 || coalesce(', application ' || nullif(application_name, ''), '')
             FROM pg_catalog.pg_stat_activity WHERE pid = {pid}"
        ))
        .ok()
        .flatten()
        .unwrap_or_else(|| format!("process {pid}"));
    Error::Busy(format!(
        "the slot `{name}` is in use by {who}; stop that one, or give this one a `slot` of its own (the server gives a dead connection up after wal_sender_timeout, {} s)",
        timeout.as_secs()
    ))
}

/// A slot being made on a replication session: it waits for every transaction that is open.
pub(crate) struct SlotCreation {
    session: Session,
}

impl SlotCreation {
    /// Sends the statement.
    pub(crate) fn begin(mut session: Session, name: &str) -> Result<Self> {
        let wire = session.wire();
        let command = format!("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput NOEXPORT_SNAPSHOT", sql::name(name));
        wire.put(|out| frontend::query(&command, out))?;
        wire.send()?;
        Ok(Self { session })
    }

    /// The consistent point and the session, when the slot is made within `wait`; else itself and, found through `control`,
    /// whom it waits for.
    pub(crate) fn poll(
        mut self,
        control: &mut Session,
        wait: Duration,
    ) -> Result<std::result::Result<(Lsn, Session), (Self, String)>> {
        let until = std::time::Instant::now() + wait;
        let mut point = None;
        loop {
            let wire = self.session.wire();
            if let Some(frame) = wire.buffered()? {
                let body = wire.body(frame);
                match frame.tag {
                    b'D' => {
                        let mut cut = crate::protocol::wire::Cut(body);
                        let (_count, _name) = (cut.u16()?, cut.column()?);
                        point = cut.column()?.map(|text| String::from_utf8_lossy(text).into_owned());
                    }
                    b'E' => return Err(refused(ServerError::parse(body))),
                    b'Z' => {
                        let point = point.ok_or_else(|| Error::protocol("a slot without a consistent point"))?;
                        return Ok(Ok((Lsn::parse(&point)?, self.session)));
                    }
                    _ => {}
                }
                continue;
            }
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                let reason = self.blockers(control)?;
                return Ok(Err((self, reason)));
            }
            wire.fill(left)?;
        }
    }

    fn blockers(&self, control: &mut Session) -> Result<String> {
        let found = control.one(&format!(
            "SELECT string_agg('pid ' || a.pid || ' (user ' || coalesce(a.usename, '?') || ', ' || coalesce(nullif(a.application_name, ''), 'no application name')
                 || ', ' || coalesce(a.state, '?') || ', open for ' || extract(epoch FROM now() - a.xact_start)::int || ' s)', ', ')
             FROM unnest(pg_catalog.pg_blocking_pids({})) b(pid) JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid",
            self.session.pid
        ))?;
        if let Some(who) = found {
            let message =
                format!("waiting for transaction of {who}: the slot begins when everything open before it has ended");
            return Ok(message);
        }
        // A prepared transaction has no process.
        Ok(match prepared_transactions(control)? {
            Some(which) => format!(
                "waiting for the prepared transactions {which}: the slot begins when COMMIT PREPARED or ROLLBACK PREPARED has ended each"
            ),
            None => "waiting for the server to make the slot".to_owned(),
        })
    }
}

/// The prepared transactions of the server, for a person: a slot is not made before each has ended.
pub(crate) fn prepared_transactions(session: &mut Session) -> Result<Option<String>> {
    session.one(
        "SELECT string_agg(quote_literal(gid) || ' (of ' || owner || ' in ' || database || ', prepared ' || extract(epoch FROM now() - prepared)::int || ' s ago)', ', ')
         FROM pg_catalog.pg_prepared_xacts",
    )
}

fn refused(error: ServerError) -> Error {
    match error.code.as_str() {
        "53400" => Error::configuration(
            "",
            format!("{error}; drop a slot that is not used, or raise max_replication_slots and restart the server"),
        ),
        _ => Error::Server(error),
    }
}

/// Text fields of a row; what is missing or null is empty.
struct Fields(TextRow);

impl Fields {
    fn text(&self, at: usize) -> &str {
        self.0.get(at).and_then(Option::as_deref).unwrap_or_default()
    }
}
