//! Relations that applications have: junctions with conditions, an order and columns of their own, relations by a type and a
//! number, keys of several columns. Each is seeded, then followed change by change, with and without old values, and compared with
//! what SQL gives.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;

use flusso_tests::{Host, Line, Postgres};
use serde_json::Value;

/// Follows statements one by one, and compares after each with the documents that a query makes, by their `id`.
fn follows(tables: &str, schema: &str, wanted: &str, statements: &[&str]) {
    for identity in ["DEFAULT", "FULL"] {
        let database = Postgres::with(tables);
        for table in database.sql("SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace").lines() {
            database.sql(&format!("ALTER TABLE {table} REPLICA IDENTITY {identity}"));
        }
        let host = Host::on(&database.url());
        host.file("docs.schema.yml", &format!("version: 1\n{schema}"));
        let source = "[source]\nplugin = \"pg\"\nconnection_url = { env = \"DATABASE_URL\" }\n";
        host.file("flusso.toml", &format!("{source}[[index]]\nname = \"docs\"\nschema = \"docs.schema.yml\"\n"));
        let mut found = BTreeMap::new();
        for statement in std::iter::once(&"").chain(statements) {
            database.sql(statement);
            take(host.documents(&["--once"]), &mut found);
            let row = |row: &str| {
                let row: Value = serde_json::from_str(row).unwrap();
                (row["id"].to_string(), row)
            };
            let made: BTreeMap<String, Value> = database.sql(wanted).lines().map(row).collect();
            let by_id: BTreeMap<String, Value> =
                found.values().map(|row| (row["id"].to_string(), row.clone())).collect();
            assert_eq!(by_id, made, "REPLICA IDENTITY {identity}, after {statement:?}");
        }
    }
}

fn take(lines: Vec<Line>, found: &mut BTreeMap<String, Value>) {
    for line in lines {
        match line.op.as_str() {
            "clear" => found.clear(),
            "delete" => drop(found.remove(&line.id)),
            _ => drop(found.insert(line.id, line.document)),
        }
    }
}

const LABELS: &str = "
    CREATE TABLE issues (id int PRIMARY KEY, title text);
    CREATE TABLE merges (id int PRIMARY KEY, title text);
    CREATE TABLE labels (id int PRIMARY KEY, name text);
    CREATE TABLE label_links (id int PRIMARY KEY, label_id int, labelable_id int, labelable_type text, position int, added date);
    INSERT INTO issues VALUES (1, 'one'), (2, 'two');
    INSERT INTO merges VALUES (1, 'a merge'), (2, 'another');
    INSERT INTO labels VALUES (10, 'bug'), (11, 'docs'), (12, 'slow');
    INSERT INTO label_links VALUES
        (1, 10, 1, 'Issue', 2, '2024-01-01'), (2, 11, 1, 'Issue', 1, '2024-01-02'), (3, 12, 1, 'Merge', 1, '2024-01-03'),
        (4, 10, 2, 'Merge', 1, '2024-01-04'), (5, 12, 2, 'Issue', 1, '2024-01-05');";

const MOVES: &[&str] = &[
    "UPDATE label_links SET labelable_type = 'Issue' WHERE id = 3",
    "UPDATE label_links SET position = 9 WHERE id = 2",
    "UPDATE label_links SET added = '2030-01-01' WHERE id = 1",
    "UPDATE label_links SET labelable_type = 'Merge' WHERE id = 1",
    "UPDATE label_links SET labelable_id = 2 WHERE id = 2",
    "UPDATE labels SET name = 'BUG' WHERE id = 10",
    "UPDATE label_links SET labelable_type = 'Issue', labelable_id = 1, label_id = 11 WHERE id = 4",
    "DELETE FROM label_links WHERE id = 5",
    "INSERT INTO label_links VALUES (6, 10, 2, 'Issue', 0, '2024-02-01'), (7, 10, 2, 'Merge', 0, '2024-02-01')",
    "DELETE FROM labels WHERE id = 11",
    "DELETE FROM issues WHERE id = 1; INSERT INTO issues VALUES (3, 'three')",
    "UPDATE label_links SET labelable_id = 3",
    "TRUNCATE label_links",
];

