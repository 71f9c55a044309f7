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

mod ack;
mod asking;
mod backfill;
mod batch;
mod build;
mod capture;
mod confirm;
mod connect;
mod control;
mod deliver;
mod error;
mod lane;
mod observer;
mod options;
mod pipeline;
mod policy;
mod prepare;
mod progress;
mod queue;
mod reached;
mod retry;
mod routes;
mod seeding;
mod shared;
mod shutdown;
pub mod stage;
mod start;
mod tasks;
mod terms;
#[cfg(test)]
mod tests;
mod touched;
mod worker;

pub use connect::{Connected, connect};
pub use control::{CannotWait, Control, Controlled, Progress, Refused, Rows, Until, Waited, control};
pub use error::{EngineError, StageError};
pub use observer::{Observation, Observer, Silent};
pub use options::{OnError, OnHistoryLoss, Options, Reseed};
pub use pipeline::Finished;
pub use policy::{QUARANTINE, Quarantined};
pub use shutdown::{Shutdown, Stop, shutdown};
