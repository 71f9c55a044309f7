//! From built documents to durable ones.
//!
//! ```text
//!            ┌─▶ sink_task 0 ─ write, flush ─▶ progress ─┐
//! lane ──────┼─▶ sink_task 1 ─ write, flush ─▶ progress ─┼─▶ durability::confirm
//! (ordered)  └─▶ …                                       ┘
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `lane` | the one ordered, bounded queue of entries that every sink takes in the same order (I5, I11) |
//! | `sink_task` | one task a sink: gathers entries into a flush, writes them, applies rejections (I6), reports progress |
//! | `poison` | finds the documents that end a sink's instance |
//! | `index_targets` | in one sink, the live target of each index and the generation that is being filled beside it |

pub(super) mod index_targets;
pub(super) mod lane;
mod poison;
pub(super) mod sink_task;
