//! What can go wrong in a guest: the faults of a call, and the rules that what it returns must keep. An error names plugin,
//! version, call and limit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The plugin and its use, for errors, log lines and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The plugin's name.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// The name of its use in the configuration.
    pub instance: String,
}

/// What a guest returned breaks a rule; the text continues after "returned".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    /// A list with more items than its limit.
    #[error("{found} {what} where at most {limit} are allowed")]
    TooMany {
        /// What the items are.
        what: String,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Bytes over their limit.
    #[error("a {what} of {found} bytes; at most {limit} are allowed")]
    TooLong {
        /// What they are.
        what: String,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Another rule of the contract.
    #[error("{0}")]
    Rule(String),
}

/// A value of a guest that keeps the rules.
pub(super) type Checked<T> = Result<T, Violation>;

/// A call of a guest failed, and its instance is gone.
#[derive(Debug, Clone)]
pub struct GuestError {
    pub(super) origin: Arc<Origin>,
    pub(super) call: &'static str,
    pub(super) fault: Fault,
    /// Nothing but the call can be the reason: the guest reaches no other system, and nothing that it read had failed.
    pub(super) repeats: bool,
}

/// What went wrong in a guest.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// The guest trapped: it panicked, or broke a rule of WebAssembly.
    #[error("trapped: {0}")]
    Trapped(Arc<str>),
    /// A native plugin panicked, or said that it cannot go on.
    #[error("failed inside: {0}")]
    Failed(Arc<str>),
    /// The call took longer than its limit.
    #[error("did not answer within {} s (`limits.call_timeout`)", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The guest wanted more memory than its limit.
    #[error("wanted {wanted} bytes of memory and may have {limit} (`limits.memory`)")]
    Memory {
        /// The bytes that it would have had.
        wanted: usize,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The guest held more things of the host than its limit.
    #[error("held {0} files, folders, streams and connections open, and may hold no more (`limits.handles`)")]
    Handles(usize),
    /// The guest handed over more in one call than any guest may.
    #[error(
        "handed over more than {0} bytes in one call, the most that a plugin may; it has to hand over less at once"
    )]
    Handover(u64),
    /// The guest returned what the contract or a limit does not allow.
    #[error("returned {0}")]
    Violation(Arc<str>),
    /// A folder that the guest was granted does not exist.
    #[error("could not be given what it was granted: {0}")]
    Grant(Arc<str>),
    /// The guest ended in an earlier call, or its caller was cancelled.
    #[error("is gone since an earlier call")]
    Gone,
}

impl GuestError {
    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { plugin, version, instance } = &*self.origin;
        write!(f, "plugin {plugin} {version} ({instance}), call {}: the guest {}", self.call, self.fault)
    }
}

impl std::error::Error for GuestError {}
