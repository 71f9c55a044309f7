//! Documents and what becomes of them.

use super::change::Version;
use super::value::Key;

/// An index by its place in the builder's mappings, from 0.
pub type IndexNumber = u32;

/// What a sink calls the place an index's documents go to.
pub type Target = u32;

/// Names one document: an index and the key of its root row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentId {
    /// Which index.
    pub index: IndexNumber,
    /// The key of the root row.
    pub key: Key,
}

/// Why one document could not be built, or was not taken by a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A short, stable word to count by.
    pub class: String,
    /// What is wrong, for a person.
    pub reason: String,
}

/// What became of one document's build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its body. Never parsed here.
    Built(Vec<u8>),
    /// There is no such document: it is deleted.
    Absent,
    /// It cannot be built.
    Failed(Failure),
}

/// A document on its way to the sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Which index.
    pub index: IndexNumber,
    /// The sink's `_id`.
    pub id: String,
    /// The key that the id is made of.
    pub key: Key,
    /// The version of the last event polled before it was built.
    pub version: Version,
    /// Its body; none: delete it.
    pub body: Option<Vec<u8>>,
}

impl Document {
    /// About how many bytes it occupies, for limits of size.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.body.as_ref().map_or(0, Vec::len)
    }
}

/// A document that a sink will not take, however often it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Where it should have gone.
    pub target: Target,
    /// Its id.
    pub id: String,
    /// Why not.
    pub failure: Failure,
}
