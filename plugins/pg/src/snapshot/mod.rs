//! TODO

pub mod key_pages;
pub mod range_scan;
pub mod split;
