//! What flusso 0.15 let pass is read as it read it, and the operator is told.

use super::{HEAD, schema};
use crate::parse_with_notes;

/// Reads fields that stand under [`HEAD`]: the hash of what was read, and the notes.
fn noted(fields: &str) -> (String, Vec<String>) {
    let file = format!("{HEAD}{fields}");
    let (schema, notes) = parse_with_notes(&file, "f.yml").unwrap_or_else(|problems| panic!("{problems}"));
    (schema.hash(), notes.iter().map(ToString::to_string).collect())
}

/// Both say the same; the first is told what to write instead.
fn reads_as(written: &str, meant: &str, notes: &[&str]) {
    let (hash, said) = noted(written);
    assert_eq!(said, notes);
    assert_eq!((hash, Vec::new()), noted(meant), "{written}");
}

#[test]
fn names_in_capitals_are_folded() {
    reads_as(
        "  - belongs_to: company\n    column: Company_ID\n    table: \" Companies\"\n    primary_key: ID\n    fields: [{ text: \"name \" }]\n",
        "  - belongs_to: company\n    column: company_id\n    table: companies\n    primary_key: id\n    fields: [{ text: name }]\n",
        &[
            "f.yml:6:13: column: `Company_ID` is read as `company_id`, unless the database has exactly this name",
            "f.yml:7:12: table: ` Companies` is read as `companies`, unless the database has exactly this name",
            "f.yml:8:18: primary_key: `ID` is read as `id`, unless the database has exactly this name",
            "f.yml:9:22: text: `name ` is read without the space around it; write `name`",
        ],
    );
    let mixed = schema(
        "version: 1\ntable: Crm.Users\nprimary_key: Id\nfilters: [{ column: A, op: is_null }]\nfields:\n  - long: id\n",
    );
    assert_eq!(
        mixed,
        schema(
            "version: 1\ntable: users\nschema: crm\nprimary_key: id\nfilters: [{ column: a, op: is_null }]\nfields:\n  - long: id\n"
        )
    );
}

#[test]
fn what_means_nothing_beside_an_aggregate_is_read_over() {
    reads_as(
        "  - count: orders\n    table: orders\n    foreign_key: user_id\n    column: id\n    value_type: integer\n",
        "  - count: orders\n    table: orders\n    foreign_key: user_id\n",
        &[
            "f.yml:8:5: column: this means nothing: rows are counted, not values; remove it, or filter with `is_not_null`",
            "f.yml:9:17: value_type: `count` is always a `long`; remove it",
        ],
    );
    reads_as(
        "  - avg: mean\n    table: orders\n    foreign_key: user_id\n    column: total\n    value_type: decimal\n",
        "  - avg: mean\n    table: orders\n    foreign_key: user_id\n    column: total\n",
        &["f.yml:9:17: value_type: `avg` is always a `double`; remove it"],
    );
}

#[test]
fn a_default_in_quotes_is_what_its_type_holds() {
    reads_as(
        "  - integer: a\n    default: \"5\"\n  - decimal: b\n    default: \"0.50\"\n  - boolean: c\n    default: \"true\"\n  - enum: d\n    variants: []\n",
        "  - integer: a\n    default: 5\n  - decimal: b\n    default: 0.50\n  - boolean: c\n    default: true\n  - enum: d\n",
        &[],
    );
}

#[test]
fn soft_delete_finds_a_field_within_an_object() {
    let file = |mark: &str| {
        schema(&format!(
            "version: 1\ntable: a\nsoft_delete: {mark}\nfields:\n  - object: meta\n    fields: [{{ timestamp: gone, column: deleted_at }}]\n"
        ))
    };
    assert_eq!(file("{ field: gone }"), file("{ column: deleted_at }"));
}

/// A database in which these tables and columns have capitals, and everything else has none.
struct Prisma;

impl crate::Names for Prisma {
    fn has_table(&self, schema: &str, table: &str) -> bool {
        schema == "public" && ["User", "Post", "_PostToTag", "tags"].contains(&table)
    }

    fn has_column(&self, table: &crate::TableName, column: &str) -> bool {
        table.name.as_str() == "User" && column == "createdAt"
            || table.name.as_str() == "Post" && ["authorId", "Title"].contains(&column)
            || table.name.as_str() == "_PostToTag" && ["A", "B"].contains(&column)
    }
}

#[test]
fn the_exact_name_goes_before_the_folded_one() {
    let mut schema = schema(
        "version: 1\ntable: User\nprimary_key: Id\nfields:\n  - timestamp: createdAt\n  - has_many: posts\n    table: Post\n    primary_key: id\n    foreign_key: authorId\n    order_by: [{ column: Title, direction: asc }]\n    fields:\n      - text: title\n        column: Title\n      - many_to_many: tags\n        table: Tags\n        primary_key: id\n        through: { table: _PostToTag, left_key: A, right_key: B }\n        fields: [{ keyword: name }]\n",
    );
    assert!(schema.has_written_names());
    let possible = schema.possible_tables();
    let has = |name: &str| possible.contains(&("public".to_owned(), name.to_owned()));
    assert!(
        ["User", "user", "Post", "post", "_PostToTag", "Tags", "tags"].iter().all(|name| has(name)),
        "{possible:?}"
    );
    schema.resolve_names(&Prisma);
    let mut found: Vec<String> = crate::tables([&schema])
        .into_iter()
        .map(|one| {
            let crate::Reads::Columns(reads) = &one.reads else { panic!("{one:?}") };
            let columns: Vec<_> = one.links.iter().chain(reads).map(ToString::to_string).collect();
            format!("{} {}", one.table, columns.join(","))
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        ["public.Post authorId,Title,id", "public.User createdAt,id", "public._PostToTag A,B", "public.tags id,name"]
    );
    assert!(
        !crate::tests::schema("version: 1\ntable: users\nprimary_key: id\nfields:\n  - long: id\n").has_written_names()
    );
}
