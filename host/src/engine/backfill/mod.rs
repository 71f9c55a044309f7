//! Seeding an index from what is already in the store, while live changes go on.
//!
//! ```text
//! schedule ──job──▶ range_reader (several tasks) ──page──▶ schedule ─▶ lane
//! (worker)          plan · read by range or by key         drops what live batches wrote since (I5)
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `range_reader` | the tasks that divide root tables into ranges and read their documents |
//! | `outstanding_reads` | how far the lane was when each read began |
//! | `schedule` | the worker's part: begins backfills, puts pages and their end into the lane |
//! | `index_backfill` | a backfill as the worker sees it: which ranges are left to read |
//! | `running` | the backfills that are not durable yet, and how many rows of them are |

pub(super) mod index_backfill;
pub(super) mod outstanding_reads;
pub(super) mod range_reader;
pub(super) mod running;
pub(super) mod schedule;
