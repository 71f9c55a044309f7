//! Field names that the cluster does not take, and what they become. A name that it takes stays as it is.
//!
//! | name | becomes | why |
//! |---|---|---|
//! | `_id`, `_source` and others of the cluster's own | `id`, `source` | they mean something else there |
//! | `.x`, `x.`, `a..b`, `a. .b`, an empty one | `x`, `x`, `a_b`, `a_ _b`, `field` | a dot stands between an object and a field in it |
//! | `a.b` beside `a` | `a_b` | a field is no object at the same time |
//!
//! Where another field of the same object has the new name, eight digits of a hash of the old one stand behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flusso_plugin::Field;

use crate::bulk::UNINDEXED;
use crate::names::fold;

/// Fields inside each other, by the cluster's default.
const MAX_DEPTH: usize = 20;
/// Names that mean something else at the top of a document, in some version of OpenSearch or Elasticsearch.
const METADATA: [&str; 19] = [
    "_data_stream_timestamp",
    "_doc_count",
    "_feature",
    "_field_names",
    "_id",
    "_ignored",
    "_ignored_source",
    "_index",
    "_index_mode",
    "_nested_path",
    "_primary_term",
    "_routing",
    "_routing_hash",
    "_seq_no",
    "_source",
    "_tier",
    "_tsid",
    "_version",
    UNINDEXED,
];

/// The names of an object's members, by the keys that documents have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level(HashMap<Vec<u8>, Name>);

/// What one member is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name {
    /// Another name; none: its own.
    pub(crate) name: Option<String>,
    /// Those of its members.
    pub(crate) below: Level,
}

impl Level {
    /// Whether every name stays.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Name> {
        self.0.get(key)
    }
}

/// The field names of one index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldNames {
    /// A path in the cluster for each field, in order.
    pub(crate) paths: Vec<String>,
    /// Paths that are others there: the field's own, and the one there.
    pub(crate) renamed: Vec<(String, String)>,
    /// For documents; empty where every name stays.
    pub(crate) level: Level,
    /// Members of the document that are objects with fields of their own, by their names in the cluster.
    pub(crate) objects: BTreeSet<Vec<u8>>,
}

/// An object and its members: places of fields.
struct Parent {
    depth: usize,
    /// Places of members and their keys.
    members: Vec<(usize, String)>,
}

impl FieldNames {
    /// What is to be said of fields that have another name in the cluster.
    pub(crate) fn messages(&self) -> impl Iterator<Item = String> {
        let renamed = self.renamed.iter();
        renamed.map(|(own, there)| format!("the cluster takes no field {own:?}: it is called {there:?} there"))
    }

    pub(crate) fn of(fields: &[Field]) -> Self {
        let (parents, keys) = objects(fields);
        let mut names: Vec<Option<String>> = vec![None; fields.len()];
        for parent in parents.values() {
            for (place, name) in renamed(parent, fields) {
                if let Some(slot) = names.get_mut(place) {
                    *slot = Some(name);
                }
            }
        }
        let mut made = Self::default();
        for (place, field) in fields.iter().enumerate() {
            let (parent, key) = keys.get(place).cloned().unwrap_or((None, field.path.clone()));
            let name = names.get(place).cloned().flatten();
            let own = name.as_ref().unwrap_or(&key);
            let path = match parent.and_then(|parent| made.paths.get(parent)) {
                Some(parent) => format!("{parent}.{own}"),
                None => own.clone(),
            };
            if parent.is_none() && is_object(field) {
                made.objects.insert(path.clone().into_bytes());
            }
            if name.is_some() {
                made.renamed.push((field.path.clone(), path.clone()));
            }
            made.paths.push(path);
        }
        if !made.renamed.is_empty() {
            made.level = level(None, &parents, &names);
        }
        made
    }
}

