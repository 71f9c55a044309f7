//! The convergence test: *when the stream is quiet, every index equals what a full rebuild from the database would produce,
//! whatever happened on the way.*
//!
//! Writers run random transactions against a PostgreSQL of the run's own, faults hit the host and the server at random
//! moments, and now and then everything pauses: a sentinel row is committed, its document waited for, and then every document
//! that the host ever printed is compared with documents that hand-written SQL builds from scratch. Nothing of the plugins is
//! used.
//!
//! Decisions are drawn from the seed, a sequence for each writer and one for the faults. Their moments are not: a run that is
//! replayed makes the same transactions, not the same interleaving.

mod faults;
mod follower;
mod index;
mod options;
mod oracle;
mod place;
mod random;
mod report;
mod run;
mod standby;
mod workload;
mod world;
mod writers;

pub use faults::Fault;
pub use options::{Options, Sink, Workload};
pub use report::Report;
pub use run::run;
pub use world::{Builder, Identity};
