//! What single keys hold: names, words, numbers, lists of them.

use super::Rules;
use crate::language::{Shape, Sibling};
use crate::model::{Identifier, LeafType, TableName};
use crate::nearest::{hint, listed};
use crate::raw::Raw;
use crate::yaml::{Node, Value};
use std::collections::BTreeMap;

impl Rules<'_> {
    pub(super) fn wrong<T>(&mut self, key: &str, node: &Node, should: &str) -> Option<T> {
        self.report.add(node.at, key, format!("this is {}, but should be {should}", node.describe()));
        None
    }

    pub(super) fn text<'n>(&mut self, key: &str, node: &'n Node, should: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            _ => self.wrong(key, node, should),
        }
    }

    /// A column or database schema.
    pub(super) fn identifier(&mut self, key: &str, node: &Node) -> Option<Identifier> {
        let text = self.text(key, node, "a name, such as `user_id`")?;
        self.named(key, node, text)
    }

    fn named(&mut self, key: &str, node: &Node, text: &str) -> Option<Identifier> {
        if let Some(identifier) = Identifier::new(text) {
            return Some(identifier);
        }
        // As the database folds a name without quotes, and as flusso 0.15 did.
        let folded = Identifier::folded(text);
        let shown = crate::problem::shown(text);
        match &folded {
            Some(name) => {
                self.report.note_folded(node.at, key, text, name.as_str());
            }
            None => {
                let rule = "names are lower case letters, digits and `_`, not beginning with a digit, at most 63";
                self.report.add(node.at, key, format!("`{shown}` is no name: {rule}"));
            }
        }
        folded
    }

    /// One column, or a list of them.
    pub(super) fn columns(&mut self, key: &str, node: &Node) -> Option<Vec<Identifier>> {
        let Value::List(items) = &node.value else { return Some(vec![self.identifier(key, node)?]) };
        if items.is_empty() {
            return self.wrong(key, node, "a column, or a list of at least one");
        }
        let mut columns: Vec<Option<Identifier>> = Vec::with_capacity(items.len());
        for item in items {
            let column = self.identifier(key, item);
            if let Some(name) = column.as_ref().filter(|_| columns.contains(&column)) {
                self.report.add(item.at, key, format!("`{name}` is named twice; keep it once"));
                return None;
            }
            columns.push(column);
        }
        columns.into_iter().collect()
    }

    /// `table` and, beside it or before a dot in it, `schema`.
    pub(super) fn table(&mut self, raw: &Raw<'_>) -> Option<TableName> {
        let schema = raw.get("schema").map(|node| self.identifier("schema", node));
        let node = raw.get("table")?;
        let text = self.text("table", node, "a table's name, such as `users` or `billing.invoices`")?;
        match (text.split_once('.'), schema) {
            (Some((before, name)), beside) => {
                let schema = self.named("table", node, before);
                let name = self.named("table", node, name);
                if let (Some(beside), Some(before)) = (beside.flatten(), &schema)
                    && beside != *before
                {
                    let message = format!(
                        "the table is already said to be in `{before}`; remove this, or `{before}.` before the table"
                    );
                    self.report.add(raw.key_at("schema"), "schema", message);
                    return None;
                }
                Some(TableName { schema: schema?, name: name? })
            }
            (None, Some(schema)) => {
                let name = self.named("table", node, text);
                Some(TableName { schema: schema?, name: name? })
            }
            (None, None) => Some(TableName { schema: self.schema.clone(), name: self.named("table", node, text)? }),
        }
    }

    /// A key of the document, in its own case.
    pub(super) fn document_key(&mut self, key: &str, node: &Node) -> Option<String> {
        let text = self.text(
            key,
            node,
            "a document key, such as `fullName`; put a word that YAML takes for a value in quotes",
        )?;
        let name = text.trim();
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic());
        if first && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric()) && name.len() <= Identifier::MAX {
            if name != text {
                self.report.note(
                    node.at,
                    key,
                    format!("`{}` is read without the space around it; write `{name}`", crate::problem::shown(text)),
                );
            }
            return Some(name.to_owned());
        }
        let rule = "document keys are letters, digits and `_`, not beginning with a digit, at most 63";
        self.report.add(node.at, key, format!("`{}` is no document key: {rule}", crate::problem::shown(text)));
        None
    }

    /// `true` or `false`; false when the key is left out.
    pub(super) fn flag(&mut self, raw: &Raw<'_>, key: &str) -> Option<bool> {
        match raw.get(key).map(|node| (node, &node.value)) {
            None => Some(false),
            Some((_, Value::Boolean(value))) => Some(*value),
            Some((node, _)) => self.wrong(key, node, "`true` or `false`"),
        }
    }

    /// A whole number from 1, if the key is there.
    pub(super) fn count(&mut self, raw: &Raw<'_>, key: &str) -> Option<Option<u64>> {
        match raw.get(key).map(|node| (node, &node.value)) {
            None => Some(None),
            Some((_, Value::Number(number, _)))
                if number.as_u64().is_some_and(|count| count >= 1 && i64::try_from(count).is_ok()) =>
            {
                Some(number.as_u64())
            }
            Some((node, _)) => self.wrong(key, node, "a whole number from 1"),
        }
    }

    /// A list of texts, at least one, none twice.
    pub(super) fn texts(&mut self, key: &str, node: &Node) -> Option<Vec<String>> {
        let items = match &node.value {
            Value::List(items) if !items.is_empty() => items,
            _ => return self.wrong(key, node, "a list of at least one text"),
        };
        let mut texts: Vec<String> = Vec::with_capacity(items.len());
        for item in items {
            let text = match &item.value {
                Value::Number(_, text) | Value::Text(text) if !text.is_empty() => text.clone(),
                _ => return self.wrong(key, item, "text; put it in quotes"),
            };
            if texts.contains(&text) {
                self.report.add(
                    item.at,
                    key,
                    format!("`{}` is listed twice; keep it once", crate::problem::shown(&text)),
                );
                return None;
            }
            texts.push(text);
        }
        Some(texts)
    }

    /// One of a key's words.
    pub(super) fn word(&mut self, key: &str, node: &Node, words: &'static [&'static str]) -> Option<&'static str> {
        let text = self.text(key, node, &format!("one of {}", listed(words.iter().copied())))?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let message =
                format!("`{}` is not known here; {}", crate::problem::shown(text), hint(text, words.iter().copied()));
            self.report.add(node.at, key, message);
        }
        found
    }

    /// A type of the language, one of those that the key takes.
    pub(super) fn leaf_type(&mut self, raw: &Raw<'_>, key: &str, siblings: &'static [Sibling]) -> Option<LeafType> {
        let node = raw.get(key)?;
        let allowed = siblings.iter().find(|sibling| sibling.name == key).and_then(|sibling| match sibling.shape {
            Shape::Type(allowed) => Some(allowed),
            _ => None,
        })?;
        let words = allowed.iter().map(|ty| ty.word());
        let text = self.text(key, node, &format!("one of {}", listed(words.clone())))?;
        let found = LeafType::from_word(text);
        match found {
            Some(ty) if allowed.contains(&ty) => return Some(ty),
            Some(_) => {
                self.report.add(node.at, key, format!("`{text}` cannot stand here; it is one of {}", listed(words)));
            }
            None => {
                let message =
                    format!("`{}` is no type that can stand here; {}", crate::problem::shown(text), hint(text, words));
                self.report.add(node.at, key, message);
            }
        }
        None
    }

    /// Mapping properties. What the rest of the field says cannot be said again here.
    pub(super) fn options(&mut self, raw: &Raw<'_>, has_fields: bool) -> Option<BTreeMap<String, serde_json::Value>> {
        let Some(node) = raw.get("options") else { return Some(BTreeMap::new()) };
        let Value::Map(entries) = &node.value else {
            return self.wrong("options", node, "a map of mapping properties, such as `{ analyzer: english }`");
        };
        let mut options = BTreeMap::new();
        for (key, value) in entries {
            let why = match key.text.as_str() {
                "type" => "the field's type key says its type; remove it, or make the field `custom`",
                "properties" if has_fields => "the members stand under `fields`; move it there",
                _ => {
                    options.insert(key.text.clone(), value.to_json());
                    continue;
                }
            };
            self.report.add(key.at, &key.text, why);
            return None;
        }
        Some(options)
    }
}
