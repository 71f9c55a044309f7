//! Live changes, from the source to the lane.
//!
//! ```text
//! source ─▶ capture ─▶ queue ─▶ batch ─▶ worker ─▶ build (resolve, build_many) ─▶ worker ─▶ lane
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `capture` | the task that owns the source's instance: polls it, tells it the confirmed position, opens it again |
//! | `queue` | the bounded queue of poll results |
//! | `batch` | divides events into batches, and sees where transactions end (I2) |
//! | `worker` | the task that turns batches and backfill pages into entries of the lane |
//! | `build` | calls the builder: which documents (I4), their bodies, what cannot be built |
//! | `build_call` | one call of the builder, its answer checked |
//! | `poison` | finds the documents whose build ends the builder's instance |
//! | `live_writes` | what live batches wrote while a backfill reads (I5) |

pub(super) mod batch;
pub(super) mod build;
pub(super) mod build_call;
pub(super) mod capture;
pub(super) mod live_writes;
pub(super) mod poison;
pub(super) mod queue;
pub(super) mod worker;
