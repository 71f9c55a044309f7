//! Joins: each found by the key its verb implies, and by no other.

use super::Rules;
use crate::language::{ORDER_BY_ITEM, Sibling, THROUGH_KEYS, Verb, type_key};
use crate::model::{Direction, Field, FieldKind, Identifier, Join, Key, Link, OrderBy, Through};
use crate::raw::{Raw, RawField};
use crate::yaml::{Node, Value};

impl Rules<'_> {
    pub(super) fn join(&mut self, raw: &RawField<'_>, key: &str, verb: Verb, row: &Key) -> Option<Join> {
        let siblings = &raw.siblings;
        let table = self.table(siblings);
        let primary_key = siblings.get("primary_key").and_then(|node| self.columns("primary_key", node));
        let link = self.link(siblings, key, verb, row, primary_key.as_deref());
        let filters = self.filters("filters", siblings.get("filters"));
        let order_by = self.order_by(siblings.get("order_by"));
        let related = primary_key.clone().map_or(Key::FromCatalogue, Key::Declared);
        let fields = siblings.get("fields").and_then(|node| self.fields(node, &related));
        let (table, primary_key, link) = (table?, primary_key?, link?);
        Some(Join { table, primary_key, link, filters: filters?, order_by: order_by?, fields: fields?, hidden: false })
    }

    fn link(
        &mut self,
        siblings: &Raw<'_>,
        key: &str,
        verb: Verb,
        row: &Key,
        related: Option<&[Identifier]>,
    ) -> Option<Link> {
        let nullable = self.flag(siblings, "required").map(|required| !required);
        let limit = self.count(siblings, "limit");
        match verb {
            Verb::BelongsTo => {
                let column = match siblings.get("column") {
                    Some(node) => self.columns("column", node),
                    None => Identifier::folded(key).map(|column| vec![column]),
                }?;
                self.corresponds(
                    siblings,
                    "column",
                    &column,
                    related.unwrap_or(&[]),
                    "the related table's `primary_key`",
                )?;
                let when = self.filters("when", siblings.get("when"))?;
                Some(Link::BelongsTo { column, nullable: nullable?, when })
            }
            Verb::HasOne => {
                let foreign_key = self.foreign_key(siblings, row)?;
                Some(Link::HasOne { foreign_key, nullable: nullable? })
            }
            Verb::HasMany => {
                let foreign_key = self.foreign_key(siblings, row)?;
                Some(Link::HasMany { foreign_key, limit: limit? })
            }
            Verb::ManyToMany => {
                let through = self.through(siblings, row, related.unwrap_or(&[]), THROUGH_KEYS)?;
                self.names_are_free(siblings, &through.fields)?;
                Some(Link::ManyToMany { through, limit: limit? })
            }
        }
    }

    /// `foreign_key`: as many columns as the key of the row at hand.
    pub(super) fn foreign_key(&mut self, siblings: &Raw<'_>, row: &Key) -> Option<Vec<Identifier>> {
        let foreign_key = self.columns("foreign_key", siblings.get("foreign_key")?)?;
        self.corresponds(
            siblings,
            "foreign_key",
            &foreign_key,
            row.columns(),
            "the `primary_key` of the row it points at",
        )?;
        Some(foreign_key)
    }

    /// `through`: each of its keys with as many columns as the key it holds. A junction that names no database schema is
    /// in the root table's.
    pub(super) fn through(
        &mut self,
        siblings: &Raw<'_>,
        row: &Key,
        related: &[Identifier],
        keys: &'static [Sibling],
    ) -> Option<Through> {
        let raw = Raw::read(siblings.get("through")?, "through", keys, self.report)?;
        let table = self.table(&raw);
        let left_key = raw.get("left_key").and_then(|node| self.columns("left_key", node));
        let right_key = raw.get("right_key").and_then(|node| self.columns("right_key", node));
        let (left_key, right_key) = (left_key?, right_key?);
        let left = self.corresponds(&raw, "left_key", &left_key, row.columns(), "the `primary_key` of the row at hand");
        let right = self.corresponds(&raw, "right_key", &right_key, related, "the related table's `primary_key`");
        let filters = self.filters("filters", raw.get("filters"));
        let order_by = self.order_by(raw.get("order_by"));
        let fields = match raw.get("fields") {
            Some(node) => self.junction_fields(&raw, node),
            None => Some(Vec::new()),
        };
        left.and(right)?;
        Some(Through { table: table?, left_key, right_key, filters: filters?, order_by: order_by?, fields: fields? })
    }

    /// The fields of a junction show its columns: what is related to its rows is a join of its own.
    fn junction_fields(&mut self, raw: &Raw<'_>, node: &Node) -> Option<Vec<Field>> {
        fn related(fields: &[Field]) -> Option<&str> {
            fields.iter().find_map(|field| match &field.kind {
                FieldKind::Join(_) | FieldKind::Aggregate(_) => Some(field.key.as_str()),
                FieldKind::Object(members) => related(members),
                _ => None,
            })
        }
        let fields = self.fields(node, &Key::FromCatalogue)?;
        if let Some(key) = related(&fields) {
            let message = format!(
                "`{key}` reads another table, and here stand columns of the junction; for more, join the junction itself (`has_many`)"
            );
            self.report.add(raw.key_at("fields"), "fields", message);
            return None;
        }
        Some(fields)
    }

    /// The fields of the junction stand beside those of the related row.
    fn names_are_free(&mut self, siblings: &Raw<'_>, junction: &[Field]) -> Option<()> {
        let Some(Value::List(items)) = siblings.get("fields").map(|node| &node.value) else { return Some(()) };
        let taken = |key: &str| {
            let named = |item: &Node| match &item.value {
                Value::Map(entries) => entries.iter().any(|(name, value)| {
                    type_key(&name.text).is_some() && matches!(&value.value, Value::Text(text) if text == key)
                }),
                _ => false,
            };
            items.iter().any(named)
        };
        let Some(Field { key, .. }) = junction.iter().find(|field| taken(&field.key)) else { return Some(()) };
        let message = format!(
            "the document key `{key}` is taken by a field of the related row; give one of the two another name"
        );
        self.report.add(siblings.key_at("through"), "through", message);
        None
    }

    /// A key that points at another has as many columns, where the other is known.
    pub(super) fn corresponds(
        &mut self,
        raw: &Raw<'_>,
        key: &str,
        columns: &[Identifier],
        other: &[Identifier],
        name: &str,
    ) -> Option<()> {
        if other.is_empty() || columns.len() == other.len() {
            return Some(());
        }
        let message =
            format!("it has {}, but {name} has {}; name as many, in the same order", counted(columns), counted(other));
        self.report.add(raw.key_at(key), key, message);
        None
    }

    fn order_by(&mut self, node: Option<&Node>) -> Option<Vec<OrderBy>> {
        let Some(node) = node else { return Some(Vec::new()) };
        let Value::List(items) = &node.value else {
            return self.wrong("order_by", node, "a list, such as `- { column: created_at, direction: desc }`");
        };
        let order: Vec<_> = items.iter().map(|item| self.criterion(item)).collect();
        order.into_iter().collect()
    }

    fn criterion(&mut self, node: &Node) -> Option<OrderBy> {
        let raw = Raw::read(node, "order_by", ORDER_BY_ITEM, self.report)?;
        let column = self.identifier("column", raw.get("column")?);
        let direction = match raw.get("direction") {
            Some(node) => self.word("direction", node, &["asc", "desc"])?,
            None => "asc",
        };
        let direction = if direction == "desc" { Direction::Desc } else { Direction::Asc };
        Some(OrderBy { column: column?, direction })
    }
}

fn counted(columns: &[Identifier]) -> String {
    match columns.len() {
        1 => "1 column".to_owned(),
        count => format!("{count} columns"),
    }
}
