//! From flushed entries to the confirmed position (I1, I2).
//!
//! ```text
//! sink progress ─▶ durable_watermark ─▶ confirm ─▶ state (records, quarantine) ─▶ source
//!              └─▶ visible_watermark ─▶ /wait
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `durable_watermark` | up to which entry everything is durable in every sink, and what takes effect by that |
//! | `visible_watermark` | up to which position searches find everything |
//! | `confirm` | the task that stores what took effect, and then tells the source the position |
//! | `records` | what stands in the host's state: position, backfills, rebuild requests |
//! | `quarantine` | the policy for rejected documents, and their entries in the state (I6) |
//! | `stored_key` | a document's key as the state keeps it |

pub(super) mod confirm;
pub(super) mod durable_watermark;
pub(super) mod quarantine;
pub(super) mod records;
mod stored_key;
pub(super) mod visible_watermark;
