//! What follows from a schema: the mapping that a sink needs, the hash that decides rebuilds, the tables that a source
//! has to follow, the paths from any row back to the documents it is in, and which of two names a database has.

mod constant;
mod exact_names;
mod hash;
mod mapping;
mod table_refs;
mod tables;

pub(crate) use constant::constant_type;
pub use exact_names::Names;
pub use mapping::MappedField;
pub use table_refs::{Hop, Role, TableRef};
pub use tables::{Reads, TableUse, tables};
