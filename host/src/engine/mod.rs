//! The native pipeline: capture, queue, batch, resolve, build, write, flush, and only then confirm.
//!
//! ```text
//!             live/                                   delivery/                  durability/
//! source ─▶ capture ─▶ queue ─▶ batch ─▶ worker ─▶ lane ─▶ sink_task (one a sink) ─▶ durable_watermark ─▶ confirm
//!    ▲                                     ▲  build: resolve, build_many                                   │
//!    │                         backfill/   │                                                               │
//!    │                         range_reader (several ranges at the same time)                              │
//!    └───────────────────────── confirmed position, an argument of the next poll ◀─────────────────────────┘
//! ```
//!
//! A run begins in `startup/` (which indexes does a sink want seeded, does the source's history go on), takes commands by
//! `control/`, and is put together in `tasks`. `run_context` holds what all its tasks share; `error_policy` says for each kind
//! of error whether the call is made again and how the run ends, `retry` carries that out.
//!
//! The engine names traits ([`stage`]), never a backend or a transport, and knows the types of [`crate::model`] only. The
//! invariants I1 to I12 stand at the lines that uphold them, each with the test that guards it (`tests/`, one file each).

mod backfill;
mod control;
mod delivery;
mod durability;
mod error;
mod error_policy;
mod live;
mod observer;
mod options;
mod pipeline;
mod retry;
mod run_context;
mod shutdown;
pub mod stage;
mod startup;
mod tasks;
#[cfg(test)]
mod tests;

pub use backfill::running::RowCount;
pub use control::commands::{IndexStatus, ReindexError, RunHandle, RunRegistry, control};
pub use control::wait::{WaitError, WaitOutcome, WaitTarget};
pub use durability::quarantine::{QUARANTINE, QuarantineFilter, Quarantined, discard_quarantined, quarantined};
pub use error::{EngineError, StageError};
pub use error_policy::RunEnd;
pub use observer::{Observation, Observer, Silent};
pub use options::{OnError, OnHistoryLoss, Options, Reseed};
pub use pipeline::Finished;
pub use shutdown::{Shutdown, Stop, shutdown};
pub use startup::connect::{Connected, connect};
