//! x
pub mod bindings;
pub mod imports;
