//! The mapping of the example, line by line.

use super::{EXAMPLE, with_fields};
use crate::{LeafType, MappedField, parse};

fn line(field: &MappedField) -> String {
    let marks = [(field.nullable, " null"), (field.array, " list")];
    let marks: String = marks.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
    let options = if field.options == "{}" { String::new() } else { format!(" {}", field.options) };
    let variants = field.variants.as_ref().map(|all| format!(" variants {}", all.join(","))).unwrap_or_default();
    let values = field.map_values.as_ref().map(|ty| format!(" values {ty}")).unwrap_or_default();
    format!("{} {}{marks}{options}{variants}{values}", field.path, field.ty)
}

#[test]
fn the_mapping_names_every_place_of_the_document() {
    let mapping = parse(EXAMPLE, "example.schema.yml").unwrap().mapping();
    let lines: Vec<String> = mapping.iter().map(line).collect();
    let expected = r#"id long
email keyword
fullName text null {"analyzer":"english"}
customerNo identifier null
tier enum variants free,paid,gold
publicId uuid null
active boolean null
logins short null
points integer null
weight float null
score double null
balance decimal null
born date null
createdAt timestamp null
avatar binary null
settings json null
rating scaled_float null {"scaling_factor":100}
account object
account.country keyword null
account.source keyword
title object null {"dynamic":true} values text
location geo_point null
home geo_point null
company object
company.name text null
profile object null
profile.bio text null
orders nested list
orders.total decimal
orders.items nested list
orders.items.quantity integer null
orders.items.product object null
orders.items.product.sku keyword null
tags nested list
tags.name keyword null
orderCount long
revenue decimal null
averageOrder double null
firstOrder timestamp null
lastOrder timestamp null
tagIds long list"#;
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn constants_are_mapped_by_their_value() {
    let schema = with_fields("  - constant: a\n    value: { x: [1, 2], y: { z: text } }\n  - constant: b\n");
    let lines: Vec<String> = schema.mapping().iter().map(line).collect();
    assert_eq!(lines, ["a object", "a.x long list", "a.y object", "a.y.z keyword", "b keyword null"]);
}

#[test]
fn a_map_says_itself_whether_it_is_dynamic() {
    let schema = with_fields("  - map: a\n    values: keyword\n    options: { dynamic: strict }\n");
    assert_eq!(line(&schema.mapping()[0]), r#"a object null {"dynamic":"strict"} values keyword"#);
}

#[test]
fn every_type_has_the_mapping_of_the_manual() {
    let found: Vec<_> = LeafType::ALL.iter().map(|ty| ty.opensearch()).collect();
    let expected = [
        "text", "text", "keyword", "keyword", "keyword", "boolean", "short", "integer", "long", "float", "double",
        "double", "date", "date", "binary", "object",
    ];
    assert_eq!(found, expected);
}
