//! Views, materialized views and foreign tables: read by a key that the schema file declares, and what of them is not followed
//! is said.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use std::collections::BTreeMap;

use flusso_tests::{Host, Line, Postgres};
use serde_json::{Value, json};

const TABLES: &str = "CREATE TABLE users (id int PRIMARY KEY, name text, gone boolean NOT NULL DEFAULT false);
    CREATE TABLE posts (id int PRIMARY KEY, user_id int, title text);
    INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 5000) g; INSERT INTO posts SELECT g, g % 50, 'post ' || g FROM generate_series(1, 100) g;";

const CONFIG: &str = "[source]\nplugin = \"pg.wasm\"\n[[index]]\nname = \"t\"\nschema = \"t.schema.yml\"\n";

fn documents(lines: &[Line]) -> BTreeMap<String, Value> {
    let mut kept = BTreeMap::new();
    for line in lines {
        match line.op.as_str() {
            "clear" => kept.clear(),
            "delete" => drop(kept.remove(&line.id)),
            _ => drop(kept.insert(line.id.clone(), line.document.clone())),
        }
    }
    kept
}

fn host(database: &Postgres, schema: &str) -> Host {
    let host = Host::on(&database.url());
    host.file("t.schema.yml", &format!("version: 1\n{schema}"));
    host.file("flusso.toml", CONFIG);
    host
}

#[test]
fn a_view_is_seeded_and_what_is_not_followed_is_said() {
    let database = Postgres::with(TABLES);
    database.sql("CREATE VIEW v AS SELECT id AS key, upper(name) AS name FROM users WHERE NOT gone");
    let host = host(&database, "table: v\nprimary_key: key\nfields:\n  - long: key\n  - text: name\n");
    let checked = host.run(&["check"]);
    assert_eq!(checked.code, Some(0), "{:#?}", checked.lines);
    let said = |lines: &[String]| {
        // `check` breaks its lines.
        let text = lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        text.contains("public.v is a view") && text.contains("changes of public.users") && text.contains("reindex t`")
    };
    assert!(said(&checked.lines), "{:#?}", checked.lines);
    let ended = host.run(&["--once"]).succeeded();
    assert!(said(&[ended.log.clone()]), "{}", ended.log);
    let found = documents(&ended.documents());
    assert_eq!((found.len(), &found["4711"]), (5000, &json!({ "key": 4711, "name": "USER 4711" })));
    // A view that selects something else is another one.
    database.sql("CREATE OR REPLACE VIEW v AS SELECT id AS key, lower(name) AS name FROM users WHERE id < 10");
    let found = documents(&host.documents(&["--once"]));
    assert_eq!((found.len(), &found["7"]["name"]), (9, &json!("user 7")));
}

#[test]
fn a_refreshed_materialized_view_is_built_anew() {
    let database = Postgres::with(TABLES);
    database.sql("CREATE MATERIALIZED VIEW m AS SELECT user_id, count(*) AS n FROM posts GROUP BY 1");
    let schema = "table: m\nprimary_key: user_id\nfields:\n  - long: n\n  - belongs_to: user\n    table: users\n    column: user_id\n    primary_key: id\n    fields: [{ text: name }]\n";
    let host = host(&database, schema);
    let ended = host.run(&["--once"]).succeeded();
    assert!(
        ended.log.contains("public.m is a materialized view") && ended.log.contains("CONCURRENTLY"),
        "{}",
        ended.log
    );
    assert_eq!(documents(&ended.documents())["3"], json!({ "n": 2, "user": { "name": "user 3" } }));
    database.sql("DELETE FROM posts WHERE user_id <> 3; INSERT INTO posts VALUES (1000, 3); UPDATE users SET name = 'x' WHERE id = 3");
    let found = documents(&host.documents(&["--once"]));
    assert_eq!(found["3"], json!({ "n": 2, "user": { "name": "x" } }), "not refreshed yet");
    database.sql("REFRESH MATERIALIZED VIEW m");
    let found = documents(&host.documents(&["--once"]));
    assert_eq!(found, BTreeMap::from([("3".to_owned(), json!({ "n": 3, "user": { "name": "x" } }))]));
}

