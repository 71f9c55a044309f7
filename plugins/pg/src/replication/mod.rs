//! From the write-ahead log to the contract's events, and what makes a stream resume where it was confirmed.
//!
//! ```text
//! source ─▶ slot, publication, replica_identity      once, before the stream starts
//!        ─▶ capture ─▶ stream ─▶ pgoutput            messages of the walsender, decoded in place
//!                   ─▶ relation, translate           which followed table, which keys and links: an event
//!                   ─▶ catalog_watch                 what the log does not tell: compared in the catalogue
//!                   ─▶ visibility                    an event leaves once every new read sees its transaction (I12)
//! ```
//!
//! [`position`] is what the host stores and confirms: a log position, and which history it belongs to.

pub mod capture;
pub mod pgoutput;
pub mod position;
pub(crate) mod publication;
pub mod relation;
pub(crate) mod replica_identity;
pub(crate) mod slot;
pub(crate) mod slot_names;
pub mod source;
pub mod stream;
pub mod visibility;
