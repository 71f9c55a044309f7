//! Which documents a batch of changes touches. Changes in, document ids out; what has to be looked up in the store is asked
//! through [`Lookup`], which has no idea of documents. A builder for any source can use it.
//!
//! ```text
//! schemas, facts of the catalogue ─▶ Resolver ─▶ interest (what a source has to watch), scopes, relations (what is exact)
//!
//!            before, after, key          values                      ids
//! changes ───────────────────────▶ start ───────▶ rounds ─────────────────▶ Affected
//!                                    ▲            │  ▲  └─ too many: a cursor, good on any instance
//!                                  Links          ▼  │
//!                              (where before     Lookup  one question a group and hop, all groups of a round together
//!                               is not known)
//! ```
//!
//! **Why it is enough.** Let a document have read a row `b` through rows `x1 … xn` below its root `x0`, and let `b` have changed.
//! Of these rows take the one nearest to the root whose links are no longer what they were. Everything above it can still be
//! followed in the store, from its links *before* the change; so its own change, in this batch or a later one, finds the
//! document. For what the document reads now, the same holds with the links *after*. Hence every change is followed from its
//! links before and after (not only from the first and the last of a row in a batch), and lookups need neither one snapshot
//! nor the moment of the change: any moment at which the change is visible will do.
//!
//! The one thing this needs is the links before. [`Resolver::relations`] says for each relation whether they are known.
//! Where they are not, a [`Links`] table stands in: builds add the links of every row that they read, and a change is followed
//! from all that are remembered of its row. A link is needed as long as some document may hold what was read through it. It
//! has ended when a batch has changed its row so that it leads elsewhere (or nowhere), every document under it has been
//! built since, none of these builds has read it again, and all of them are durable.
//!
//! Answers may hold documents that did not change (a value that a limit cuts off, a row that a filter hides), and ids for
//! which there is no document; they never lack one that did.

mod answer;
mod cursor;
mod facts;
mod interest;
mod key;
mod links;
mod lookup;
mod network;
mod places;
mod problem;
mod pruning;
mod relations;
mod rounds;
mod start;
#[cfg(test)]
mod tests;

pub use cursor::Unreadable;
pub use facts::{ColumnFacts, Identity, TableFacts};
pub use key::code;
pub use links::{Ended, Link, Links, NoLinks, Touched};
pub use lookup::{Hop, Lookup, Pair};
pub use network::{Documents, Resolver};
pub use problem::Problem;
pub use relations::{Relation, Tracing, full_identity};
