//! The JSON Schema (2020-12) of `*.schema.yml`, for editors: written from the table in `language`, so that what editors
//! offer is what the reader takes. Rules over several keys at once, such as keys of equal length, are the reader's alone.

use crate::language::{
    AGGREGATE_THROUGH_KEYS, FILTER, FOLLOW, Family, OPERATORS, ORDER_BY_ITEM, Op, RAW_FILTER, SOFT_DELETE, Shape,
    Sibling, THROUGH_KEYS, TOP, TYPE_KEYS, TypeKey,
};
use serde_json::{Map, Value as Json, json};

/// What [`json_schema`] gives, as text: for those who need it as a constant.
pub const JSON_SCHEMA: &str = include_str!("../index.schema.json");

/// The JSON Schema of one file.
pub fn json_schema() -> Json {
    let mut defs = Map::new();
    defs.insert("identifier".into(), json!({ "type": "string", "pattern": "^[a-z_][a-z0-9_]*$", "maxLength": 63 }));
    defs.insert(
        "table".into(),
        json!({ "type": "string", "pattern": "^([a-z_][a-z0-9_]{0,62}\\.)?[a-z_][a-z0-9_]{0,62}$" }),
    );
    defs.insert(
        "document_key".into(),
        json!({ "type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$", "maxLength": 63 }),
    );
    defs.insert(
        "columns".into(),
        json!({ "anyOf": [
            reference("identifier"),
            { "type": "array", "minItems": 1, "uniqueItems": true, "items": reference("identifier") },
        ] }),
    );
    defs.insert("filter".into(), filter());
    defs.insert("order_by_item".into(), map(ORDER_BY_ITEM));
    defs.insert("through".into(), map(THROUGH_KEYS));
    defs.insert("aggregate_through".into(), map(AGGREGATE_THROUGH_KEYS));
    let mut follow = map(FOLLOW);
    let ways = ["foreign_key", "column", "through"].map(|way| json!({ "required": [way] }));
    put(&mut follow, "oneOf", json!(ways));
    defs.insert("follow".into(), follow);
    let mut soft_delete = map(SOFT_DELETE);
    put(&mut soft_delete, "oneOf", json!([{ "required": ["column"] }, { "required": ["field"] }]));
    defs.insert("soft_delete".into(), soft_delete);
    defs.insert("field".into(), field());
    for key in TYPE_KEYS {
        defs.insert(format!("field_{}", key.name), one_field(key));
    }
    let mut schema = map(TOP);
    put(&mut schema, "$schema", json!("https://json-schema.org/draft/2020-12/schema"));
    put(&mut schema, "title", json!("flusso schema: one document"));
    put(&mut schema, "$defs", Json::Object(defs));
    schema
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn put(schema: &mut Json, key: &str, value: Json) {
    if let Json::Object(members) = schema {
        members.insert(key.to_owned(), value);
    }
}

/// A map of known keys.
fn map(siblings: &[Sibling]) -> Json {
    let properties: Map<_, _> =
        siblings.iter().map(|one| (one.name.to_owned(), described(shape(one.shape), one.about))).collect();
    let required: Vec<_> = siblings.iter().filter(|one| one.required).map(|one| one.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn described(mut schema: Json, about: &str) -> Json {
    put(&mut schema, "description", json!(about));
    schema
}

fn shape(shape: Shape) -> Json {
    match shape {
        Shape::Version => json!({ "const": 1 }),
        Shape::DocumentKey => reference("document_key"),
        Shape::Identifier => reference("identifier"),
        Shape::Columns => reference("columns"),
        Shape::Table => reference("table"),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Count => json!({ "type": "integer", "minimum": 1 }),
        Shape::Text => json!({ "type": "string", "minLength": 1 }),
        Shape::Texts => {
            json!({ "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": ["string", "number"] } })
        }
        Shape::Type(types) => json!({ "enum": types.iter().map(|ty| ty.word()).collect::<Vec<_>>() }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Words(words) => json!({ "type": "array", "items": { "enum": words } }),
        Shape::Options => json!({ "type": "object", "properties": { "type": false } }),
        Shape::Mapping => json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "object", "required": ["type"], "properties": { "type": { "type": "string", "minLength": 1 } } },
        ] }),
        Shape::Scalar => json!({ "type": ["string", "number", "boolean", "null"] }),
        Shape::Any => json!({}),
        Shape::Fields => json!({ "type": "array", "minItems": 1, "items": reference("field") }),
        Shape::Filters => json!({ "type": "array", "items": reference("filter") }),
        Shape::OrderBy => json!({ "type": "array", "items": reference("order_by_item") }),
        Shape::Through => reference("through"),
        Shape::AggregateThrough => reference("aggregate_through"),
        Shape::Follow => json!({ "type": "array", "minItems": 1, "items": reference("follow") }),
        Shape::SoftDelete => reference("soft_delete"),
        Shape::Reserved => json!({ "not": {}, "deprecated": true }),
    }
}

