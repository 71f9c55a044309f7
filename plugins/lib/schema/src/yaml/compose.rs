//! From parser events to a tree. Nothing here recurses over the file: depth is bounded by `MAX_DEPTH` before it is built.

use super::{Key, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, Value, scalar};
use crate::problem::{Mark, Report};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::collections::{BTreeMap, BTreeSet};

/// The tree of the only document of `text`, or `None` after noting why there is none.
pub(crate) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    let start = Mark { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        let message = format!(
            "the file has {} bytes, more than the limit of {MAX_BYTES}; split it into several schemas",
            text.len()
        );
        report.add(start, "yaml", message);
        return None;
    }
    let mut composer = Composer { report, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root: None };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => composer.event(event, mark(&span.start))?,
            Err(error) => {
                composer.report.add(mark(error.marker()), "yaml", format!("this is not YAML: {}", error.info()));
                return None;
            }
        }
    }
    let root = composer.root;
    if root.is_none() {
        report.add(start, "yaml", "the file is empty; a schema starts with `version: 1` and `table`");
    }
    root
}

fn mark(marker: &Marker) -> Mark {
    Mark { line: marker.line().max(1), column: marker.col() + 1 }
}

/// A list or map whose end has not come yet.
struct Open {
    at: Mark,
    anchor: usize,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, seen: BTreeSet<String>, key: Option<Key> },
}

struct Composer<'r> {
    report: &'r mut Report,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Composer<'_> {
    /// Takes one event; `None` when the rest cannot be understood any more.
    fn event(&mut self, event: Event<'_>, at: Mark) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), at)?;
                self.count(1, 0, at)?;
                let implicit = text.is_empty() && style == ScalarStyle::Plain;
                self.complete(Node { at, value }, anchor, implicit)
            }
            Event::SequenceStart(anchor, tag) => self.open(at, anchor, tag.as_deref(), Body::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                let body = Body::Map { entries: Vec::new(), seen: BTreeSet::new(), key: None };
                self.open(at, anchor, tag.as_deref(), body)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let value = match open.body {
                    Body::List(items) => Value::List(items),
                    Body::Map { entries, .. } => Value::Map(entries),
                };
                self.complete(Node { at: open.at, value }, open.anchor, false)
            }
            Event::Alias(anchor) => {
                let Some(mut node) = self.anchors.get(&anchor).cloned() else {
                    self.report.add(at, "yaml", "this alias stands inside what it refers to; write the value out");
                    return None;
                };
                let (size, depth) = measure(&node);
                self.count(size, depth, at)?;
                node.at = at;
                self.complete(node, 0, false)
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                self.report.add(at, "yaml", "a second document begins here; a schema file holds one");
                None
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Some(())
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Mark) -> Option<Value> {
        match tag {
            None if style == ScalarStyle::Plain => Some(scalar::plain(text)),
            None => Some(Value::Text(text.to_owned())),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Some(Value::Text(text.to_owned())),
            Some(tag) => self.refuse_tag(tag, at),
        }
    }

    fn refuse_tag<T>(&mut self, tag: &Tag, at: Mark) -> Option<T> {
        let name = if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() };
        let message =
            format!("the tag `{}` means nothing here; leave it out, or quote the value", crate::problem::shown(&name));
        self.report.add(at, "yaml", message);
        None
    }

    fn open(&mut self, at: Mark, anchor: usize, tag: Option<&Tag>, body: Body) -> Option<()> {
        if let Some(tag) = tag {
            return self.refuse_tag(tag, at);
        }
        self.count(1, 1, at)?;
        self.open.push(Open { at, anchor, body });
        Some(())
    }

    /// Keeps size and depth below their limits.
    fn count(&mut self, nodes: usize, depth: usize, at: Mark) -> Option<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            self.report.add(
                at,
                "yaml",
                format!("the file has more than {MAX_NODES} parts, aliases written out; split it"),
            );
            return None;
        }
        if self.open.len() + depth > MAX_DEPTH {
            self.report.add(at, "yaml", format!("this is nested deeper than {MAX_DEPTH} levels"));
            return None;
        }
        Some(())
    }

    /// Puts a finished node where it belongs. `implicit`: nothing is written where the node stands.
    fn complete(&mut self, mut node: Node, anchor: usize, implicit: bool) -> Option<()> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.body) {
            None => self.root = Some(node),
            Some(Body::List(items)) => items.push(node),
            Some(Body::Map { entries, seen, key }) => match key.take() {
                None => *key = Some(key_of(node, self.report)?),
                Some(key) => {
                    if implicit {
                        node.at = key.at;
                    }
                    if seen.insert(key.text.clone()) {
                        entries.push((key, node));
                    } else {
                        self.report.add(key.at, &key.text, "this key is written twice in one map; keep one of the two");
                    }
                }
            },
        }
        Some(())
    }
}

fn key_of(node: Node, report: &mut Report) -> Option<Key> {
    let text = match node.value {
        Value::Text(text) | Value::Number(_, text) => text,
        Value::Boolean(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::List(_) | Value::Map(_) => {
            report.add(node.at, "yaml", "a key has to be a word, not a list or a map");
            return None;
        }
    };
    Some(Key { at: node.at, text })
}

/// Nodes in a tree, and levels of lists and maps. Recursion is bounded: no tree is deeper than `MAX_DEPTH`.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        Value::Map(entries) => entries.iter().map(|(_, node)| node).collect(),
        _ => return (1, 0),
    };
    let (size, depth) = children.into_iter().map(measure).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1.max(one.1)));
    (size + 1, depth + 1)
}
