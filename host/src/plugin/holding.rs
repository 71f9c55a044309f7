//! What a sink holds, as `flusso-host indexes` shows it.

use std::fmt;

/// How something that a sink holds stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
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

impl Standing {
    /// Whether it may be removed without anybody missing it.
    pub fn is_spare(self) -> bool {
        matches!(self, Self::Replaced | Self::Leftover)
    }
}

impl fmt::Display for Standing {
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

/// Something that a sink holds for an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its name in the store.
    pub name: String,
    /// The index it is for, with the prefix.
    pub index: String,
    /// The mapping's hash, or its beginning.
    pub hash: String,
    /// How it stands.
    pub standing: Standing,
    /// How many documents there are, if known.
    pub documents: Option<u64>,
    /// How much room it takes, in bytes, if known.
    pub bytes: Option<u64>,
    /// What it was marked seeded with.
    pub seeded: Option<String>,
}
