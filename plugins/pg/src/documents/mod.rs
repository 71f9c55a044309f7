//! From keys to documents, by plans of `flusso-documents`.
//!
//! ```text
//! builder ──────┐                  keys of root rows → documents; resolves what a change touches (`lookup`)
//! range_builder ┴▶ query, filter   a plan's nodes as SQL, prepared once
//!               └▶ executor        statements of one plan sent together, answered in order, in one transaction
//! reader                           rows for builders of other plugins
//! ```

pub mod builder;
mod dense_range;
pub(crate) mod executor;
pub(crate) mod filter;
pub(crate) mod lookup;
pub(crate) mod query;
pub(crate) mod range_builder;
pub mod reader;
