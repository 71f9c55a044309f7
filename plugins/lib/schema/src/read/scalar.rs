//! Scalars: values read from one column, their defaults, and types the language does not have.

use super::Rules;
use crate::language::Shape;
use crate::model::{Field, FieldKind, Key, LeafType, Scalar, ScalarType, Transform};
use crate::raw::{Raw, RawField};
use crate::yaml::{Node, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;

impl Rules<'_> {
    pub(super) fn scalar(&mut self, siblings: &Raw<'_>, key: &str, ty: LeafType, row: &Key) -> Option<Scalar> {
        let default = match siblings.get("default") {
            Some(node) => self.default(node, ty),
            None => Some(Json::Null),
        };
        let ty = match siblings.get("variants") {
            Some(node) if !matches!(&node.value, Value::List(items) if items.is_empty()) => {
                self.texts("variants", node).map(ScalarType::Ranked)
            }
            _ => Some(ScalarType::Leaf(ty)),
        };
        self.read_column(siblings, key, ty, default, row)
    }

    pub(super) fn custom(
        &mut self,
        raw: &RawField<'_>,
        key: String,
        row: &Key,
        mut options: BTreeMap<String, Json>,
    ) -> Option<Field> {
        let default = match raw.siblings.get("default") {
            Some(node) => self.any_scalar(node),
            None => Some(Json::Null),
        };
        let postgres = raw.siblings.get("postgres").and_then(|node| self.texts("postgres", node));
        let opensearch = raw.siblings.get("opensearch").and_then(|node| self.mapping(node, &mut options));
        let ty = postgres.zip(opensearch).map(|(postgres, opensearch)| ScalarType::Custom { postgres, opensearch });
        let scalar = self.read_column(&raw.siblings, &key, ty, default, row)?;
        Some(Field { key, kind: FieldKind::Scalar(scalar), options })
    }

    fn read_column(
        &mut self,
        siblings: &Raw<'_>,
        key: &str,
        ty: Option<ScalarType>,
        default: Option<Json>,
        row: &Key,
    ) -> Option<Scalar> {
        let column = self.column(siblings, key);
        let required = self.flag(siblings, "required");
        let transforms = match siblings.get("transforms") {
            Some(node) => self.transforms(node),
            None => Some(Vec::new()),
        };
        let (column, default) = (column?, default?);
        let nullable = !required? && default.is_null() && !row.columns().contains(&column);
        Some(Scalar { column, ty: ty?, nullable, transforms: transforms?, default })
    }

    fn transforms(&mut self, node: &Node) -> Option<Vec<Transform>> {
        let Value::List(items) = &node.value else {
            return self.wrong("transforms", node, "a list, such as `[trim, lowercase]`");
        };
        let words = match crate::language::type_key("text")?
            .siblings
            .iter()
            .find(|sibling| sibling.name == "transforms")?
            .shape
        {
            Shape::Words(words) => words,
            _ => return None,
        };
        let mut transforms = Vec::with_capacity(items.len());
        for item in items {
            transforms.push(match self.word("transforms", item, words)? {
                "lowercase" => Transform::Lowercase,
                _ => Transform::Trim,
            });
        }
        Some(transforms)
    }

    /// `opensearch:` of a custom field: the name of a type, or a mapping with `type`, whose other properties are options.
    fn mapping(&mut self, node: &Node, options: &mut BTreeMap<String, Json>) -> Option<String> {
        let should = "the name of a mapping type, such as `scaled_float`, or a map with `type`";
        let Value::Map(entries) = &node.value else { return self.text("opensearch", node, should).map(str::to_owned) };
        let mut ty = None;
        for (key, value) in entries {
            if key.text == "type" {
                ty = Some(self.text("type", value, "the name of a mapping type, such as `scaled_float`")?);
            } else if options.insert(key.text.clone(), value.to_json()).is_some() {
                self.report.add(key.at, &key.text, "this property stands in `options` too; keep one of the two");
                return None;
            }
        }
        match ty {
            Some(ty) => Some(ty.to_owned()),
            None => self.wrong("opensearch", node, should),
        }
    }

    /// A default must be a value the type can hold, or every document that needs it would be refused by the sink.
    fn default(&mut self, node: &Node, ty: LeafType) -> Option<Json> {
        let (value, should) = match ty {
            LeafType::Text | LeafType::Identifier | LeafType::Keyword | LeafType::Enum => {
                (written(node).map(Json::String), "text")
            }
            LeafType::Uuid => {
                (written(node).filter(|text| is_uuid(text)).map(|text| Json::String(text.to_lowercase())), "a uuid")
            }
            LeafType::Boolean => (boolean(node), "`true` or `false`"),
            LeafType::Short => (whole(node, i16::MIN.into(), i16::MAX.into()), "a whole number of 16 bits"),
            LeafType::Integer => (whole(node, i32::MIN.into(), i32::MAX.into()), "a whole number of 32 bits"),
            LeafType::Long => (whole(node, i64::MIN, i64::MAX), "a whole number of 64 bits"),
            LeafType::Float | LeafType::Double | LeafType::Decimal => (number(node), "a number"),
            LeafType::Date => {
                (written(node).filter(|text| is_date(text)).map(Json::String), "a date, such as `2024-01-31`")
            }
            LeafType::Timestamp => {
                let moment = |text: &String| {
                    text.get(..10).is_some_and(is_date) && matches!(text.as_bytes().get(10), None | Some(b'T' | b' '))
                };
                (written(node).filter(moment).map(Json::String), "a moment, such as `2024-01-31T12:00:00Z`")
            }
            LeafType::Json => return self.any_scalar(node),
            LeafType::Binary => (None, "left out"),
        };
        match value {
            Some(value) => Some(value),
            None => self.wrong("default", node, &format!("{should}, as `{}` holds", ty.word())),
        }
    }

    fn any_scalar(&mut self, node: &Node) -> Option<Json> {
        match node.value {
            Value::List(_) | Value::Map(_) => self.wrong("default", node, "text, a number or a boolean"),
            _ => Some(node.to_json()),
        }
    }
}

/// A scalar as it was written: what a text holds.
fn written(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Number(_, text) => Some(text.clone()),
        Value::Boolean(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// A number of this range, in quotes or not.
fn whole(node: &Node, least: i64, most: i64) -> Option<Json> {
    let value = match &node.value {
        Value::Number(number, _) => number.as_i64(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    value.filter(|value| (least..=most).contains(value)).map(Json::from)
}

/// A number, in quotes or not.
fn number(node: &Node) -> Option<Json> {
    match &node.value {
        Value::Number(number, _) => Some(Json::Number(number.clone())),
        Value::Text(text) => text.trim().parse().ok().map(Json::Number),
        _ => None,
    }
}

/// `true` or `false`, in quotes or not.
fn boolean(node: &Node) -> Option<Json> {
    match written(node)?.trim() {
        "true" => Some(Json::Bool(true)),
        "false" => Some(Json::Bool(false)),
        _ => None,
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if matches!(at, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}

fn is_date(text: impl AsRef<str>) -> bool {
    let mut parts = text.as_ref().split('-');
    let mut part = |len: usize, most: u32| {
        let part = parts.next().filter(|part| part.len() == len && part.bytes().all(|b| b.is_ascii_digit()));
        part.and_then(|part| part.parse::<u32>().ok()).is_some_and(|value| value <= most && (len == 4 || value >= 1))
    };
    part(4, 9999) && part(2, 12) && part(2, 31) && parts.next().is_none()
}
