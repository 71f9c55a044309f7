//! Filters, each operator with the operands it takes.

use super::Rules;
use crate::language::{FILTER, OPERATORS, RAW_FILTER};
use crate::model::{Comparison, Filter, Identifier, Literal};
use crate::raw::Raw;
use crate::yaml::{Node, Value};

impl Rules<'_> {
    /// A list of filters; none when the key is left out.
    pub(super) fn filters(&mut self, key: &str, node: Option<&Node>) -> Option<Vec<Filter>> {
        let Some(node) = node else { return Some(Vec::new()) };
        let Value::List(items) = &node.value else {
            return self.wrong(key, node, "a list of filters, such as `- { column: status, op: eq, value: paid }`");
        };
        let filters: Vec<_> = items.iter().map(|item| self.filter(key, item)).collect();
        filters.into_iter().collect()
    }

    fn filter(&mut self, key: &str, node: &Node) -> Option<Filter> {
        if let Value::Map(entries) = &node.value
            && entries.iter().any(|(key, _)| key.text == "raw")
        {
            if let Some((beside, _)) = entries.iter().find(|(key, _)| key.text != "raw") {
                let message = "a raw condition stands alone; remove this, or make it a filter of its own";
                self.report.add(beside.at, &beside.text, message);
                return None;
            }
            let raw = Raw::read(node, key, RAW_FILTER, self.report)?;
            let sql = self.text("raw", raw.get("raw")?, "a condition in SQL")?;
            return Some(Filter::Raw(sql.trim().to_owned()));
        }
        let raw = Raw::read(node, key, FILTER, self.report)?;
        let column = raw.get("column").and_then(|node| self.identifier("column", node));
        let op = raw.get("op").and_then(|node| self.word("op", node, OPERATORS));
        self.operands(&raw, column?, op?)
    }

    fn operands(&mut self, raw: &Raw<'_>, column: Identifier, op: &'static str) -> Option<Filter> {
        let comparison = match op {
            "is_null" | "is_not_null" => {
                if raw.get("value").is_some() {
                    let message = format!("`{op}` compares with nothing; remove `value`");
                    self.report.add(raw.key_at("value"), "value", message);
                    return None;
                }
                return Some(if op == "is_null" { Filter::IsNull { column } } else { Filter::IsNotNull { column } });
            }
            "in" | "not_in" => {
                let values = self.literals(raw, op)?;
                return Some(if op == "in" { Filter::In { column, values } } else { Filter::NotIn { column, values } });
            }
            "between" => {
                let values = self.literals(raw, op)?;
                let [low, high]: [Literal; 2] = values.try_into().ok()?;
                return Some(Filter::Between { column, low, high });
            }
            "eq" => Comparison::Eq,
            "neq" => Comparison::Neq,
            "lt" => Comparison::Lt,
            "lte" => Comparison::Lte,
            "gt" => Comparison::Gt,
            "gte" => Comparison::Gte,
            "like" => Comparison::Like,
            _ => Comparison::Ilike,
        };
        let node = self.operand(raw, op, "one value")?;
        if let Value::List(_) = node.value {
            return self.wrong("value", node, &format!("one value, as `{op}` takes; for a list write `op: in`"));
        }
        Some(Filter::Compare { column, op: comparison, value: self.literal(node)? })
    }

    fn operand<'n>(&mut self, raw: &Raw<'n>, op: &str, takes: &str) -> Option<&'n Node> {
        let node = raw.get("value");
        if node.is_none() {
            self.report.add(raw.at, "value", format!("`value` is missing; `{op}` takes {takes}"));
        }
        node
    }

    /// The list of `in` and `not_in`, at least one; of `between`, exactly two.
    fn literals(&mut self, raw: &Raw<'_>, op: &str) -> Option<Vec<Literal>> {
        let takes =
            if op == "between" { "a list of two values, the lower first" } else { "a list of at least one value" };
        let node = self.operand(raw, op, takes)?;
        match &node.value {
            Value::List(items) if (op == "between" && items.len() == 2) || (op != "between" && !items.is_empty()) => {
                let literals: Vec<_> = items.iter().map(|item| self.literal(item)).collect();
                literals.into_iter().collect()
            }
            Value::List(items) => {
                let message = format!("this is a list of {}, but `{op}` takes {takes}", items.len());
                self.report.add(node.at, "value", message);
                None
            }
            _ => self.wrong("value", node, &format!("{takes}, as `{op}` takes")),
        }
    }

    fn literal(&mut self, node: &Node) -> Option<Literal> {
        match &node.value {
            Value::Boolean(value) => Some(Literal::Boolean(*value)),
            Value::Number(_, text) => Some(Literal::Number(text.clone())),
            Value::Text(text) => Some(Literal::Text(text.clone())),
            Value::Null => {
                self.report.add(node.at, "value", "nothing equals null; write `op: is_null` or `op: is_not_null`");
                None
            }
            Value::List(_) | Value::Map(_) => self.wrong("value", node, "text, a number or a boolean"),
        }
    }
}
