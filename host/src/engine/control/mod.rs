//! What other tasks of the program may ask of a run while it goes on.
//!
//! ```text
//! RunHandle ──reindex──▶ worker
//!     └──────wait──────▶ capture (where is the source's head?), watermarks, position_reader (compare, print)
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `commands` | the handle: rebuild an index, the progress of each index, the source's lag |
//! | `wait` | waiting until searches find a change |
//! | `position_reader` | a second instance of the source, which parses, prints and compares positions |

pub(super) mod commands;
pub(super) mod position_reader;
pub(super) mod wait;
