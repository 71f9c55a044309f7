//! Constants: any value, as long as a mapping can be told from it.

use super::Rules;
use crate::plan::constant_type;
use crate::raw::Raw;
use serde_json::Value as Json;

impl Rules<'_> {
    pub(super) fn constant(&mut self, siblings: &Raw<'_>) -> Option<Json> {
        let Some(node) = siblings.get("value") else { return Some(Json::Null) };
        let value = node.to_json();
        if constant_type(&value).is_none() {
            let message = "the elements of a constant list have to be of one type, and not lists; make them alike";
            self.report.add(node.at, "value", message);
            return None;
        }
        Some(value)
    }
}