/// Exactly one type key, and beside it what that type takes.
fn field() -> Json {
    let properties: Map<_, _> =
        TYPE_KEYS.iter().map(|key| (key.name.to_owned(), described(reference("document_key"), key.about))).collect();
    let one_of: Vec<_> = TYPE_KEYS.iter().map(|key| json!({ "required": [key.name] })).collect();
    let all_of: Vec<_> = TYPE_KEYS
        .iter()
        .map(|key| json!({ "if": { "required": [key.name] }, "then": reference(&format!("field_{}", key.name)) }))
        .collect();
    json!({ "type": "object", "properties": properties, "oneOf": one_of, "allOf": all_of })
}

fn one_field(key: &TypeKey) -> Json {
    let mut schema = map(key.siblings);
    if let Some(Json::Object(properties)) = schema.get_mut("properties") {
        properties.insert(key.name.to_owned(), described(reference("document_key"), key.about));
        let default = match key.family {
            Family::Scalar(ty) if ty.is_number() => json!({ "type": "number" }),
            Family::Scalar(crate::model::LeafType::Boolean) => json!({ "type": "boolean" }),
            _ => json!({}),
        };
        if matches!(key.family, Family::Object | Family::Join(_))
            && let Some(options) = properties.get_mut("options")
        {
            put(options, "properties", json!({ "type": false, "properties": false }));
        }
        if let Some(known) = properties.get_mut("default")
            && let Some(ty) = default.get("type")
        {
            put(known, "type", json!([ty, "null"]));
        }
    }
    if let Some(Json::Array(required)) = schema.get_mut("required") {
        required.push(json!(key.name));
    }
    match key.family {
        Family::Geo => {
            put(&mut schema, "dependentRequired", json!({ "lat": ["lon"], "lon": ["lat"] }));
            put(&mut schema, "not", json!({ "required": ["lat", "column"] }));
        }
        Family::Aggregate(Op::Count | Op::Avg | Op::Sum | Op::Min | Op::Max | Op::Ids) => {
            put(&mut schema, "oneOf", json!([{ "required": ["foreign_key"] }, { "required": ["through"] }]));
        }
        _ => {}
    }
    schema
}

/// A filter: raw, or an operator with the operands it takes.
fn filter() -> Json {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let cases: Vec<_> = OPERATORS
        .iter()
        .map(|op| {
            let value = match *op {
                "is_null" | "is_not_null" => {
                    return json!({ "properties": { "op": { "const": op }, "value": false } });
                }
                "in" | "not_in" => json!({ "type": "array", "minItems": 1, "items": scalar }),
                "between" => json!({ "type": "array", "minItems": 2, "maxItems": 2, "items": scalar }),
                _ => scalar.clone(),
            };
            json!({ "properties": { "op": { "const": op }, "value": value }, "required": ["value"] })
        })
        .collect();
    let mut compared = map(FILTER);
    put(&mut compared, "oneOf", Json::Array(cases));
    json!({ "if": { "required": ["raw"] }, "then": map(RAW_FILTER), "else": compared })
}
