//! Aggregates: a table, one way to find its rows, and what is computed over them.

use super::Rules;
use crate::language::{AGGREGATE_THROUGH_KEYS, Op};
use crate::model::{Aggregate, AggregateLink, AggregateOp, Key, LeafType};
use crate::raw::RawField;
use crate::yaml::Value;

impl Rules<'_> {
    pub(super) fn aggregate(&mut self, raw: &RawField<'_>, key: &str, op: Op, row: &Key) -> Option<Aggregate> {
        let table = self.table(&raw.siblings);
        let op = self.op(raw, op);
        let link = self.aggregate_link(raw, key, row);
        let filters = self.filters("filters", raw.siblings.get("filters"));
        Some(Aggregate { table: table?, op: op?, link: link?, filters: filters? })
    }

    fn op(&mut self, raw: &RawField<'_>, op: Op) -> Option<AggregateOp> {
        let siblings = &raw.siblings;
        let column = siblings.get("column").map(|node| self.identifier("column", node));
        let value_type = match op {
            Op::Count | Op::Avg => self.own_type(raw, op).then_some(None),
            _ => siblings.get("value_type").map(|_| self.leaf_type(siblings, "value_type", raw.ty.siblings)),
        };
        Some(match op {
            Op::Count => {
                value_type?;
                AggregateOp::Count
            }
            Op::Avg => {
                value_type?;
                AggregateOp::Avg { column: column?? }
            }
            Op::Sum => AggregateOp::Sum { column: column??, value_type: value_type?? },
            Op::Min => AggregateOp::Min { column: column??, value_type: value_type?? },
            Op::Max => AggregateOp::Max { column: column??, value_type: value_type?? },
            Op::Ids => AggregateOp::Ids { element_type: self.leaf_type(siblings, "element_type", raw.ty.siblings)? },
        })
    }

    /// Whether the type that `count` or `avg` names is one: it is what it is, whatever is written.
    fn own_type(&mut self, raw: &RawField<'_>, op: Op) -> bool {
        let Some(node) = raw.siblings.get("value_type") else { return true };
        let own = if op == Op::Count { LeafType::Long } else { LeafType::Double };
        if let Value::Text(text) = &node.value
            && let Some(written) = LeafType::from_word(text)
        {
            if written != own {
                let message = format!("`{}` is always a `{}`; remove it", raw.ty.name, own.word());
                self.report.note(node.at, "value_type", message);
            }
            return true;
        }
        self.leaf_type(&raw.siblings, "value_type", raw.ty.siblings).is_some()
    }

    fn aggregate_link(&mut self, raw: &RawField<'_>, key: &str, row: &Key) -> Option<AggregateLink> {
        let siblings = &raw.siblings;
        match (siblings.get("foreign_key"), siblings.get("through")) {
            (Some(_), None) => self.foreign_key(siblings, row).map(AggregateLink::ForeignKey),
            (None, Some(_)) => self.through(siblings, row, &[], AGGREGATE_THROUGH_KEYS).map(AggregateLink::Through),
            (Some(_), Some(_)) => {
                let message = "rows are found by `foreign_key` or by `through`, not by both; remove one of the two";
                self.report.add(siblings.key_at("through"), "through", message);
                None
            }
            (None, None) => {
                let message =
                    format!("`{}` needs to know how its rows are found; add `foreign_key` or `through`", raw.ty.name);
                self.report.add(raw.at(), key, message);
                None
            }
        }
    }
}
