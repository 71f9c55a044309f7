//! The indexes that a sink holds, as `flusso-host indexes` shows it.

use std::fmt;

/// The state of an index that a sink holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexState {
    /// Searches find it, and it is kept in step.
    Serving,
    /// Searches find it, and it is written to no more, until the one beside it is whole.
    Frozen,
    /// It is being filled.
    Building,
    /// Another has taken its place; it goes by itself.
    Replaced,
    /// Nothing needs it, and nothing removes it.
    Leftover,
}

impl IndexState {
    /// Whether it may be removed at any time.
    pub fn is_spare(self) -> bool {
        matches!(self, Self::Replaced | Self::Leftover)
    }
}

impl fmt::Display for IndexState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::Frozen => "frozen",
            Self::Building => "building",
            Self::Replaced => "replaced",
            Self::Leftover => "leftover",
        })
    }
}

/// An index that a sink holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredIndex {
    /// Its name in the store.
    pub name: String,
    /// The index it is for, with the prefix.
    pub index: String,
    /// The mapping's hash, or its beginning.
    pub hash: String,
    /// Its state.
    pub state: IndexState,
    /// How many documents there are, if known.
    pub documents: Option<u64>,
    /// How much room it takes, in bytes, if known.
    pub bytes: Option<u64>,
    /// What it was marked seeded with.
    pub seeded: Option<String>,
}
