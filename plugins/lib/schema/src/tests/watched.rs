//! What a source has to watch, and the ways from its rows back to documents.

use super::{schema, with_fields};
use crate::{Hop, Key, Reads, TableRef, TableUse, tables};

const SHOP: &str = "  - belongs_to: company
    column: company_id
    table: companies
    primary_key: id
    fields: [{ text: name }]
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    filters: [{ column: status, op: eq, value: paid }]
    order_by: [{ column: placed_at }]
    fields:
      - object: sums
        fields: [{ decimal: total }]
      - has_many: items
        table: order_items
        primary_key: [order_id, line]
        foreign_key: order_id
        fields: [{ integer: quantity }]
  - many_to_many: tags
    table: tags
    primary_key: id
    through: { table: user_tags, left_key: user_id, right_key: tag_id }
    fields: [{ keyword: name }]
  - sum: spent
    table: orders
    foreign_key: user_id
    column: total
    value_type: decimal
  - ids: tagIds
    table: labels
    through: { table: user_labels, left_key: user_id, right_key: label_id }
    element_type: long
";

fn columns(key: &Key) -> String {
    match key {
        Key::Declared(columns) => columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        Key::FromCatalogue => "?".into(),
    }
}

fn watched(table: &TableUse) -> String {
    let list = |columns: &std::collections::BTreeSet<crate::Identifier>| {
        columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let reads = match &table.reads {
        Reads::Columns(columns) => list(columns),
        Reads::Every => "*".into(),
    };
    format!("{} key {} links {} reads {}", table.table, columns(&table.key), list(&table.links), reads)
}

fn way(place: &TableRef) -> String {
    let hop = |hop: &Hop| format!(" {} = {}.{}", columns(&hop.from), hop.to.name, columns(&hop.by));
    let hops: String = place.hops.iter().map(hop).collect::<Vec<_>>().join(" >");
    format!("{} {:?} `{}`:{hops}", place.table.name, place.role, place.path)
}

#[test]
fn every_table_is_watched_with_the_columns_that_matter() {
    let found: Vec<String> = tables([&with_fields(SHOP)]).iter().map(watched).collect();
    assert_eq!(
        found,
        [
            "public.users key id links  reads company_id,id",
            "public.companies key id links id reads name",
            "public.orders key id links user_id reads id,placed_at,status,total",
            "public.order_items key order_id,line links order_id reads line,quantity",
            "public.tags key id links id reads name",
            "public.user_tags key ? links user_id reads tag_id",
            "public.user_labels key ? links user_id reads label_id",
            "public.labels key ? links  reads ",
        ]
    );
}

#[test]
fn every_place_knows_its_way_up_to_the_root() {
    let found: Vec<String> = with_fields(SHOP).places().iter().map(way).collect();
    assert_eq!(
        found,
        [
            "users Root ``:",
            "companies Joined `company`: id = users.company_id",
            "orders Joined `orders`: user_id = users.id",
            "order_items Joined `orders.items`: order_id = orders.id > user_id = users.id",
            "user_tags Junction `tags`: user_id = users.id",
            "tags Joined `tags`: id = user_tags.tag_id > user_id = users.id",
            "orders Aggregated `spent`: user_id = users.id",
            "user_labels Junction `tagIds`: user_id = users.id",
            "labels Aggregated `tagIds`: ? = user_labels.label_id > user_id = users.id",
        ]
    );
    let parents: Vec<_> = with_fields(SHOP).places().iter().map(|place| place.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(0), Some(2), Some(0), Some(4), Some(0), Some(0), Some(7)]);
}

#[test]
fn a_table_that_is_root_and_child_stands_at_both_places() {
    let schema = schema(
        "version: 1\ntable: staff\nprimary_key: id\nfields:\n  - object: up\n    fields:\n      - belongs_to: boss\n        column: boss_id\n        table: staff\n        primary_key: id\n        fields:\n          - has_many: reports\n            table: staff\n            primary_key: id\n            foreign_key: boss_id\n            fields: [{ text: name }]\n",
    );
    let found: Vec<String> = schema.places().iter().map(way).collect();
    assert_eq!(
        found,
        [
            "staff Root ``:",
            "staff Joined `up.boss`: id = staff.boss_id",
            "staff Joined `up.boss.reports`: boss_id = staff.id > id = staff.boss_id",
        ]
    );
    assert_eq!(
        tables([&schema]).iter().map(watched).collect::<Vec<_>>(),
        ["public.staff key id links boss_id,id reads name"]
    );
}

#[test]
fn composite_keys_are_followed_column_by_column() {
    let schema = schema(
        "version: 1\ntable: docs\nprimary_key: [tenant, id]\nfields:\n  - has_many: notes\n    table: notes\n    primary_key: [tenant, note]\n    foreign_key: [tenant, doc_id]\n    fields: [{ text: body }]\n",
    );
    assert_eq!(way(&schema.places()[1]), "notes Joined `notes`: tenant,doc_id = docs.tenant,id");
}

#[test]
fn a_raw_condition_reads_every_column_of_its_table_alone() {
    let raw = "  - count: n\n    table: orders\n    foreign_key: user_id\n    filters: [{ raw: 'total > 1' }]\n  - long: id\n";
    let found: Vec<String> = tables([&with_fields(raw)]).iter().map(watched).collect();
    assert_eq!(found, ["public.users key id links  reads id", "public.orders key ? links user_id reads *"]);
}

#[test]
fn tables_of_one_name_in_two_schemas_are_two_and_those_of_several_documents_one() {
    let one = with_fields("  - count: n\n    table: crm.users\n    foreign_key: user_id\n");
    let two = schema("version: 1\ntable: crm.users\nprimary_key: uid\nfields: [{ text: name }]\n");
    let found: Vec<String> = tables([&one, &two]).iter().map(watched).collect();
    assert_eq!(found, ["public.users key id links  reads id", "crm.users key uid links user_id reads name,uid"]);
}

#[test]
fn soft_delete_and_its_conditions_are_read() {
    let schema = schema(
        "version: 1\ntable: a\nprimary_key: id\nsoft_delete: { column: gone, when: [{ column: held, op: is_null }] }\nfilters: [{ column: kind, op: eq, value: x }]\nfields:\n  - geo: p\n    lat: y\n    lon: x\n  - geo: q\n  - map: m\n    values: text\n",
    );
    assert_eq!(watched(&tables([&schema])[0]), "public.a key id links  reads gone,held,id,kind,m,q,x,y");
}
