//! Fields: lists of them, and the kinds that read the row at hand.

use super::Rules;
use crate::language::Family;
use crate::model::{Field, FieldKind, Geo, Identifier, Key, MapField};
use crate::raw::{Raw, RawField};
use crate::yaml::{Node, Value};
use std::collections::BTreeMap;

impl Rules<'_> {
    /// A list of fields over a row whose key is `row`: at least one, no document key twice.
    pub(super) fn fields(&mut self, node: &Node, row: &Key) -> Option<Vec<Field>> {
        let items = match &node.value {
            Value::List(items) if !items.is_empty() => items,
            _ => return self.wrong("fields", node, "a list of at least one field, such as `- keyword: email`"),
        };
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut fields = Vec::with_capacity(items.len());
        for item in items {
            let field = RawField::read(item, self.report).and_then(|raw| {
                let key = self.document_key(raw.ty.name, raw.name)?;
                if let Some(line) = lines.get(&key) {
                    let message =
                        format!("this document key is taken by line {line}; give one of the two another name");
                    self.report.add(raw.name.at, &key, message);
                } else {
                    lines.insert(key.clone(), raw.name.at.line);
                }
                self.field(&raw, key, row)
            });
            fields.push(field);
        }
        fields.into_iter().collect()
    }

    fn field(&mut self, raw: &RawField<'_>, key: String, row: &Key) -> Option<Field> {
        let siblings = &raw.siblings;
        let has_fields = matches!(raw.ty.family, Family::Object | Family::Join(_));
        let options = self.options(siblings, has_fields);
        if let Family::Custom = raw.ty.family {
            return self.custom(raw, key, row, options?);
        }
        let kind = match raw.ty.family {
            Family::Scalar(ty) => self.scalar(siblings, &key, ty, row).map(FieldKind::Scalar),
            Family::Object => self.fields(siblings.get("fields")?, row).map(FieldKind::Object),
            Family::Map => self.map(raw, &key).map(FieldKind::Map),
            Family::Geo => self.geo(siblings, &key).map(FieldKind::Geo),
            Family::Constant => self.constant(siblings).map(FieldKind::Constant),
            Family::Join(verb) => self.join(raw, &key, verb, row).map(|join| FieldKind::Join(Box::new(join))),
            Family::Aggregate(op) => self.aggregate(raw, &key, op, row).map(|one| FieldKind::Aggregate(Box::new(one))),
            Family::Custom => None,
        };
        Some(Field { key, kind: kind?, options: options? })
    }

    /// `column`, or the document key as a column: in lower case, as the database folds a name without quotes.
    pub(super) fn column(&mut self, siblings: &Raw<'_>, key: &str) -> Option<Identifier> {
        match siblings.get("column") {
            Some(node) => self.identifier("column", node),
            None => Identifier::folded(key),
        }
    }

    fn map(&mut self, raw: &RawField<'_>, key: &str) -> Option<MapField> {
        let column = self.column(&raw.siblings, key);
        let values = self.leaf_type(&raw.siblings, "values", raw.ty.siblings);
        let required = self.flag(&raw.siblings, "required");
        Some(MapField { column: column?, values: values?, nullable: !required? })
    }

    fn geo(&mut self, siblings: &Raw<'_>, key: &str) -> Option<Geo> {
        let nullable = !self.flag(siblings, "required")?;
        match (siblings.get("lat"), siblings.get("lon"), siblings.get("column")) {
            (Some(lat), Some(lon), None) => {
                let (lat, lon) = (self.identifier("lat", lat), self.identifier("lon", lon));
                Some(Geo::Pair { lat: lat?, lon: lon?, nullable })
            }
            (None, None, _) => Some(Geo::Single { column: self.column(siblings, key)?, nullable }),
            (Some(_), Some(_), Some(_)) => {
                let message = "a point comes from `lat` and `lon` or from one `column`; keep one of the two";
                self.report.add(siblings.key_at("column"), "column", message);
                None
            }
            (lat, ..) => {
                let (there, missing) = if lat.is_some() { ("lat", "lon") } else { ("lon", "lat") };
                let message = format!("a point needs both `lat` and `lon`; add `{missing}`, or write one `column`");
                self.report.add(siblings.key_at(there), there, message);
                None
            }
        }
    }
}
