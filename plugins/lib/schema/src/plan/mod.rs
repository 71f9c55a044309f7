//! What follows from a schema: the mapping that a sink needs, the hash that decides rebuilds, the tables that a source
//! has to watch, and the ways from any row back to the documents it is in.

mod constant;
mod hash;
mod mapping;
mod table_refs;
mod tables;

pub(crate) use constant::constant_type;
pub use mapping::MappedField;
pub use table_refs::{Hop, Role, TableRef};
pub use tables::{Reads, TableUse, tables};
