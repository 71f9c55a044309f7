//! What the operator sets.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::column::Type;

/// All of it.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Options {
    pub(crate) path: PathBuf,
    #[serde(default = "public")]
    pub(crate) schema: String,
    #[serde(default)]
    pub(crate) tables: HashMap<String, TableOptions>,
    #[serde(default)]
    pub(crate) on_bad_row: OnBadRow,
    #[serde(default = "interval")]
    pub(crate) interval_ms: u64,
}

/// What is said of one table.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(crate) struct TableOptions {
    pub(crate) key: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) types: HashMap<String, Type>,
}

/// What happens to a line that is no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnBadRow {
    #[default]
    Stop,
    Skip,
}

fn public() -> String {
    "public".to_owned()
}

fn interval() -> u64 {
    250
}
