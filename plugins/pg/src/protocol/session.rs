//! A session with the server: start, simple queries, prepared statements, rows.
//!
//! Every session pins the settings that change what the server prints, so that one value is one text on every path.

use crate::error::{Error, Result, ServerError};
use crate::protocol::auth;
use crate::protocol::tls;
use crate::protocol::transport;
use crate::protocol::wire::{Cut, Frame, Wire};
use crate::settings::Connection;
use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend::{self, BindError};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The longest any exported call waits for the server, in all. The host's own limit is longer, so that the guest answers first.
pub const CALL_LIMIT: Duration = Duration::from_secs(20);
/// The longest a connect takes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// What every session runs under: output that does not depend on the server's or the role's configuration, and no limit
/// of time that the operator meant for people.
///
/// `search_path` stays the role's: the operators of an extension's types (citext) are found through it.
const PINNED: [(&str, &str); 14] = [
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("row_security", "off"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("default_transaction_isolation", "read committed"),
    ("jit", "off"),
    ("plan_cache_mode", "force_custom_plan"),
];

/// What the server is asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A session for SQL.
    Sql,
    /// A session for SQL in which nothing can be changed, whatever it is asked: the server refuses to write.
    Reading,
    /// A walsender of this database.
    Replication,
}

/// A session.
pub struct Session {
    wire: Wire,
    /// The process that serves it.
    pub pid: u32,
    /// The server's version, as in `150004`.
    pub version: u32,
    statements: HashMap<String, Statement>,
    in_transaction: bool,
}

/// A prepared statement of one session.
#[derive(Debug, Clone)]
pub struct Statement {
    name: String,
}

/// A row as text, column by column.
pub type TextRow = Vec<Option<String>>;

impl Session {
    /// Connects and logs in: to the first host that answers and, of several, is no standby.
    pub fn open(connection: &Connection, mode: Mode) -> Result<Self> {
        let candidates = connection.candidates();
        let several = candidates.len() > 1;
        let mut last = None;
        for candidate in &candidates {
            let opened = Self::open_one(candidate, mode).and_then(|mut session| {
                if several && session.one("SELECT pg_catalog.pg_is_in_recovery()")?.as_deref() == Some("t") {
                    return Err(Error::Transient(format!("{} is a standby", candidate.address())));
                }
                Ok(session)
            });
            match opened {
                Ok(session) => return Ok(session),
                Err(error @ Error::Transient(_)) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Fatal("a connection without a host".into())))
    }

    fn open_one(connection: &Connection, mode: Mode) -> Result<Self> {
        let address = connection.address();
        let deadline = Instant::now() + CALL_LIMIT;
        let mut wire = Wire::new(transport::connect(&address, CONNECT_TIMEOUT)?, deadline);
        let binding = tls::secure(&mut wire, connection)?;
        let own = [
            ("user", connection.user.as_str()),
            ("database", &connection.database),
            ("application_name", &connection.application),
        ];
        let replication = (mode == Mode::Replication).then_some(("replication", "database"));
        let options = (!connection.options.is_empty()).then_some(("options", connection.options.as_str()));
        let read_only = ("default_transaction_read_only", if mode == Mode::Reading { "on" } else { "off" });
        let pinned = PINNED.iter().copied().chain([read_only]);
        let parameters = own.into_iter().chain(replication).chain(options).chain(pinned);
        wire.put(|out| frontend::startup_message(parameters, out))?;
        wire.send()?;
        auth::authenticate(&mut wire, connection, binding)?;
        let mut session = Self { wire, pid: 0, version: 0, statements: HashMap::new(), in_transaction: false };
        session.ready()?;
        Ok(session)
    }

