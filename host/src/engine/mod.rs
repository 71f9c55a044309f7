//! The native pipeline: capture, queue, batch, resolve, build, write, flush, and only then confirm.
//!
//! It names traits ([`stage`]), never a backend or a transport, and knows the words of [`crate::model`] only.

mod error;
mod observer;
mod options;
pub mod stage;

pub use error::{EngineError, StageError};
pub use observer::{Observation, Observer, Silent};
pub use options::{OnError, Options, Reseed};