#[test]
fn a_junction_has_conditions_an_order_and_columns_of_its_own() {
    let schema = "table: issues
fields:
  - integer: id
  - text: title
  - many_to_many: labels
    table: labels
    primary_key: id
    through:
      table: label_links
      left_key: labelable_id
      right_key: label_id
      filters: [{ column: labelable_type, op: eq, value: Issue }]
      order_by: [{ column: position }]
      fields: [{ date: added }, { integer: rank, column: position }]
    fields: [{ keyword: name }]
";
    let wanted = "SELECT json_build_object('id', i.id, 'title', i.title, 'labels', (SELECT coalesce(json_agg(json_build_object(
            'name', l.name, 'added', k.added, 'rank', k.position) ORDER BY k.position, l.id), '[]')
        FROM label_links k JOIN labels l ON l.id = k.label_id WHERE k.labelable_id = i.id AND k.labelable_type = 'Issue')) FROM issues i";
    follows(LABELS, schema, wanted, MOVES);
}

#[test]
fn the_first_rows_through_a_junction_are_those_of_its_own_order() {
    let schema = "table: issues
fields:
  - integer: id
  - many_to_many: labels
    table: labels
    primary_key: id
    limit: 1
    through:
      table: label_links
      left_key: labelable_id
      right_key: label_id
      filters: [{ column: labelable_type, op: in, value: [Issue, Task] }]
      order_by: [{ column: position, direction: desc }]
    fields: [{ keyword: name }]
";
    let wanted = "SELECT json_build_object('id', i.id, 'labels', (SELECT coalesce(json_agg(json_build_object('name', name)), '[]') FROM (
        SELECT l.name FROM label_links k JOIN labels l ON l.id = k.label_id
        WHERE k.labelable_id = i.id AND k.labelable_type IN ('Issue', 'Task') ORDER BY k.position DESC, l.id LIMIT 1) first)) FROM issues i";
    follows(LABELS, schema, wanted, MOVES);
}

#[test]
fn an_aggregate_counts_what_the_conditions_of_its_junction_let_through() {
    let schema = "table: issues
fields:
  - integer: id
  - count: labelled
    table: labels
    through: { table: label_links, left_key: labelable_id, right_key: label_id, filters: [{ column: labelable_type, op: eq, value: Issue }] }
  - count: anything
    table: labels
    through: { table: label_links, left_key: labelable_id, right_key: label_id }
";
    let wanted = "SELECT json_build_object('id', i.id,
        'labelled', (SELECT count(*) FROM label_links k JOIN labels l ON l.id = k.label_id WHERE k.labelable_id = i.id AND k.labelable_type = 'Issue'),
        'anything', (SELECT count(*) FROM label_links k JOIN labels l ON l.id = k.label_id WHERE k.labelable_id = i.id)) FROM issues i";
    follows(LABELS, schema, wanted, MOVES);
}

#[test]
fn a_row_belongs_to_one_table_or_another_by_its_type() {
    let schema = "table: label_links
fields:
  - integer: id
  - belongs_to: issue
    column: labelable_id
    when: [{ column: labelable_type, op: eq, value: Issue }]
    table: issues
    primary_key: id
    fields: [{ text: title }]
  - belongs_to: merge
    column: labelable_id
    when: [{ column: labelable_type, op: eq, value: Merge }]
    table: merges
    primary_key: id
    fields: [{ text: title }]
";
    let wanted = "SELECT json_build_object('id', k.id,
        'issue', (SELECT json_build_object('title', i.title) FROM issues i WHERE i.id = k.labelable_id AND k.labelable_type = 'Issue'),
        'merge', (SELECT json_build_object('title', m.title) FROM merges m WHERE m.id = k.labelable_id AND k.labelable_type = 'Merge'))
        FROM label_links k";
    let moves = [
        "UPDATE label_links SET labelable_type = 'Merge' WHERE id = 1",
        "UPDATE issues SET title = 'ONE' WHERE id = 1",
        "UPDATE merges SET title = 'MERGE' WHERE id = 1",
        "UPDATE label_links SET labelable_type = NULL WHERE id = 2",
        "UPDATE label_links SET labelable_id = 2 WHERE id = 3",
        "DELETE FROM merges WHERE id = 2",
        "DELETE FROM label_links WHERE id = 1; UPDATE label_links SET id = 30 WHERE id = 3",
    ];
    follows(LABELS, schema, wanted, &moves);
}

