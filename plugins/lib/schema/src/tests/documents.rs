//! What a valid file becomes: defaults filled in, names resolved.

use super::{EXAMPLE, schema, with_fields};
use crate::{
    AggregateLink, Comparison, Direction, FieldKind, Filter, Geo, Identifier, Join, Key, Link, Literal, Scalar,
    ScalarType, Schema, SoftDelete, Transform, parse,
};
use serde_json::json;

fn id(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

fn scalar(schema: &Schema, at: usize) -> &Scalar {
    match &schema.fields[at].kind {
        FieldKind::Scalar(scalar) => scalar,
        other => panic!("{other:?}"),
    }
}

fn join(schema: &Schema, at: usize) -> &Join {
    match &schema.fields[at].kind {
        FieldKind::Join(join) => join,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_schema_is_public_unless_it_says_otherwise_and_its_joins_follow() {
    let text = |top: &str, join: &str| {
        format!(
            "version: 1\n{top}\nfields:\n  - has_many: a\n    primary_key: id\n    foreign_key: b\n    fields: [{{ long: id }}]\n{join}\n"
        )
    };
    for (top, related, root_name, join_name) in [
        ("table: users", "    table: orders", "public.users", "public.orders"),
        ("table: users\nschema: shop", "    table: orders", "shop.users", "shop.orders"),
        ("table: shop.users", "    table: orders", "shop.users", "shop.orders"),
        ("table: shop.users\nschema: shop", "    table: crm.orders", "shop.users", "crm.orders"),
        ("table: users", "    table: orders\n    schema: crm", "public.users", "crm.orders"),
    ] {
        let schema = schema(&text(top, related));
        assert_eq!(
            (schema.table.to_string(), join(&schema, 0).table.to_string()),
            (root_name.into(), join_name.into())
        );
    }
}

#[test]
fn a_junction_is_in_the_root_tables_schema_unless_it_says_otherwise() {
    let text = "  - many_to_many: tags\n    table: crm.tags\n    primary_key: id\n    fields: [{ long: id }]\n    through: { table: user_tags, left_key: a, right_key: b }\n";
    match &join(&with_fields(text), 0).link {
        Link::ManyToMany { through, limit: None } => assert_eq!(through.table.to_string(), "public.user_tags"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_column_is_the_document_key_in_lower_case_if_left_out() {
    let schema = with_fields(
        "  - keyword: eMail\n  - map: Titles\n    values: text\n  - belongs_to: Owner\n    table: users\n    primary_key: id\n    fields: [{ long: id }]\n",
    );
    assert_eq!(schema.fields[0].key, "eMail");
    assert_eq!(scalar(&schema, 0).column, id("email"));
    assert!(matches!(&schema.fields[1].kind, FieldKind::Map(map) if map.column == id("titles") && map.nullable));
    assert_eq!(join(&schema, 2).link, Link::BelongsTo { column: vec![id("owner")], nullable: true, when: Vec::new() });
}

#[test]
fn a_key_left_out_is_the_catalogues_and_one_column_is_a_list_of_one() {
    assert_eq!(schema("version: 1\ntable: a\nfields: [{ long: id }]\n").primary_key, Key::FromCatalogue);
    assert_eq!(with_fields("  - long: id\n").primary_key, Key::Declared(vec![id("id")]));
    let composite = schema("version: 1\ntable: a\nprimary_key: [x, y]\nfields: [{ long: y }, { long: z }]\n");
    assert_eq!(composite.primary_key, Key::Declared(vec![id("x"), id("y")]));
    assert!(!scalar(&composite, 0).nullable);
    assert!(scalar(&composite, 1).nullable);
}

#[test]
fn a_field_is_nullable_unless_it_is_required_reads_the_key_or_has_a_default() {
    let schema = with_fields(
        "  - keyword: a\n  - keyword: b\n    required: true\n  - keyword: c\n    column: id\n    required: false\n  - keyword: d\n    default: x\n  - keyword: e\n    default:\n",
    );
    let nullable: Vec<bool> = (0..5).map(|at| scalar(&schema, at).nullable).collect();
    assert_eq!(nullable, [true, false, false, false, true]);
}

#[test]
fn the_key_of_a_related_table_is_never_null_within_objects_too() {
    let schema = with_fields(
        "  - has_one: p\n    table: profiles\n    primary_key: user_id\n    foreign_key: user_id\n    fields:\n      - object: o\n        fields: [{ long: user_id }, { long: id }]\n",
    );
    let FieldKind::Object(members) = &join(&schema, 0).fields[0].kind else { panic!() };
    let nullable: Vec<_> =
        members.iter().map(|one| matches!(&one.kind, FieldKind::Scalar(one) if one.nullable)).collect();
    assert_eq!(nullable, [false, true]);
}

#[test]
fn defaults_take_the_type_of_their_field() {
    let schema = with_fields(
        "  - keyword: a\n    default: 007\n  - text: b\n    default: 1.50\n  - short: c\n    default: 7\n  - boolean: d\n    default: false\n  - date: e\n    default: 2024-01-31\n  - timestamp: f\n    default: 2024-01-31T12:00:00Z\n  - uuid: g\n    default: 6F9619FF-8B86-D011-B42D-00CF4FC964FF\n  - custom: h\n    postgres: [int4]\n    opensearch: integer\n    default: 5\n",
    );
    let defaults: Vec<_> = (0..8).map(|at| scalar(&schema, at).default.clone()).collect();
    assert_eq!(
        defaults,
        [
            json!("007"),
            json!("1.50"),
            json!(7),
            json!(false),
            json!("2024-01-31"),
            json!("2024-01-31T12:00:00Z"),
            json!("6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
            json!(5)
        ]
    );
}

#[test]
fn custom_takes_a_name_or_a_mapping() {
    for opensearch in
        ["scaled_float\n    options: { scaling_factor: 100 }", "{ type: scaled_float, scaling_factor: 100 }"]
    {
        let schema =
            with_fields(&format!("  - custom: price\n    postgres: [numeric]\n    opensearch: {opensearch}\n"));
        let ty = ScalarType::Custom { postgres: vec!["numeric".into()], opensearch: "scaled_float".into() };
        assert_eq!(scalar(&schema, 0).ty, ty);
        assert_eq!(schema.fields[0].options.get("scaling_factor"), Some(&json!(100)));
    }
}

#[test]
fn the_example_becomes_what_its_comments_say() {
    let schema = parse(EXAMPLE, "example.schema.yml").unwrap();
    let when = vec![Filter::Compare { column: id("legal_hold"), op: Comparison::Eq, value: Literal::Boolean(false) }];
    assert_eq!(schema.soft_delete, SoftDelete::Marked { column: id("deleted_at"), when });
    assert_eq!(schema.filters.len(), 3);
    assert_eq!(schema.filters[2], Filter::Raw("length(email) > 3".into()));
    assert_eq!(scalar(&schema, 1).transforms, [Transform::Trim, Transform::Lowercase]);
    assert_eq!(scalar(&schema, 4).ty, ScalarType::Ranked(vec!["free".into(), "paid".into(), "gold".into()]));
    let named = |key: &str| schema.fields.iter().position(|field| field.key == key).unwrap();
    assert_eq!(
        schema.fields[named("location")].kind,
        FieldKind::Geo(Geo::Pair { lat: id("latitude"), lon: id("longitude"), nullable: true })
    );
    assert!(!join(&schema, named("company")).nullable());
    let orders = join(&schema, named("orders"));
    assert!(orders.is_to_many());
    assert_eq!(orders.link, Link::HasMany { foreign_key: vec![id("user_id")], limit: Some(10) });
    assert_eq!(orders.order_by[1].direction, Direction::Asc);
    let (low, high) = (Literal::Text("2020-01-01".into()), Literal::Text("2030-01-01".into()));
    assert_eq!(orders.filters[1], Filter::Between { column: id("placed_at"), low, high });
    let FieldKind::Aggregate(ids) = &schema.fields[named("tagIds")].kind else { panic!() };
    assert!(matches!(ids.link, AggregateLink::Through(_)) && !ids.op.nullable());
}

#[test]
fn the_field_of_soft_delete_is_traced_to_its_column() {
    let schema =
        schema("version: 1\ntable: a\nsoft_delete: { field: gone }\nfields:\n  - boolean: gone\n    column: is_gone\n");
    assert_eq!(schema.soft_delete, SoftDelete::Marked { column: id("is_gone"), when: Vec::new() });
}

#[test]
fn digits_in_filters_stay_as_they_were_written() {
    let schema = schema(
        "version: 1\ntable: a\nfilters: [{ column: a, op: in, value: [1.50, 007, 0x10, -2, 12345678901234567890123] }]\nfields: [{ long: id }]\n",
    );
    let Filter::In { values, .. } = &schema.filters[0] else { panic!() };
    let written: Vec<_> = values.iter().map(ToString::to_string).collect();
    assert_eq!(written, ["1.50", "007", "16", "-2", "12345678901234567890123"]);
}

#[test]
fn aliases_stand_for_what_they_refer_to() {
    let schema = schema(
        "version: 1\ntable: a\nfilters: &live\n  - { column: gone, op: is_null }\nfields:\n  - count: n\n    table: b\n    foreign_key: a_id\n    filters: *live\n",
    );
    let FieldKind::Aggregate(count) = &schema.fields[0].kind else { panic!() };
    assert_eq!(count.filters, schema.filters);
}

#[test]
fn a_key_with_nothing_behind_it_counts_as_left_out() {
    let schema = schema(
        "version: 1\ntable: a\nprimary_key:\nfilters:\nfields:\n  - keyword: a\n    column:\n    transforms: ~\n",
    );
    assert_eq!(schema.primary_key, Key::FromCatalogue);
    assert_eq!(scalar(&schema, 0).column, id("a"));
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_move_nothing() {
    let text = "\u{feff}version: 1\r\ntable: users\r\nfields:\r\n  - keyword: email\r\n    requird: true\r\n";
    let said = parse(text, "f.yml").unwrap_err().to_string();
    assert_eq!(said, "f.yml:5:5: requird: unknown key of `keyword`; did you mean `required`?");
    assert_eq!(
        schema(&text.replace("requird", "required")).hash(),
        schema("version: 1\ntable: users\nfields: [{ keyword: email, required: true }]").hash()
    );
}
