//! TODO

pub mod fingerprint;
pub mod key_columns;
pub mod shape_store;
pub mod table;
pub(crate) mod table_catalog;
