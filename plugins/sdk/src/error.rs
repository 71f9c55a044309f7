//! Short ways to say what went wrong.

use crate::{ConfigurationError, Error, OtherError, Transient};

impl Error {
    /// It may work later: the host waits with backoff and tries on a fresh instance.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::Transient(Transient { message: message.into(), retry_after_ms: None, extra: None })
    }

    /// It may work after `wait` milliseconds.
    pub fn transient_after(message: impl Into<String>, wait: u64) -> Self {
        Self::Transient(Transient { message: message.into(), retry_after_ms: Some(wait), extra: None })
    }

    /// A setting is wrong: which one, and what would be right.
    pub fn configuration(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Configuration(ConfigurationError { setting: setting.into(), message: message.into(), extra: None })
    }

    /// Nothing will help; the message says why and what the operator can do.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal(message.into())
    }

    /// An error with a code of the plugin's own.
    pub fn other(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Other(OtherError { code: code.into(), message: message.into(), extra: None })
    }
}
