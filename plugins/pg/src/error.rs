//! What can go wrong between here and the server, named by what the reader can do about it, and its translation into the
//! contract's error.

use std::fmt;

/// An error of this plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It may work later.
    Transient(String),
    /// Another session holds the slot; the text names it.
    Busy(String),
    /// What should be resumed is gone.
    HistoryLost(String),
    /// A setting is wrong: its name, and what would be right.
    Configuration(String, String),
    /// The operator has not granted this.
    Denied(String),
    /// Nothing will help but what the message says.
    Fatal(String),
    /// The server refused a statement.
    Server(ServerError),
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError {
    /// The SQLSTATE.
    pub code: String,
    /// The primary message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What the server suggests.
    pub hint: Option<String>,
}

/// The plugin's result.
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for flusso_plugin::Error {
    fn from(error: Error) -> Self {
        match error.classified() {
            Error::Transient(text) => Self::transient(text),
            Error::Busy(text) => Self::Busy(text),
            Error::HistoryLost(text) => Self::HistoryLost(text),
            Error::Configuration(setting, text) => Self::configuration(setting, text),
            Error::Denied(text) => Self::Denied(text),
            Error::Fatal(text) => Self::Fatal(text),
            Error::Server(error) => Self::Fatal(error.to_string()),
        }
    }
}

impl Error {
    /// The server sent what it never should.
    pub fn protocol(what: impl fmt::Display) -> Self {
        Self::Transient(format!("the server's answer makes no sense ({what}); is this a PostgreSQL server?"))
    }

    /// A wrong setting.
    pub fn configuration(setting: &str, message: impl Into<String>) -> Self {
        Self::Configuration(setting.to_owned(), message.into())
    }

    /// The SQLSTATE, if the server gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }
}

impl ServerError {
    /// Reads the fields of an `ErrorResponse` or a `NoticeResponse`.
    pub fn parse(body: &[u8]) -> Self {
        let mut error = Self::default();
        for field in body.split(|byte| *byte == 0) {
            let Some((tag, text)) = field.split_first() else { continue };
            let text = String::from_utf8_lossy(text).into_owned();
            match tag {
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                _ => {}
            }
        }
        error
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (SQLSTATE {})", self.message, self.code)?;
        if let Some(detail) = &self.detail {
            write!(out, "; {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(out, "; hint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transient(text)
            | Self::Busy(text)
            | Self::HistoryLost(text)
            | Self::Denied(text)
            | Self::Fatal(text) => out.write_str(text),
            Self::Configuration(setting, text) if setting.is_empty() => out.write_str(text),
            Self::Configuration(setting, text) => write!(out, "{setting}: {text}"),
            Self::Server(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for Error {}

/// What to do about a refusal, by SQLSTATE: the one table of it.
fn of_server(error: &ServerError) -> Error {
    let text = error.to_string();
    let class = error.code.get(..2).unwrap_or_default();
    match (error.code.as_str(), class) {
        ("28P01", _) => Error::configuration(
            "connection_url",
            format!("the server refused the password: {text}; correct user and password"),
        ),
        ("28000", _) => Error::configuration(
            "connection_url",
            format!("the server refused the login: {text}; correct the user, `sslmode`, or the server's pg_hba.conf"),
        ),
        ("3D000", _) => Error::configuration("connection_url", format!("{text}; correct the database's name")),
        ("42501", _) => Error::Fatal(format!("{text}; grant the role what is missing")),
        ("42704", _) if error.message.starts_with("publication") => {
            Error::HistoryLost(format!("{text}, or is younger than changes that the slot has still to read"))
        }
        ("42P01" | "42703" | "42883" | "42704", _) => {
            Error::Transient(format!("{text}; the schema changed since this started: it is read again"))
        }
        ("55006", _) => Error::Busy(text),
        ("0A000", _) if error.message.contains("cached plan") => {
            Error::Transient(format!("{text}; the table was altered: it is read again"))
        }
        (_, "08" | "53" | "57" | "40" | "55") => Error::Transient(text),
        _ => Error::Fatal(format!("the server refused a statement: {text}")),
    }
}

impl Error {
    /// A refusal as what can be done about it; everything else as it is.
    pub fn classified(self) -> Self {
        match self {
            Self::Server(error) => of_server(&error),
            other => other,
        }
    }
}
