//! The hash: which files say the same, and which do not.

use super::{EXAMPLE, schema};
use crate::parse;

const ONE: &str = "version: 1
table: users
primary_key: id
filters:
  - { column: kind, op: in, value: [a, b] }
fields:
  - keyword: email
    options: { normalizer: x, fields: { sort: { type: keyword, order: [1, 2] } } }
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    order_by: [{ column: id }]
    fields:
      - decimal: total
  - count: n
    table: orders
    foreign_key: user_id
";

#[test]
fn the_hash_is_not_an_accident_of_the_build() {
    // A new number here rebuilds every index of every deployment: only for a change of what documents are.
    assert_eq!(schema(ONE).hash(), "c834ae92ee2be693");
}

#[test]
fn comments_formatting_order_of_keys_and_spelled_out_defaults_change_nothing() {
    let other = "# the same
fields:
- {options: {fields: {sort: {order: [1,
       2], type: 'keyword'}}, normalizer: \"x\"}, column: email, required: false, keyword: email}
- fields: [{decimal: total, transforms: }]
  foreign_key: [user_id]
  has_many: orders
  order_by:
    - direction: asc
      column: id
  primary_key: [id]
  table: public.orders
- foreign_key: user_id
  value_type: long
  table: orders
  filters: []
  count: n

filters: [{op: in, value: [a, b], column: kind}]   # of a kind
primary_key: [id]
schema: public
table: users
version: 1
";
    let other = other.replace(", transforms: }", " }");
    assert_eq!(schema(&other).hash(), schema(ONE).hash());
}

#[test]
fn whatever_could_change_a_document_or_its_mapping_changes_the_hash() {
    let hash = schema(ONE).hash();
    for (from, to) in [
        ("table: users", "table: people"),
        ("table: users", "table: users\nschema: shop"),
        ("primary_key: id\nfilters", "primary_key: uid\nfilters"),
        ("primary_key: id\nfilters", "filters"),
        ("primary_key: id\nfilters", "primary_key: id\nsoft_delete: { column: gone }\nfilters"),
        ("op: in", "op: not_in"),
        ("[a, b]", "[a, c]"),
        ("[a, b]", "[a, 1]"),
        ("keyword: email", "text: email"),
        ("keyword: email", "keyword: mail"),
        ("keyword: email", "keyword: email\n    column: mail"),
        ("keyword: email", "keyword: email\n    required: true"),
        ("keyword: email", "keyword: email\n    transforms: [trim]"),
        ("keyword: email", "keyword: email\n    default: x"),
        ("normalizer: x", "normalizer: y"),
        ("order: [1, 2]", "order: [2, 1]"),
        ("has_many", "has_one"),
        ("{ column: id }", "{ column: id, direction: desc }"),
        ("    order_by: [{ column: id }]", "    limit: 3"),
        ("decimal: total", "double: total"),
        ("foreign_key: user_id\n    order", "foreign_key: owner_id\n    order"),
        ("- count: n", "- ids: n\n    element_type: long"),
        ("- decimal: total", "- constant: total\n        value: 1"),
    ] {
        assert!(ONE.contains(from), "{from}");
        assert_ne!(schema(&ONE.replacen(from, to, 1)).hash(), hash, "{from} -> {to}");
    }
}

#[test]
fn every_line_of_the_example_that_can_go_changes_the_hash() {
    let hash = parse(EXAMPLE, "example").unwrap().hash();
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let mut gone = 0;
    for at in 0..lines.len() {
        let line = lines[at].trim();
        // These say what is so anyway, or only name what a column may be checked against.
        let silent = line.is_empty() || line.starts_with('#') || line.starts_with("schema: public");
        let rest: Vec<&str> = lines.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, line)| *line).collect();
        if let Ok(schema) = parse(&rest.join("\n"), "example")
            && !silent
        {
            assert_ne!(schema.hash(), hash, "line {}: {}", at + 1, lines[at]);
            gone += 1;
        }
    }
    assert!(gone > 20, "only {gone} lines could go");
}
