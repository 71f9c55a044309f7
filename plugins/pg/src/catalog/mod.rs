//! What the server's catalogue says about tables, read in one query for all of them.
//!
//! | file | answers |
//! |---|---|
//! | [`table`] | columns, types with domains resolved, primary key, replica identity |
//! | [`table_catalog`] | the same, as `flusso-documents` plans with it |
//! | [`key_columns`] | how a table is selected by its key |
//! | [`interest`] | what a builder wants that no table has |
//! | [`fingerprint`] | everything in the catalogue that documents depend on, comparable with what it was earlier |
//! | [`shape_store`] | the fingerprints of the last run, kept by the host |

pub mod fingerprint;
pub(crate) mod interest;
pub mod key_columns;
pub mod shape_store;
pub mod table;
pub(crate) mod table_catalog;
pub(crate) mod views;