/// Members by their object (none: the document), and for each field its object and its key in it.
#[expect(clippy::type_complexity, reason = "two tables that are made in one pass")]
fn objects(fields: &[Field]) -> (BTreeMap<Option<usize>, Parent>, Vec<(Option<usize>, String)>) {
    let mut parents = BTreeMap::from([(None, Parent { depth: 0, members: Vec::new() })]);
    let mut keys: Vec<(Option<usize>, String)> = Vec::new();
    let mut found: HashMap<&str, usize> = HashMap::new();
    for (place, field) in fields.iter().enumerate() {
        let path = field.path.as_str();
        // The longest path before a dot that is an object: `a.b` may be one key.
        let dots = path.match_indices('.').map(|(at, _)| at);
        let parent = dots.rev().find_map(|at| found.get(path.get(..at)?).map(|parent| (*parent, at)));
        let (parent, key) = match parent {
            Some((parent, at)) => (Some(parent), path.get(at + 1..).unwrap_or_default().to_owned()),
            None => (None, path.to_owned()),
        };
        let depth = parent.and_then(|parent| parents.get(&Some(parent))).map_or(0, |parent: &Parent| parent.depth);
        if let Some(parent) = parents.get_mut(&parent) {
            parent.members.push((place, key.clone()));
        }
        if is_object(field) {
            found.insert(path, place);
            parents.insert(Some(place), Parent { depth: depth + 1, members: Vec::new() });
        }
        keys.push((parent, key));
    }
    (parents, keys)
}

/// Whether a field's members are fields as well.
fn is_object(field: &Field) -> bool {
    matches!(field.type_.as_str(), "object" | "nested")
}

/// The members of one object that are called something else, and what.
fn renamed(parent: &Parent, fields: &[Field]) -> Vec<(usize, String)> {
    let is = |(place, key): &&(usize, String)| {
        let container = fields.get(*place).is_some_and(|field| is_object(field) || field.type_ == "json");
        is_taken(key, parent.depth, container)
    };
    let own: std::collections::HashSet<&str> = parent.members.iter().filter(is).map(|(_, key)| key.as_str()).collect();
    // `a.b` is inside `a`, if that is a field too.
    let inside = |key: &str| key.match_indices('.').any(|(at, _)| key.get(..at).is_some_and(|one| own.contains(one)));
    let stays = |member: &&(usize, String)| own.contains(member.1.as_str()) && !inside(&member.1);
    let kept: std::collections::HashSet<&str> = parent
        .members
        .iter()
        .filter(stays)
        .map(|(_, key)| key.split_once('.').map_or(key.as_str(), |(first, _)| first))
        .collect();
    let others: Vec<&(usize, String)> = parent.members.iter().filter(|member| !stays(member)).collect();
    let mut plain: HashMap<String, usize> = HashMap::new();
    for (_, key) in &others {
        *plain.entry(cleaned(key)).or_default() += 1;
    }
    let name = |key: &str| {
        let name = cleaned(key);
        let alone =
            plain.get(&name) == Some(&1) && !kept.contains(name.as_str()) && is_taken(&name, parent.depth, true);
        if alone { name } else { format!("{name}_{:08x}", fold(key)) }
    };
    others.into_iter().map(|(place, key)| (*place, name(key))).collect()
}

/// Whether the cluster takes a key at this depth.
fn is_taken(key: &str, depth: usize, container: bool) -> bool {
    let parts: Vec<&str> = key.split('.').collect();
    let first = parts.first().copied().unwrap_or_default();
    let blank = |part: &&str| part.trim().is_empty();
    // A field of blanks is fine, an object of that name is not.
    let blanks = parts.iter().any(blank) && (parts.len() > 1 || container || key.is_empty());
    !blanks && depth + parts.len() <= MAX_DEPTH && (depth > 0 || !METADATA.contains(&first))
}

/// A name without what the cluster does not take.
fn cleaned(key: &str) -> String {
    let outer = key.trim_matches(|one: char| one == '.' || one.is_whitespace());
    let outer = if METADATA.contains(&outer) { outer.trim_start_matches('_') } else { outer };
    let mut name = String::new();
    for one in outer.chars() {
        match one {
            '.' if name.ends_with('_') => {}
            '.' => name.push('_'),
            one => name.push(one),
        }
    }
    if name.is_empty() { "field".to_owned() } else { name }
}

