//! What happens before the first change is polled. Nothing is created outside before it is known that the run may go on.
//!
//! ```text
//! connect ─▶ open_sinks ─▶ reconcile ─▶ prepare ─▶ seed_requests ─▶ (the tasks of the run)
//! builder    ensure each    which seed   slot,      which indexes
//! and source index in each  marks still  publication which sinks want
//! answer     sink           hold                     seeded
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `connect` | opens builder and source, checks what the builder offers |
//! | `open_sinks` | opens each sink and ensures each index in it |
//! | `continuity` | decides whether the source's history goes on where the host left off |
//! | `reconcile` | takes back the seed marks that no longer tell the truth (I7) |
//! | `prepare` | has the source create what resuming needs, before a row is read (I3) |
//! | `seed_requests` | lists the indexes that some sink wants seeded, and the backfills that can be resumed |
//! | `seed_marks` | the text of a seed mark: the history and a term that grows at every start |

pub(super) mod connect;
pub(super) mod continuity;
pub(super) mod open_sinks;
pub(super) mod prepare;
pub(super) mod reconcile;
pub(super) mod seed_marks;
pub(super) mod seed_requests;
