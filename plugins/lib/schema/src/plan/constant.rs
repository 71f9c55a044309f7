//! The mapping of a constant, told from its value.

use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What a constant looks like to a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inferred {
    pub(crate) ty: &'static str,
    pub(crate) nullable: bool,
    pub(crate) array: bool,
    pub(crate) children: BTreeMap<String, Inferred>,
}

/// The type of a constant; `None` when its parts do not agree on one. Text is a keyword, and so is what holds nothing.
pub(crate) fn constant_type(value: &Json) -> Option<Inferred> {
    infer(&[value])
}

fn infer(values: &[&Json]) -> Option<Inferred> {
    let array = values.iter().any(|value| value.is_array());
    let nullable = values.iter().any(|value| value.is_null());
    let mut leaves: Vec<&Json> = Vec::new();
    for value in values {
        match value {
            Json::Array(items) => leaves.extend(items),
            other => leaves.push(other),
        }
    }
    leaves.retain(|leaf| !leaf.is_null());
    let all = |is: fn(&Json) -> bool| leaves.iter().all(|leaf| is(leaf));
    let mut children = BTreeMap::new();
    let ty = if all(Json::is_string) {
        "keyword"
    } else if all(Json::is_boolean) {
        "boolean"
    } else if all(Json::is_i64) {
        "long"
    } else if all(Json::is_number) {
        "double"
    } else if all(Json::is_object) {
        children = members(&leaves)?;
        "object"
    } else {
        return None;
    };
    Some(Inferred { ty, nullable, array, children })
}

fn members(objects: &[&Json]) -> Option<BTreeMap<String, Inferred>> {
    let mut values: BTreeMap<&String, Vec<&Json>> = BTreeMap::new();
    for (key, value) in objects.iter().filter_map(|object| object.as_object()).flatten() {
        values.entry(key).or_default().push(value);
    }
    let mut members = BTreeMap::new();
    for (key, values) in values {
        let mut member = infer(&values)?;
        member.nullable |= values.len() < objects.len();
        members.insert(key.clone(), member);
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_type_of_a_constant_is_that_of_its_value() {
        for (value, ty, array, nullable) in [
            (json!("crm"), "keyword", false, false),
            (json!(null), "keyword", false, true),
            (json!(true), "boolean", false, false),
            (json!(1), "long", false, false),
            (json!(1.5), "double", false, false),
            (json!([1, 1.5]), "double", true, false),
            (json!([]), "keyword", true, false),
            (json!({"a": 1}), "object", false, false),
            (json!([{"a": 1}, {"b": "x"}]), "object", true, false),
        ] {
            let found = constant_type(&value).unwrap();
            assert_eq!((found.ty, found.array, found.nullable), (ty, array, nullable), "{value}");
        }
        assert_eq!(constant_type(&json!([1, "a"])), None);
        assert_eq!(constant_type(&json!([[1]])), None);
        assert_eq!(constant_type(&json!({"a": [1, true]})), None);
        let both = constant_type(&json!([{"a": 1}, {"b": "x"}])).unwrap();
        assert!(both.children.get("a").unwrap().nullable, "the second object has no `a`");
    }
}
