//! Reading whole tables: [`split`] divides a table into ranges of its key, [`range_scan`] reads a range page by page, and
//! [`key_pages`] hands the keys of the pages to the host. Documents of whole ranges are built in `documents/range_builder`.

pub mod key_pages;
pub mod range_scan;
pub mod split;