fn level(of: Option<usize>, parents: &BTreeMap<Option<usize>, Parent>, names: &[Option<String>]) -> Level {
    let members = parents.get(&of).map(|parent| parent.members.as_slice()).unwrap_or_default();
    let mut made = HashMap::new();
    for (place, key) in members {
        let name = Name { name: names.get(*place).cloned().flatten(), below: level(Some(*place), parents, names) };
        if name != Name::default() {
            made.insert(key.clone().into_bytes(), name);
        }
    }
    Level(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fields: &[(&str, &str)]) -> FieldNames {
        let field = |(path, type_): &(&str, &str)| Field {
            path: (*path).to_owned(),
            type_: (*type_).to_owned(),
            nullable: true,
            array: false,
            options: "{}".to_owned(),
            variants: None,
            map_values: None,
            extra: None,
        };
        FieldNames::of(&fields.iter().map(field).collect::<Vec<_>>())
    }

    fn paths(keys: &[&str]) -> Vec<String> {
        names(&keys.iter().map(|key| (*key, "keyword")).collect::<Vec<_>>()).paths
    }

    #[test]
    fn a_name_that_the_cluster_takes_stays() {
        let keys = ["id", "_foo", "a*", " ", "a.b", "a:b", "é", "_", "c.d.e", "c.d.f"];
        assert_eq!(paths(&keys), keys);
        assert_eq!(names(&[("a", "long")]).level, Level::default());
    }

    #[test]
    fn every_other_name_becomes_one_that_it_takes() {
        assert_eq!(paths(&["_id", "_source", ".x", "a..b", "", "z."]), ["id", "source", "x", "a_b", "field", "z"]);
        assert_eq!(paths(&["a. .b", ".."]), ["a_ _b", "field"]);
        let deep = vec!["a"; 30].join(".");
        assert_eq!(paths(&[&deep]), [deep.replace('.', "_")]);
        let all: Vec<String> = METADATA.iter().map(|name| (*name).to_owned()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert!(paths(&all).iter().all(|name| is_taken(name, 0, true)), "{:?}", paths(&all));
    }

    #[test]
    fn no_two_fields_of_an_object_meet() {
        let keys =
            ["_id", "id", "a", "a.b", "a_b", "a.b.c", "", ".", "..", "x", "x.", ".x", "s.t", "_source", "source.q"];
        let found = paths(&keys);
        let distinct: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "{found:?}");
        for (key, name) in keys.iter().zip(&found) {
            let stays = ["id", "a", "a_b", "x", "s.t", "source.q"].contains(key);
            assert_eq!(key == name, stays, "{key} {name}");
            assert!(!found.iter().any(|other| other.starts_with(&format!("{name}."))), "{name} {found:?}");
        }
        let mut turned = keys;
        turned.reverse();
        let again = paths(&turned);
        assert!(found.iter().eq(again.iter().rev()), "the order does not matter: {found:?} {again:?}");
    }

    #[test]
    fn names_inside_objects_are_their_own_matter() {
        let found = names(&[
            ("orders", "nested"),
            ("orders._id", "keyword"),
            ("orders..x", "keyword"),
            ("orders.at", "object"),
            ("orders.at.", "long"),
            ("_source", "object"),
            ("_source.a", "long"),
            ("more", "json"),
            ("more.x", "long"),
        ]);
        assert_eq!(
            found.paths,
            [
                "orders",
                "orders._id",
                "orders.x",
                "orders.at",
                "orders.at.field",
                "source",
                "source.a",
                "more",
                "more_x"
            ]
        );
        let orders = found.level.get(b"orders").expect("renamed below");
        assert_eq!(orders.name, None);
        assert_eq!(orders.below.get(b".x").and_then(|name| name.name.as_deref()), Some("x"));
    }
}
