//! The body of one bulk request: two lines a document, one a deletion. Bodies are put in as they are.

use crate::document_id;
use flusso_plugin::json::{push_line, push_string};
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::rc::Rc;

use flusso_plugin::{Target, Version};

use super::amend::Amended;

/// One document of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) target: Target,
    pub(crate) id: String,
    /// Its lines.
    place: Range<usize>,
    /// Stands for target and id.
    key: u64,
    /// Where it was refused and is sent again in another form.
    pub(super) amended: Option<Rc<Amended>>,
}

/// Documents that go out in one request.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// The name in the request's path: what is written there need not say so in its line.
    pub(crate) write_alias: String,
    target: Target,
    bytes: Rc<Vec<u8>>,
    pub(crate) items: Vec<Item>,
    keys: HashSet<u64>,
    /// How often some of it was tried.
    pub(crate) attempt: u32,
    /// Whether searches find it once it is answered.
    pub(crate) shows: bool,
}

/// Numbers for documents, the same throughout one instance.
#[derive(Clone, Default)]
pub(crate) struct Keys(RandomState);

impl Keys {
    fn of(&self, target: Target, id: &str) -> u64 {
        self.0.hash_one((target, id))
    }
}

impl Chunk {
    /// An empty one, for documents of `target` in the first place.
    pub(crate) fn new(target: Target, write_alias: &str) -> Self {
        Self {
            write_alias: write_alias.to_owned(),
            target,
            bytes: Rc::default(),
            items: Vec::new(),
            keys: HashSet::new(),
            attempt: 0,
            shows: false,
        }
    }

