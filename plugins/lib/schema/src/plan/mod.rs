//! What follows from a schema: the mapping that a sink needs, the hash that decides rebuilds, the tables that a source
//! has to watch, and the ways from any row back to the documents it is in.

mod constant;
mod hash;
mod mapping;
mod places;
mod tables;

pub(crate) use constant::constant_type;
pub use mapping::MappedField;
pub use places::{Hop, Place, Role};
pub use tables::{Reads, TableUse, tables};