/// A foreign table, and a view that is only joined.
#[test]
fn whatever_is_read_like_a_table_is_read() {
    let database = Postgres::with(TABLES);
    if database.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'file_fdw'").trim() == "1" {
        database.sql("CREATE EXTENSION file_fdw; CREATE SERVER s FOREIGN DATA WRAPPER file_fdw;
            CREATE FOREIGN TABLE f (n int, line text) SERVER s OPTIONS (program 'printf \"1|line 1\\n2|line 2\\n\"', delimiter '|')");
        let host = host(&database, "table: f\nprimary_key: n\nfields:\n  - text: line\n");
        let ended = host.run(&["--once"]).succeeded();
        assert!(ended.log.contains("public.f is a foreign table"), "{}", ended.log);
        let found = documents(&ended.documents());
        assert_eq!((found.len(), &found["2"]), (2, &json!({ "line": "line 2" })));
    }
    database.sql("CREATE VIEW v AS SELECT user_id, count(*) AS n FROM posts GROUP BY 1");
    let join = "table: users\nprimary_key: id\nfilters: [{ column: id, op: lte, value: 60 }]\nfields:\n  - has_one: posts\n    table: v\n    primary_key: user_id\n    foreign_key: user_id\n    fields: [{ long: n }]\n";
    let unfollowed = host(&database, join);
    let ended = unfollowed.run(&["--once"]).succeeded();
    assert!(ended.log.contains("public.v is a view") && ended.log.contains("public.posts"), "{}", ended.log);
    assert_eq!(documents(&ended.documents())["3"], json!({ "posts": { "n": 2 } }));
    drop(unfollowed);

    let database = Postgres::with(TABLES);
    database.sql("CREATE VIEW v AS SELECT user_id, count(*) AS n FROM posts GROUP BY 1");
    let host = host(&database, &format!("{join}follow: [{{ table: posts, primary_key: id, foreign_key: user_id }}]\n"));
    let refused = host.run(&["--once"]);
    assert!(
        refused.code == Some(2) && refused.log.contains("ALTER TABLE \"public\".\"posts\" REPLICA IDENTITY FULL"),
        "{}",
        refused.log
    );
    assert_eq!(host.run(&["check"]).code, Some(2));
    database.sql("ALTER TABLE posts REPLICA IDENTITY FULL");
    let checked = host.run(&["check"]);
    assert!(
        checked.code == Some(0) && !checked.lines.iter().any(|line| line.contains("not-followed")),
        "{:#?}",
        checked.lines
    );
    let mut lines = host.documents(&["--once"]);
    assert_eq!(documents(&lines)["3"], json!({ "posts": { "n": 2 } }));
    database.sql("UPDATE posts SET user_id = 51 WHERE user_id = 3; INSERT INTO posts VALUES (1000, 4)");
    lines.extend(host.documents(&["--once"]));
    let found = documents(&lines);
    assert_eq!(
        (&found["3"], &found["51"], &found["4"]),
        (&json!({ "posts": null }), &json!({ "posts": { "n": 2 } }), &json!({ "posts": { "n": 3 } }))
    );
}

#[test]
fn a_view_without_a_key_is_left_out_or_refused_with_what_helps() {
    let database = Postgres::with(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w AS SELECT * FROM v; CREATE MATERIALIZED VIEW m AS SELECT 1",
    );
    let plain = Host::on(&database.url());
    let ended = plain.run(&["--plugin", "pg.wasm", "--once"]).succeeded();
    assert!(ended.log.contains("2 views and 1 materialized view left out"), "{}", ended.log);
    let host = host(&database, "table: v\nfields:\n  - long: id\n");
    for (words, told) in [(["check"], "primary_key"), (["--once"], "primary_key")] {
        let ended = host.run(&words);
        let lines = format!("{}{}", ended.log, ended.lines.join("\n"));
        assert!(ended.code == Some(2) && lines.contains(told), "{lines}");
    }
    host.file("flusso.toml", "[source]\nplugin = \"pg.wasm\"\n[[index]]\nname = \"v\"\n");
    let refused = host.run(&["--once"]);
    assert!(
        refused.code == Some(2) && refused.log.contains("public.v is a view") && refused.log.contains("schema file"),
        "{}",
        refused.log
    );
    // What is looked up in a view is not found where a change took it out.
    host.file("flusso.toml", CONFIG);
    host.file("t.schema.yml", "version: 1\ntable: v\nprimary_key: id\nfields:\n  - long: id\nfollow: [{ table: t, primary_key: id, column: id }]\n");
    let refused = host.run(&["--once"]);
    assert!(
        refused.code == Some(2) && refused.log.contains("`column` looks up rows of the view public.v"),
        "{}",
        refused.log
    );
}

#[test]
fn rows_of_a_view_that_share_a_key_are_said() {
    let database = Postgres::with(
        "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT g, 'a' FROM generate_series(1, 50) g;
         CREATE VIEW v AS SELECT id, name FROM t UNION ALL SELECT id, 'b' FROM t WHERE id = 7",
    );
    let host = host(&database, "table: v\nprimary_key: id\nfields:\n  - text: name\n");
    let ended = host.run(&["--once"]).succeeded();
    let said: Vec<&str> = ended.log.lines().filter(|line| line.contains("several rows of public.v")).collect();
    assert!(
        matches!(said.as_slice(), [one] if one.contains("have the key 7:") && one.contains("WARN")),
        "{}",
        ended.log
    );
    assert_eq!(documents(&ended.documents()).len(), 50);
}
