//! TODO

pub(super) mod confirm;
pub(super) mod durable_watermark;
pub(super) mod quarantine;
pub(super) mod records;
pub(super) mod visible_watermark;
