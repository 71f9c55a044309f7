//! The native pipeline: capture, queue, batch, resolve, build, write, flush, and only then confirm.
//!
//! It names traits ([`stage`]), never a backend or a transport, and knows the words of [`crate::model`] only.
//!
//! ```text
//! capture ─▶ queue ─▶ batch ─▶ worker (resolve, build) ─▶ lane ─▶ deliver (one task a sink) ─▶ ack ─▶ confirm
//!    ▲                            ▲                                                                    │
//!    │                        backfill (reads ranges side by side)                                     │
//!    └──────────────────────────────── confirmed position ◀────────────────────────────────────────────┘
//! ```

mod backfill;
mod control;
mod delivery;
mod durability;
mod error;
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

pub use control::commands::{CannotWait, Control, Controlled, Progress, Refused, Rows, Until, Waited, control};
pub use durability::quarantine::{QUARANTINE, Quarantined};
pub use error::{EngineError, StageError};
pub use observer::{Observation, Observer, Silent};
pub use options::{OnError, OnHistoryLoss, Options, Reseed};
pub use pipeline::Finished;
pub use shutdown::{Shutdown, Stop, shutdown};
pub use startup::connect::{Connected, connect};
