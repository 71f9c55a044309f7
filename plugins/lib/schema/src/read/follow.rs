//! `follow`: tables whose changes build documents anew although nothing of them is in the documents. Each is found as a join
//! is: by `foreign_key` (it points at the row above), by `column` (the row above points at it) or by `through`.

use super::Rules;
use crate::language::{AGGREGATE_THROUGH_KEYS, FOLLOW};
use crate::model::{Field, FieldKind, Identifier, Join, Key, Link};
use crate::raw::Raw;
use crate::yaml::{Node, Value};
use std::collections::BTreeMap;

impl Rules<'_> {
    /// The entries over a row whose key is `row`, as joins that are hidden.
    pub(super) fn follow(&mut self, place: &str, node: Option<&Node>, row: &Key) -> Option<Vec<Field>> {
        let Some(node) = node else { return Some(Vec::new()) };
        let items = match &node.value {
            Value::List(items) if !items.is_empty() => items,
            _ => {
                return self.wrong(
                    "follow",
                    node,
                    "a list of at least one table, such as `- { table: orders, primary_key: id, foreign_key: user_id }`",
                );
            }
        };
        let entries: Vec<_> = (0..)
            .zip(items)
            .map(|(number, item): (u32, _)| {
                let key = format!("{place}follow[{number}]");
                let join = self.followed(&key, item, row)?;
                Some(Field { key, kind: FieldKind::Join(Box::new(join)), options: BTreeMap::new() })
            })
            .collect();
        entries.into_iter().collect()
    }

    fn followed(&mut self, place: &str, node: &Node, row: &Key) -> Option<Join> {
        let raw = Raw::read(node, "follow", FOLLOW, self.report)?;
        let table = self.table(&raw);
        let primary_key = raw.get("primary_key").and_then(|node| self.columns("primary_key", node));
        let link = self.followed_link(place, &raw, row, primary_key.as_deref().unwrap_or(&[]));
        let key = primary_key.clone().map_or(Key::FromCatalogue, Key::Declared);
        let fields = self.follow("", raw.get("follow"), &key);
        let (filters, order_by) = (Vec::new(), Vec::new());
        Some(Join {
            table: table?,
            primary_key: primary_key?,
            link: link?,
            filters,
            order_by,
            fields: fields?,
            hidden: true,
        })
    }

    fn followed_link(&mut self, place: &str, raw: &Raw<'_>, row: &Key, related: &[Identifier]) -> Option<Link> {
        match (raw.get("foreign_key"), raw.get("column"), raw.get("through")) {
            (Some(_), None, None) => Some(Link::HasMany { foreign_key: self.foreign_key(raw, row)?, limit: None }),
            (None, Some(column), None) => {
                let column = self.columns("column", column)?;
                self.corresponds(raw, "column", &column, related, "the table's `primary_key`")?;
                Some(Link::BelongsTo { column, nullable: true, when: Vec::new() })
            }
            (None, None, Some(_)) => Some(Link::ManyToMany {
                through: self.through(raw, row, related, AGGREGATE_THROUGH_KEYS)?,
                limit: None,
            }),
            _ => {
                let message = "a table is followed by exactly one of `foreign_key` (its column that holds the key of the row above), `column` (the column of the row above that holds its key) and `through` (a junction)";
                self.report.add(raw.at, place, message);
                None
            }
        }
    }
}
