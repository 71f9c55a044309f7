//! The exit codes. They are part of the interface: scripts branch on them, so they are few and never change meaning.

use std::process::ExitCode;

use crate::app::AppError;
use crate::engine::RunEnd;
use crate::plugin::state::StateError;

/// Why the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked; also after SIGINT or SIGTERM, once everything in flight was written.
    Done = 0,
    /// Something failed that none of the others names.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// A plugin cannot be used: not found, not a plugin, of another contract, against the contract or its own declaration, or it
    /// crashed again and again.
    Plugin = 3,
    /// A source or sink was not reachable within `--timeout`.
    Unreachable = 4,
    /// What the source needs is in use by another client, such as a replication slot.
    Busy = 5,
    /// The source cannot go on where the host left off.
    HistoryLost = 6,
    /// A document was rejected, and its index's policy is to stop.
    Rejected = 7,
}

/// Ended at once by a second signal: what was in flight comes again at the next start.
pub const SECOND_SIGNAL: i32 = 130;

/// The table, as `--help` shows it.
pub const HELP: &str = "\
Exit codes:
  0    done; also after SIGINT or SIGTERM, once everything in flight was written
  1    something failed that no other code names
  2    the command line or the configuration is wrong; `check` found an error
  3    a plugin cannot be used: not found, of another contract, against its declaration, or crashing
  4    a source or sink was not reachable within --timeout; `check` could not look at the database
  5    what the source needs is in use by another client (a replication slot)
  6    the source cannot go on where the host left off (its history is lost)
  7    a document was rejected and its index's policy is to stop
  130  ended at once by a second signal";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The exit code for an error. For errors of a run it follows from the engine's error policy.
    pub fn of(error: &AppError) -> Self {
        match error {
            AppError::Config(_)
            | AppError::Settings { .. }
            | AppError::Grant { .. }
            | AppError::Role { .. }
            | AppError::NoBuilder { .. }
            | AppError::SharedFolder { .. }
            | AppError::Listen { .. }
            | AppError::NotUsed { .. }
            | AppError::NotHeld { .. }
            | AppError::NotSearchable { .. }
            | AppError::HeldTwice { .. }
            | AppError::Needed { .. }
            | AppError::NoStateFolder => Self::Usage,
            AppError::Locate(_)
            | AppError::Supply(_)
            | AppError::Refused(_)
            | AppError::Schema { .. }
            | AppError::Prepare(_)
            | AppError::OtherPlugin { .. }
            | AppError::Guest(_) => Self::Plugin,
            AppError::State(StateError::InUse { .. }) | AppError::StillRunning => Self::Busy,
            AppError::Metrics(_)
            | AppError::Quarantine(_)
            | AppError::State(_)
            | AppError::Remove { .. }
            | AppError::Ask { .. } => Self::Failed,
            AppError::Engine(error) => Self::of_run(error.end()),
        }
    }

    fn of_run(end: RunEnd) -> Self {
        match end {
            RunEnd::Failed => Self::Failed,
            RunEnd::Configuration => Self::Usage,
            RunEnd::Plugin => Self::Plugin,
            RunEnd::Unreachable => Self::Unreachable,
            RunEnd::Busy => Self::Busy,
            RunEnd::HistoryLost => Self::HistoryLost,
            RunEnd::Rejected => Self::Rejected,
        }
    }
}
