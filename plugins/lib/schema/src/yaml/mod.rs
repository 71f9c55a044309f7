//! YAML as a tree that knows where every part of it stands. Any text in, a tree or problems out; limits keep a hostile
//! file from costing more than its size.
//!
//! What is not part of configuration files is refused rather than guessed at: several documents in a file, keys that
//! are lists, tags other than `!!str`. Anchors and aliases work. A key that is written twice is a problem.

mod compose;
mod scalar;

pub(crate) use compose::parse;

use crate::problem::Mark;
use serde_json::{Map, Number, Value as Json};

/// The longest text that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting, in lists and maps.
pub(crate) const MAX_DEPTH: usize = 64;
/// The most nodes of a tree, aliases counted as what they stand for.
pub(crate) const MAX_NODES: usize = 100_000;

/// A part of a file.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Mark,
    pub(crate) value: Value,
}

/// What a part of a file holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// A number and how it was written, for where digits count.
    Number(Number, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) at: Mark,
    pub(crate) text: String,
}

impl Node {
    /// What it is, for a message.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Boolean(value) => format!("`{value}`"),
            Value::Number(_, text) => format!("the number `{}`", crate::problem::shown(text)),
            Value::Text(text) if matches!(scalar::plain(text), Value::Text(_)) => {
                format!("`{}`", crate::problem::shown(text))
            }
            Value::Text(text) => format!("the text `{}`", crate::problem::shown(text)),
            Value::List(items) => (if items.is_empty() { "an empty list" } else { "a list" }).to_owned(),
            Value::Map(entries) => (if entries.is_empty() { "an empty map" } else { "a map" }).to_owned(),
        }
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Boolean(value) => Json::Bool(*value),
            Value::Number(number, _) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }
}