#[test]
fn keys_of_several_columns_are_lists() {
    let tables = "
        CREATE TABLE teams (org int, no int, id int UNIQUE, name text, PRIMARY KEY (org, no));
        CREATE TABLE people (org int, nick text, name text, PRIMARY KEY (org, nick));
        CREATE TABLE members (team_org int, team_no int, person_org int, person text, role text, since int,
            PRIMARY KEY (team_org, team_no, person_org, person));
        INSERT INTO teams VALUES (1, 1, 11, 'a'), (1, 2, 12, 'b'), (2, 1, 21, 'c');
        INSERT INTO people VALUES (1, 'x', 'X'), (1, 'y', 'Y'), (2, 'x', 'Z');
        INSERT INTO members VALUES (1, 1, 1, 'x', 'lead', 3), (1, 1, 2, 'x', 'dev', 1), (1, 2, 1, 'y', 'dev', 2), (2, 1, 1, 'x', 'dev', 5);";
    let schema = "table: teams
primary_key: [org, no]
fields:
  - integer: id
  - text: name
  - has_many: seats
    table: members
    primary_key: [team_org, team_no, person_org, person]
    foreign_key: [team_org, team_no]
    fields: [{ keyword: role }, { belongs_to: person, column: [person_org, person], table: people, primary_key: [org, nick], fields: [{ text: name }] }]
    order_by: [{ column: since }]
";
    let wanted = "SELECT json_build_object('id', t.id, 'name', t.name, 'seats', (SELECT coalesce(json_agg(json_build_object('role', m.role,
            'person', (SELECT json_build_object('name', p.name) FROM people p WHERE (p.org, p.nick) = (m.person_org, m.person))) ORDER BY m.since), '[]')
        FROM members m WHERE (m.team_org, m.team_no) = (t.org, t.no))) FROM teams t";
    let moves = [
        "UPDATE members SET team_no = 2 WHERE person = 'x' AND team_org = 1 AND person_org = 2",
        "UPDATE people SET name = 'XX' WHERE org = 1 AND nick = 'x'",
        "UPDATE members SET person_org = 1, person = 'y' WHERE team_org = 2",
        "DELETE FROM members WHERE team_org = 1 AND team_no = 1",
        "UPDATE members SET since = 0 WHERE role = 'dev' AND person = 'y'",
    ];
    follows(tables, schema, wanted, &moves);
}

#[test]
fn what_a_junction_cannot_have_is_said_with_its_place() {
    let database = Postgres::with(LABELS);
    let host = Host::on(&database.url());
    let source = "[source]\nplugin = \"pg\"\nconnection_url = { env = \"DATABASE_URL\" }\n";
    host.file("flusso.toml", &format!("{source}[[index]]\nname = \"docs\"\nschema = \"docs.schema.yml\"\n"));
    let refused = |through: &str, words: &[&str]| {
        host.file(
            "docs.schema.yml",
            &format!(
                "version: 1\ntable: issues\nfields:\n  - many_to_many: labels\n    table: labels\n    primary_key: id\n    through: {{ table: label_links, left_key: labelable_id, right_key: label_id, {through} }}\n    fields: [{{ keyword: name }}]\n"
            ),
        );
        let ended = host.run(&["--once"]);
        assert!(ended.code.is_some_and(|code| code != 0), "{through}");
        for word in words {
            assert!(ended.log.contains(word), "{word:?} is missing in {}", ended.log);
        }
    };
    refused("fields: [{ keyword: name, column: labelable_type }]", &["docs.schema.yml", "`name` is taken"]);
    refused("filters: [{ column: labelable_typ, op: eq, value: Issue }]", &["labelable_typ", "label_links"]);
    refused("order_by: [{ column: positon }]", &["positon", "label_links"]);
    refused("fields: [{ count: n, table: labels, foreign_key: id }]", &["docs.schema.yml", "reads another table"]);
}

