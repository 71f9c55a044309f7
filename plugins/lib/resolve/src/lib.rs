//! Which documents a batch of changes touches. Changes in, document ids out; what has to be read from the store is read
//! through [`Lookup`], which knows nothing of documents. A builder for any source can use it.
//!
//! ```text
//! schemas, catalogue ─▶ Resolver (graph) ─▶ interest (what a source has to follow), scopes, relations (which are exact)
//!
//!          link values before and after             document ids
//! changes ───▶ change_origins ───▶ propagation ───────────────────▶ Affected
//!                    ▲               │      ▲  └─ too many: a cursor, which any instance can continue (paging)
//!                  Links             ▼      │
//!           (the links before,     Lookup: one query a group and hop, all groups of a step together
//!          where no change has them)
//! ```
//!
//! **Why it is enough.** Let a document have read a row `b` through rows `x1 … xn` below its root `x0`, and let `b` have changed.
//! Of these rows take the one nearest to the root whose links are no longer what they were. Everything above it can still be
//! followed in the store, from its links *before* the change; so its own change, in this batch or a later one, finds the
//! document. For what the document reads now, the same holds with the links *after*. Hence every change is followed from its
//! links before and after (not only from the first and the last of a row in a batch), and lookups need no common snapshot:
//! any moment at which the change is visible will do.
//!
//! The one thing this needs is the links before. [`Resolver::relations`] says for each relation whether they are known.
//! Where they are not, a [`Links`] table stands in: builds add the links of every row that they read, and a change is followed
//! from all that are remembered of its row. A link is needed as long as some document may hold what was read through it. It
//! has ended when a batch has changed its row so that it leads elsewhere (or nowhere), every document under it has been
//! built since, none of these builds has read it again, and all of them are durable.
//!
//! Answers may hold documents that did not change (a value that a limit cuts off, a row that a filter hides), and ids for
//! which there is no document; they never lack one that did.

mod change_origins;
mod changed_columns;
mod cursor;
mod graph;
mod interest;
mod key;
mod links;
mod lookup;
mod paging;
mod problem;
mod propagation;
mod relations;
mod table_info;
mod table_reads;
#[cfg(test)]
mod tests;

pub use cursor::Unreadable;
pub use graph::{Documents, Resolver};
pub use key::code;
pub use links::{Ended, Link, Links, NoLinks, Touched};
pub use lookup::{Hop, Lookup, Pair};
pub use problem::Problem;
pub use relations::{Relation, Tracing, full_identity};
pub use table_info::{ColumnInfo, Identity, TableInfo};