    fn ready(&mut self) -> Result<()> {
        loop {
            let frame = self.wire.receive()?;
            let mut cut = Cut(self.wire.body(frame));
            match frame.tag {
                b'S' if cut.text()? == "server_version" => self.version = version_number(cut.text()?),
                b'K' => self.pid = cut.u32()?,
                b'E' => return Err(Error::Server(ServerError::parse(cut.0)).classified()),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    /// From now on waiting ends after `time`.
    pub fn within(&mut self, time: Duration) {
        self.wire.within(time);
    }

    /// The messages below, for those who speak more than queries.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Runs statements without parameters; the rows of all of them.
    pub fn simple(&mut self, sql: &str) -> Result<Vec<TextRow>> {
        self.wire.put(|out| frontend::query(sql, out))?;
        self.wire.send()?;
        let mut rows = Vec::new();
        while let Some(frame) = self.next_row()? {
            rows.push(text_row(self.wire.body(frame))?);
        }
        Ok(rows)
    }

    /// The first column of the first row of a query.
    pub fn one(&mut self, sql: &str) -> Result<Option<String>> {
        Ok(self.simple(sql)?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Prepares a statement, once a session.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let name = format!("s{}", self.statements.len());
        self.wire.put(|out| {
            frontend::parse(&name, sql, [], out)?;
            frontend::sync(out);
            Ok(())
        })?;
        self.wire.send()?;
        while self.next_row()?.is_some() {}
        let statement = Statement { name };
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Drops every prepared statement: a table was altered, and what was planned for it answers with its old types.
    pub fn forget(&mut self) -> Result<()> {
        self.statements.clear();
        self.simple("DEALLOCATE ALL").map(|_| ())
    }

    /// Sends a prepared statement off with its parameters, all as text; its rows are read with [`Session::next_row`].
    pub fn execute(&mut self, statement: &Statement, parameters: &[Option<&str>]) -> Result<()> {
        self.line_up(statement, parameters)?;
        self.wire.send()
    }

    /// The same, but it leaves with whatever is sent next: two statements, one way to the server and back.
    pub fn line_up(&mut self, statement: &Statement, parameters: &[Option<&str>]) -> Result<()> {
        self.wire.put(|out| {
            let text = |parameter: &Option<&str>, out: &mut BytesMut| match parameter {
                Some(text) => {
                    out.extend_from_slice(text.as_bytes());
                    Ok(IsNull::No)
                }
                None => Ok(IsNull::Yes),
            };
            let bound = frontend::bind("", &statement.name, [], parameters, text, [], out);
            bound.map_err(|error| match error {
                BindError::Conversion(error) => std::io::Error::other(error),
                BindError::Serialization(error) => error,
            })?;
            frontend::execute("", 0, out)?;
            frontend::sync(out);
            Ok(())
        })
    }

    /// Sends what is lined up.
    pub fn send(&mut self) -> Result<()> {
        self.wire.send()
    }

    /// Runs a prepared statement; all its rows.
    pub fn rows(&mut self, statement: &Statement, parameters: &[Option<&str>]) -> Result<Vec<TextRow>> {
        self.execute(statement, parameters)?;
        self.rest()
    }

    /// All rows of what was sent off.
    pub fn rest(&mut self) -> Result<Vec<TextRow>> {
        let mut rows = Vec::new();
        while let Some(frame) = self.next_row()? {
            rows.push(text_row(self.wire.body(frame))?);
        }
        Ok(rows)
    }

    /// The next row of what was sent off; `None` when it is done. After an error the session is ready again.
    pub fn next_row(&mut self) -> Result<Option<Frame>> {
        loop {
            let frame = self.wire.receive()?;
            match frame.tag {
                b'D' => return Ok(Some(frame)),
                b'Z' => {
                    self.in_transaction = self.wire.body(frame) != b"I";
                    return Ok(None);
                }
                b'E' => {
                    let error = ServerError::parse(self.wire.body(frame));
                    // A server that ends the session says nothing more.
                    if !matches!(error.code.get(..3), Some("57P")) {
                        while self.wire.receive()?.tag != b'Z' {}
                    }
                    return Err(Error::Server(error));
                }
                b'W' | b'G' | b'H' => return Err(Error::protocol("an unexpected COPY response")),
                _ => {}
            }
        }
    }

    /// A row's bytes.
    #[inline]
    pub fn row(&self, frame: Frame) -> &[u8] {
        self.wire.body(frame)
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }
}

fn text_row(body: &[u8]) -> Result<TextRow> {
    let mut cut = Cut(body);
    (0..cut.u16()?).map(|_| Ok(cut.column()?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))).collect()
}

/// `15.4 (Debian …)` is 150000: what differs between versions differs between major ones.
fn version_number(text: &str) -> u32 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<u32>().unwrap_or(0).saturating_mul(10_000)
}