/// Prisma before 6.0 made the tables of its implicit relations with a unique index and no primary key.
#[test]
fn a_junction_of_an_older_prisma_has_no_key_and_is_followed_once_its_whole_rows_are_told() {
    let database = Postgres::with(
        r#"CREATE TABLE "Post" (id int PRIMARY KEY, title text); CREATE TABLE "Tag" (id int PRIMARY KEY, name text);
           CREATE TABLE "_PostToTag" ("A" int NOT NULL REFERENCES "Post", "B" int NOT NULL REFERENCES "Tag");
           CREATE UNIQUE INDEX "_PostToTag_AB_unique" ON "_PostToTag" ("A", "B"); CREATE INDEX ON "_PostToTag" ("B");
           INSERT INTO "Post" SELECT g, 'post ' || g FROM generate_series(1, 5) g; INSERT INTO "Tag" SELECT g, 'tag ' || g FROM generate_series(1, 3) g;
           INSERT INTO "_PostToTag" SELECT a, b FROM generate_series(1, 5) a, generate_series(1, 3) b WHERE (a + b) % 2 = 0"#,
    );
    let host = Host::on(&database.url());
    host.file(
        "docs.schema.yml",
        "version: 1\ntable: Post\nfields:\n  - integer: id\n  - many_to_many: tags\n    table: Tag\n    primary_key: id\n    through: { table: _PostToTag, left_key: A, right_key: B }\n    order_by: [{ column: id }]\n    fields:\n      - keyword: name\n",
    );
    let source = "[source]\nplugin = \"pg\"\nconnection_url = { env = \"DATABASE_URL\" }\n";
    host.file("flusso.toml", &format!("{source}[[index]]\nname = \"docs\"\nschema = \"docs.schema.yml\"\n"));
    let helps = r#"ALTER TABLE "public"."_PostToTag" REPLICA IDENTITY FULL"#;
    let refused = host.run(&["--once"]);
    assert!(refused.code == Some(2) && refused.log.contains(helps), "{}", refused.log);
    let refused = host.run(&["check"]);
    assert!(refused.code == Some(2) && refused.lines.join("\n").contains(helps), "{:#?}", refused.lines);
    database.sql(helps);
    let mut found = BTreeMap::new();
    for statement in [
        "",
        r#"DELETE FROM "_PostToTag" WHERE "A" = 1 AND "B" = 3"#,
        r#"UPDATE "_PostToTag" SET "B" = 2 WHERE "A" = 3 AND "B" = 1"#,
        r#"UPDATE "_PostToTag" SET "A" = 4 WHERE "A" = 5 AND "B" = 3"#,
        r#"UPDATE "Tag" SET name = 'renamed' WHERE id = 2"#,
    ] {
        database.sql(statement);
        let ended = host.run(&["--once"]).succeeded();
        assert!(!ended.log.contains("is read as"), "the database has these names as they are written\n{}", ended.log);
        take(ended.documents(), &mut found);
        let wanted = database.sql(
            r#"SELECT json_build_object('id', p.id, 'tags', coalesce((SELECT json_agg(json_build_object('name', t.name) ORDER BY t.id)
               FROM "_PostToTag" j JOIN "Tag" t ON t.id = j."B" WHERE j."A" = p.id), '[]')) FROM "Post" p"#,
        );
        let wanted: BTreeMap<String, Value> = wanted
            .lines()
            .map(|row| serde_json::from_str::<Value>(row).unwrap())
            .map(|row| (row["id"].to_string(), row))
            .collect();
        assert_eq!(found, wanted, "after {statement:?}");
    }
}
