//! `check` against a live database: what it finds, how it says so, and that it changes nothing.

use flusso_tests::{Host, Postgres};
use serde_json::Value;

const TABLES: &str = "
    CREATE TABLE users (id int PRIMARY KEY, email text, name text NOT NULL);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL, total numeric(8,2));
    ALTER TABLE orders REPLICA IDENTITY FULL;
    CREATE UNLOGGED TABLE fast (id int PRIMARY KEY);";

const USERS: &str = "version: 1
table: users
primary_key: id
fields:
  - keyword: email
    required: true
  - has_many: orders
    table: orders
    primary_key: id
    foreign_key: user_id
    fields:
      - decimal: total
";

const CONFIG: &str = "
    [source]
    plugin = \"pg.wasm\"
    [[index]]
    name = \"users\"
    schema = \"users.schema.yml\"
";

fn found(lines: &[String]) -> Vec<(String, String, String)> {
    let all: Vec<Value> = serde_json::from_str(&lines.join("\n")).unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
    let word = |it: &Value, key: &str| it[key].as_str().unwrap_or_else(|| panic!("no {key} in {it}")).to_owned();
    all.iter()
        .map(|it| (word(it, "level"), word(it, "code"), word(it, "subject")))
        .filter(|(level, ..)| level != "ok")
        .collect()
}

#[test]
fn warnings_are_shown_by_what_they_are_about_with_statements_to_copy() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    host.file("flusso.toml", CONFIG);
    host.file("users.schema.yml", USERS);
    let ended = host.run(&["check"]).succeeded();
    let text = ended.lines.join("\n");
    let start = "\
index users
  warning  users.schema.yml: email: the field is `required`, and public.users.email may be null [nullable]
               ALTER TABLE \"public\".\"users\" ALTER COLUMN \"email\" SET NOT NULL;

table public.orders
  warning  no index begins with user_id: `orders` looks rows up by it, and each time the whole table is read
           (about 0 rows) [index-missing]
               CREATE INDEX CONCURRENTLY ON \"public\".\"orders\" (\"user_id\");

ok ";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("0 errors, 2 warnings"), "{text}");
    // Each remedy is copied as it stands, and what it is about is gone.
    let is_statement = |line: &&String| line.ends_with(';') && line.trim().starts_with(char::is_uppercase);
    for line in ended.lines.iter().filter(is_statement) {
        database.sql(line.trim());
    }
    let json = host.run(&["check", "--format", "json"]).succeeded();
    assert_eq!(found(&json.lines), []);
    assert_eq!((database.slots(), database.publications()), (0, 0), "check changes nothing");
    host.run(&["--once"]).succeeded();
}

#[test]
fn errors_are_all_told_at_once_and_make_the_exit_code() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    host.file("flusso.toml", &format!("{CONFIG}\n[[index]]\nname = \"fast\"\n[[index]]\nname = \"ordres\"\n"));
    host.file(
        "users.schema.yml",
        &USERS.replace("keyword: email", "keyword: emial").replace("decimal: total", "boolean: total"),
    );
    let json = host.run(&["check", "--format", "json"]);
    assert_eq!(json.code, Some(2), "{}", json.log);
    let wanted = [
        ("column-missing", "index users"),
        ("type-mismatch", "index users"),
        ("table-missing", "index ordres"),
        ("unlogged", "table public.fast"),
    ];
    let mut errors: Vec<_> = found(&json.lines).into_iter().filter(|(level, ..)| level == "error").collect();
    let mut wanted = wanted.map(|(code, subject)| ("error".to_owned(), code.to_owned(), subject.to_owned())).to_vec();
    errors.sort();
    wanted.sort();
    assert_eq!(errors, wanted);
    let text = host.run(&["check"]);
    assert_eq!(text.code, Some(2), "{}", text.log);
    let text = text.lines.join("\n");
    for word in [
        "did you mean `email`?",
        "did you mean `public.orders`?",
        "ALTER TABLE \"public\".\"fast\" SET LOGGED;",
        "4 errors",
    ] {
        assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(word), "{word} is missing in\n{text}");
    }
}

#[test]
fn a_database_that_is_away_is_said_so_and_the_rest_is_told_all_the_same() {
    let host = Host::on("postgres://nobody@127.0.0.1:1/nothing");
    host.file("flusso.toml", CONFIG);
    host.file("users.schema.yml", USERS);
    let away = host.run(&["check", "--format", "json"]);
    assert_eq!(away.code, Some(4), "{}", away.log);
    let of = |code: &str, subject: &str| ("error".to_owned(), code.to_owned(), subject.to_owned());
    assert_eq!(found(&away.lines), [of("unreachable", "server")]);
    assert_eq!(found(&host.run(&["check", "--offline", "--format", "json"]).succeeded().lines), []);

    host.file("users.schema.yml", &USERS.replace("foreign_key", "foreign_kye"));
    let wrong = host.run(&["check", "--format", "json"]);
    assert_eq!(wrong.code, Some(2), "what is wrong goes before what could not be looked at: {}", wrong.log);
    let codes: Vec<String> = found(&wrong.lines).into_iter().map(|(_, code, _)| code).collect();
    assert!(codes.contains(&"schema-invalid".to_owned()) && codes.contains(&"unreachable".to_owned()), "{codes:?}");
    let offline = host.run(&["check", "--offline"]);
    assert_eq!(offline.code, Some(2), "{}", offline.log);
    let text = offline.lines.join(" ");
    assert!(text.contains("foreign_kye") && text.contains("users.schema.yml:10:"), "{text}");
}

#[test]
fn a_running_host_is_no_finding() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url());
    host.file("flusso.toml", CONFIG);
    host.file("users.schema.yml", &USERS.replace("    required: true\n", ""));
    database.sql("CREATE INDEX ON orders (user_id); INSERT INTO users VALUES (1, 'a', 'b')");
    let running = host.start(&[]);
    running.wait_for_line(|line| line.contains(r#""id":"1""#));
    let beside = host.run(&["check"]).succeeded();
    let text = beside.lines.join("\n");
    assert!(text.contains("is in use by process") && text.ends_with("0 errors, 0 warnings"), "{text}");
    database.sql("INSERT INTO users VALUES (2, 'c', 'd')");
    running.wait_for_line(|line| line.contains(r#""id":"2""#));
    running.signal("TERM");
    running.wait().succeeded();
}
