//! TODO

pub mod builder;
pub(crate) mod executor;
pub(crate) mod filter;
pub(crate) mod lookup;
pub(crate) mod query;
pub(crate) mod range_builder;
pub mod reader;
