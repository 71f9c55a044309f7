//! The raw form: a map of the file, mirrored one to one, in which every key is known and every key that must be there is.
//! What the values mean is not looked at here.

use crate::language::{self, Family, Shape, Sibling, TypeKey};
use crate::nearest::{hint, listed, nearest};
use crate::problem::{Mark, Report};
use crate::yaml::{Key, Node, Value};

/// A map whose keys are all known.
#[derive(Debug)]
pub(crate) struct Raw<'n> {
    pub(crate) at: Mark,
    entries: Vec<(&'static Sibling, &'n Key, &'n Node)>,
}

/// A field: its type key, its document key as written, and its siblings.
#[derive(Debug)]
pub(crate) struct RawField<'n> {
    pub(crate) ty: &'static TypeKey,
    /// The document key as written.
    pub(crate) name: &'n Node,
    pub(crate) siblings: Raw<'n>,
}

impl<'n> Raw<'n> {
    /// Reads a map whose keys are `siblings`. `what` names the map in messages: `the file`, `through`.
    pub(crate) fn read(node: &'n Node, what: &str, siblings: &'static [Sibling], report: &mut Report) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let keys = listed(siblings.iter().map(|sibling| sibling.name));
            report.add(node.at, what, format!("this is {}, but should be a map of {keys}", node.describe()));
            return None;
        };
        let mut raw = Self { at: node.at, entries: Vec::new() };
        let mut unknown = Vec::new();
        for (key, value) in entries {
            if !raw.take(key, value, siblings) {
                let names = siblings.iter().map(|sibling| sibling.name);
                report.add(key.at, &key.text, format!("unknown key; {}", hint(&key.text, names)));
                unknown.push(key.text.as_str());
            }
        }
        raw.demand(what, siblings, &unknown, report).then_some(raw)
    }

    /// What there is of a map in which keys are missing, after that has been noted.
    pub(crate) fn partial(node: &'n Node, siblings: &'static [Sibling]) -> Option<Self> {
        let Value::Map(entries) = &node.value else { return None };
        let mut raw = Self { at: node.at, entries: Vec::new() };
        for (key, value) in entries {
            raw.take(key, value, siblings);
        }
        Some(raw)
    }

    /// Takes an entry if its key is known. A key with nothing behind it counts as left out, unless nothing is a value.
    fn take(&mut self, key: &'n Key, value: &'n Node, siblings: &'static [Sibling]) -> bool {
        let Some(sibling) = siblings.iter().find(|sibling| sibling.name == key.text) else { return false };
        if !matches!(value.value, Value::Null) || matches!(sibling.shape, Shape::Any | Shape::Reserved) {
            self.entries.push((sibling, key, value));
        }
        true
    }

    /// Whether all is there that must be. What an unknown key was told to be is not told to be missing too.
    fn demand(&self, what: &str, siblings: &'static [Sibling], unknown: &[&str], report: &mut Report) -> bool {
        let names = || siblings.iter().map(|sibling| sibling.name);
        let meant: Vec<&str> = unknown.iter().filter_map(|word| nearest(word, names())).collect();
        let mut complete = true;
        for missing in siblings.iter().filter(|sibling| sibling.required && self.get(sibling.name).is_none()) {
            if meant.contains(&missing.name) {
                complete = false;
                continue;
            }
            report.add(self.at, what, format!("`{}` is missing; add it: {}", missing.name, missing.about));
            complete = false;
        }
        complete
    }

    /// The value behind a key.
    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(sibling, ..)| sibling.name == name).map(|(_, _, node)| *node)
    }

    /// Where a key stands.
    pub(crate) fn key_at(&self, name: &str) -> Mark {
        self.entries.iter().find(|(sibling, ..)| sibling.name == name).map_or(self.at, |(_, key, _)| key.at)
    }
}

impl<'n> RawField<'n> {
    /// Reads a field: exactly one type key, and what may stand beside it.
    pub(crate) fn read(node: &'n Node, report: &mut Report) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            report.add(
                node.at,
                "fields",
                format!("this is {}, but a field is a map, such as `keyword: email`", node.describe()),
            );
            return None;
        };
        let mut types = entries.iter().filter_map(|(key, value)| Some((language::type_key(&key.text)?, key, value)));
        let Some((ty, first, name)) = types.next() else {
            Self::no_type(node.at, entries, report);
            return None;
        };
        if let Some((_, key, _)) = types.next() {
            let message = format!(
                "a field has one type, and this one is already `{}`; start a new field with `- {}:`",
                ty.name, key.text
            );
            report.add(key.at, &key.text, message);
            return None;
        }
        let mut siblings = Raw { at: first.at, entries: Vec::new() };
        let mut unknown = Vec::new();
        for (key, value) in entries.iter().filter(|(key, _)| key.text != ty.name) {
            if !siblings.take(key, value, ty.siblings) {
                if let Some(why) = language::meaningless(&key.text, ty.family) {
                    report.note(key.at, &key.text, why);
                    continue;
                }
                report.add(key.at, &key.text, Self::unknown(&key.text, ty));
                if language::misplaced(&key.text, ty.family).is_none() {
                    unknown.push(key.text.as_str());
                }
            }
        }
        siblings.demand(&Self::label(ty, name), ty.siblings, &unknown, report).then_some(Self { ty, name, siblings })
    }

    fn no_type(at: Mark, entries: &[(Key, Node)], report: &mut Report) {
        let words = || language::TYPE_KEYS.iter().map(|key| key.name);
        let is_sibling = |word: &str| language::misplaced(word, Family::Object).is_some();
        match entries.iter().find(|(key, _)| !is_sibling(&key.text)) {
            Some((key, _)) => {
                report.add(key.at, &key.text, format!("unknown type of field; {}", hint(&key.text, words())))
            }
            None => {
                report.add(at, "fields", format!("this field has no type; it begins with one of {}", listed(words())))
            }
        }
    }

    fn unknown(word: &str, ty: &TypeKey) -> String {
        match language::misplaced(word, ty.family) {
            Some(why) => format!("this does not go with `{}`: {why}", ty.name),
            None => {
                format!("unknown key of `{}`; {}", ty.name, hint(word, ty.siblings.iter().map(|sibling| sibling.name)))
            }
        }
    }

    /// What messages about the field as a whole call it.
    fn label(ty: &TypeKey, name: &Node) -> String {
        match &name.value {
            Value::Text(text) => text.clone(),
            _ => ty.name.to_owned(),
        }
    }

    /// Where the field begins, or rather its type key.
    pub(crate) fn at(&self) -> Mark {
        self.siblings.at
    }
}