    pub(crate) fn bytes(&self) -> Rc<Vec<u8>> {
        Rc::clone(&self.bytes)
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a document; without a body it is deleted.
    pub(crate) fn add(
        &mut self,
        keys: &Keys,
        target: Target,
        write_alias: &str,
        id: &str,
        version: Version,
        body: Option<&[u8]>,
    ) {
        let own = target == self.target;
        let bytes = Rc::make_mut(&mut self.bytes);
        let start = bytes.len();
        bytes.reserve(id.len() + body.map_or(0, <[u8]>::len) + 128);
        bytes.extend_from_slice(if body.is_some() { b"{\"index\":{" } else { b"{\"delete\":{" });
        if !own {
            bytes.extend_from_slice(b"\"_index\":");
            push_string(bytes, write_alias);
            bytes.push(b',');
        }
        bytes.extend_from_slice(b"\"_id\":");
        push_string(bytes, &document_id::of(id));
        // Versions are signed in the cluster.
        let version = version.min(i64::MAX as u64);
        bytes.extend_from_slice(format!(",\"version\":{version},\"version_type\":\"external_gte\"}}}}\n").as_bytes());
        if let Some(body) = body {
            push_line(bytes, body);
            bytes.push(b'\n');
        }
        let key = keys.of(target, id);
        let place = start..bytes.len();
        self.keys.insert(key);
        self.items.push(Item { target, id: id.to_owned(), place, key, amended: None });
    }

    /// Whether both hold some document.
    pub(crate) fn shares(&self, other: &Self) -> bool {
        let (few, many) = if self.keys.len() < other.keys.len() { (self, other) } else { (other, self) };
        few.keys.iter().any(|key| many.keys.contains(key))
    }

    /// Takes the documents of another as well, if that goes to the same place and both together are small enough; hands it
    /// back otherwise. They share none.
    pub(crate) fn merge(&mut self, other: Self, most: usize, most_bytes: usize) -> Option<Self> {
        let fits = self.items.len() + other.items.len() <= most && self.size() + other.size() <= most_bytes;
        if self.write_alias != other.write_alias || !fits {
            return Some(other);
        }
        let bytes = Rc::make_mut(&mut self.bytes);
        let start = bytes.len();
        bytes.extend_from_slice(&other.bytes);
        let moved = |item: Item| Item { place: item.place.start + start..item.place.end + start, ..item };
        self.items.extend(other.items.into_iter().map(moved));
        self.keys.extend(other.keys);
        self.attempt = self.attempt.max(other.attempt);
        self.shows &= other.shows;
        None
    }

    /// Whether the same document comes once more behind this place: what is tried again must not come after that.
    pub(super) fn is_superseded(&self, place: usize) -> bool {
        let (before, after) = self.items.split_at((place + 1).min(self.items.len()));
        before.last().is_some_and(|item| {
            after.iter().any(|later| later.key == item.key && later.target == item.target && later.id == item.id)
        })
    }

    /// The body of a document, if it has one.
    pub(super) fn body(&self, item: &Item) -> Option<&[u8]> {
        let lines = self.bytes.get(item.place.clone())?;
        let end = lines.iter().position(|byte| *byte == b'\n')?;
        lines.get(end + 1..lines.len() - 1)
    }

    /// Takes a document of another chunk with another body.
    pub(super) fn take(&mut self, other: &Self, item: &Item, amended: Amended, body: &[u8]) {
        let lines = other.bytes.get(item.place.clone()).unwrap_or_default();
        let head = lines.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let bytes = Rc::make_mut(&mut self.bytes);
        let start = bytes.len();
        bytes.extend_from_slice(head);
        push_line(bytes, body);
        bytes.push(b'\n');
        let place = start..bytes.len();
        self.keys.insert(item.key);
        self.items.push(Item { place, amended: Some(Rc::new(amended)), ..item.clone() });
    }

    /// An empty one that goes to the same place.
    pub(super) fn empty(&self) -> Self {
        Self::new(self.target, &self.write_alias)
    }

    /// Some of its documents, in the same order.
    pub(crate) fn part(&self, places: impl IntoIterator<Item = usize>) -> Self {
        let mut part = Self { attempt: self.attempt, ..Self::new(self.target, &self.write_alias) };
        let bytes = Rc::make_mut(&mut part.bytes);
        for item in places.into_iter().filter_map(|place| self.items.get(place)) {
            let start = bytes.len();
            bytes.extend_from_slice(self.bytes.get(item.place.clone()).unwrap_or_default());
            part.keys.insert(item.key);
            part.items.push(Item { place: start..bytes.len(), ..item.clone() });
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(chunk: &Chunk) -> String {
        String::from_utf8_lossy(&chunk.bytes()).into_owned()
    }

    #[test]
    fn a_document_is_two_lines_and_a_deletion_is_one() {
        let (keys, mut chunk) = (Keys::default(), Chunk::new(1, "u_w"));
        chunk.add(&keys, 1, "u_w", "4\"2\n", 7, Some(b"{\r\n\"a\":1}"));
        chunk.add(&keys, 2, "o_w", "x", u64::MAX, None);
        assert_eq!(
            text(&chunk),
            "{\"index\":{\"_id\":\"4\\\"2\\n\",\"version\":7,\"version_type\":\"external_gte\"}}\n{  \"a\":1}\n\
             {\"delete\":{\"_index\":\"o_w\",\"_id\":\"x\",\"version\":9223372036854775807,\"version_type\":\"external_gte\"}}\n"
        );
    }

    #[test]
    fn a_part_has_the_lines_of_its_documents() {
        let (keys, mut chunk) = (Keys::default(), Chunk::new(1, "u_w"));
        for id in ["a", "b", "c"] {
            chunk.add(&keys, 1, "u_w", id, 1, Some(format!("{{\"{id}\":1}}").as_bytes()));
        }
        let part = chunk.part([0, 2]);
        let ids: Vec<&str> = part.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!((ids.as_slice(), text(&part).matches('\n').count()), (&["a", "c"][..], 4));
        assert!(text(&part).contains("{\"a\":1}") && !text(&part).contains("{\"b\":1}"));
        let again = part.part([1]);
        assert!(text(&again).starts_with("{\"index\":{\"_id\":\"c\"") && text(&again).ends_with("{\"c\":1}\n"));
    }

    #[test]
    fn merged_chunks_hold_the_documents_of_both() {
        let keys = Keys::default();
        let one = |write_alias: &str, id: &str| {
            let mut chunk = Chunk::new(1, write_alias);
            chunk.add(&keys, 1, write_alias, id, 1, Some(b"{}"));
            chunk
        };
        let (a, b) = (one("u_w", "a"), one("u_w", "b"));
        let mut both = a.clone();
        assert!(both.merge(b.clone(), 2, 1_000).is_none());
        assert_eq!(text(&both), text(&a) + &text(&b));
        assert_eq!(text(&both.part([1])), text(&b));
        assert!(both.shares(&a) && both.shares(&b));
        for (other, most, bytes) in
            [(one("u_w", "c"), 2, 1_000), (one("u_w", "c"), 3, 100), (one("o_w", "c"), 3, 1_000)]
        {
            assert!(both.merge(other, most, bytes).is_some());
        }
        assert_eq!(both.items.len(), 2);
    }

    #[test]
    fn chunks_share_a_document_of_the_same_index_only() {
        let keys = Keys::default();
        let one = |target, id: &str| {
            let mut chunk = Chunk::new(1, "u_w");
            chunk.add(&keys, target, "g", id, 1, None);
            chunk
        };
        assert!(one(1, "a").shares(&one(1, "a")));
        assert!(!one(1, "a").shares(&one(2, "a")) && !one(1, "a").shares(&one(1, "b")));
    }
}
