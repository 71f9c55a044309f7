//! The plugin's settings: the connection, and the names of the objects created in the database. The host has applied
//! environment variables before the settings arrive here.

mod url;

use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// How often the catalogue is looked at, unless the operator says otherwise.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Everything an instance is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the database is.
    pub connection: Connection,
    /// The replication slot, if the operator named one.
    pub slot: Option<String>,
    /// The publication.
    pub publication: String,
    /// Whether the publication is made and extended here.
    pub manage_publication: bool,
    /// Whether the replica identity of tables is set here, where the old links of rows are not told.
    pub manage_replica_identity: bool,
    /// How often the catalogue is looked at.
    pub look_every: Duration,
}

/// Where a database is and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// A name, an address, or the folder of a unix socket (starts with `/`).
    pub host: String,
    /// The port; part of a unix socket's name, too.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// The database.
    pub database: String,
    /// How TLS is used.
    pub tls: TlsMode,
    /// Trusted authorities, as PEM text.
    pub roots: Option<String>,
    /// How the server's lists of sessions name this one.
    pub application: String,
    /// Command-line options for the session, as `options` in a URL gives them; empty: none. What every session is pinned to
    /// comes after them.
    pub options: String,
    /// Further hosts, tried in order after the first. Of several, a standby is passed over.
    pub others: Vec<(String, u16)>,
}

/// `sslmode`, as libpq means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server speaks it.
    Prefer,
    /// Always, with anybody (with a given authority: checked).
    Require,
    /// Always, and signed by a trusted authority.
    VerifyCa,
    /// Always, and for this name.
    VerifyFull,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    connection_url: Option<Value>,
    slot: Option<String>,
    publication: Option<String>,
    manage_publication: Option<bool>,
    manage_replica_identity: Option<bool>,
    look_every: Option<String>,
    sslrootcert: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    sslmode: Option<String>,
}

impl Settings {
    /// Reads the settings' JSON.
    pub fn from_json(value: Value) -> Result<Self> {
        let raw: Raw = serde_json::from_value(value)
            .map_err(|error| Error::configuration("", format!("the settings of the plugin `pg` are wrong: {error}")))?;
        let mut connection = match raw.connection_url {
            Some(Value::String(url)) if !url.trim().is_empty() => url::parse(url.trim())?,
            Some(Value::Object(parts)) => Connection::from_parts(
                serde_json::from_value(Value::Object(parts))
                    .map_err(|error| Error::configuration("connection_url", error.to_string()))?,
            )?,
            None | Some(Value::Null | Value::String(_)) => {
                return Err(Error::configuration(
                    "connection_url",
                    "no database is named: set the variable DATABASE_URL, or `connection_url`, to something like postgres://user:password@host:5432/database",
                ));
            }
            Some(_) => {
                return Err(Error::configuration(
                    "connection_url",
                    "must be a URL, or a table of host, port, user, password, database",
                ));
            }
        };
        if raw.sslrootcert.is_some() {
            connection.roots = raw.sslrootcert;
        }
        let slot = raw.slot.filter(|name| !name.is_empty());
        if let Some(name) = &slot {
            let valid = name.len() <= 63 && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            if !valid {
                return Err(Error::configuration(
                    "slot",
                    format!("`{name}` is no name for a slot: lower case letters, digits and `_`, at most 63"),
                ));
            }
        }
        Ok(Self {
            connection,
            slot,
            publication: raw.publication.filter(|name| !name.is_empty()).unwrap_or_else(|| "flusso".into()),
            manage_publication: raw.manage_publication.unwrap_or(true),
            manage_replica_identity: raw.manage_replica_identity.unwrap_or(false),
            look_every: raw.look_every.as_deref().map_or(Ok(LOOK_EVERY), duration)?,
        })
    }
}

/// Reads `30s`.
fn duration(text: &str) -> Result<Duration> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("ms") => Some(Duration::from_millis(1)),
        Some("s") => Some(Duration::from_secs(1)),
        Some("m") => Some(Duration::from_secs(60)),
        _ => None,
    };
    let time = digits.parse().ok().and_then(|count: u32| unit?.checked_mul(count)).filter(|time| !time.is_zero());
    time.ok_or_else(|| Error::configuration("look_every", format!("`{text}` is no time; write 30s, 500ms or 5m")))
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 5432,
            user: "postgres".into(),
            password: None,
            database: String::new(),
            tls: TlsMode::Prefer,
            roots: None,
            application: "flusso".into(),
            options: String::new(),
            others: Vec::new(),
        }
    }
}

impl Connection {
    fn from_parts(parts: Parts) -> Result<Self> {
        let default = Self::default();
        let tls = parts.sslmode.as_deref().map_or(Ok(default.tls), TlsMode::parse)?;
        Ok(Self {
            host: parts.host.unwrap_or(default.host),
            port: parts.port.unwrap_or(default.port),
            user: parts.user.unwrap_or(default.user),
            password: parts.password,
            database: parts.database.unwrap_or_default(),
            tls,
            ..Self::default()
        }
        .complete())
    }

    /// What is missing, as libpq would fill it in.
    fn complete(mut self) -> Self {
        if self.database.is_empty() {
            self.database.clone_from(&self.user);
        }
        self
    }

    /// This connection to each of its hosts, in the order in which they are tried.
    pub fn candidates(&self) -> Vec<Self> {
        let single = Self { others: Vec::new(), ..self.clone() };
        let other = |(host, port): &(String, u16)| Self { host: host.clone(), port: *port, ..single.clone() };
        let others: Vec<Self> = self.others.iter().map(other).collect();
        std::iter::once(single.clone()).chain(others).collect()
    }

    /// The address for `net`: `HOST:PORT`, an IPv6 address in brackets, or `unix:PATH`.
    pub fn address(&self) -> String {
        if self.is_unix() {
            format!("unix:{}/.s.PGSQL.{}", self.host.trim_end_matches('/'), self.port)
        } else if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether this is a unix socket.
    pub fn is_unix(&self) -> bool {
        self.host.starts_with('/')
    }
}

impl TlsMode {
    /// Reads libpq's word.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "disable" => Ok(Self::Disable),
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            other => Err(Error::configuration(
                "connection_url",
                format!("`sslmode={other}` is none of disable, prefer, require, verify-ca, verify-full"),
            )),
        }
    }
}
