//! What a plugin takes that the operator did not give: variables of the environment, conditions in the language of the source,
//! tables that it has not declared. The guest is `tests/guests/mistaken`, whose manifest asks for variables.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says where")]

use flusso_tests::{Host, Postgres, plugin};
use serde_json::{Value, json};

const TABLES: &str = "CREATE TABLE items (id bigint PRIMARY KEY, v text, w int); INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 1);
    CREATE TABLE secrets (id bigint PRIMARY KEY, word text); INSERT INTO secrets VALUES (1, 'hunter2'); CREATE SEQUENCE numbers";

fn guest() -> String {
    plugin("tests/guests/mistaken")
}

/// What the documents show, and the log.
fn shown(host: &Host, name: &str, plugin: &str) -> (Value, String) {
    let ended = host.run(&["--plugin", "pg", "--plugin", plugin, "--once", "--reseed"]).succeeded();
    let documents = ended.documents();
    let of = documents.iter().find(|line| line.op == "upsert").unwrap_or_else(|| panic!("{}", ended.log));
    (of.document[name].clone(), ended.log.clone())
}

#[test]
fn a_manifest_names_no_variable_that_its_plugin_is_given() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url()).with("AWS_SECRET_ACCESS_KEY", "hunter2");
    let (token, log) = shown(&host, "token", &guest());
    assert_eq!(token, Value::Null, "{log}");
    // It is said once, with what to write.
    let note = "the plugin asks for the variable AWS_SECRET_ACCESS_KEY, which it is not given";
    assert_eq!(log.matches(note).count(), 1, "{log}");
    assert!(
        log.contains("token = { env = \\\"AWS_SECRET_ACCESS_KEY\\\" }")
            || log.contains("token = { env = \"AWS_SECRET_ACCESS_KEY\" }"),
        "{log}"
    );
    // The database's address is the source's, and so is what it grants.
    let (address, log) = shown(&host, "address", &guest());
    assert_eq!(address, Value::Null, "{log}");
    let checked = host.run(&["check", "--plugin", "pg", "--plugin", &guest()]).lines.join(" ");
    let checked = checked.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        checked.contains("mistaken 0.1.0; granted: nothing") && checked.contains("[variable-refused]"),
        "{checked}"
    );
    assert!(checked.contains("variables: connection_url from DATABASE_URL"), "{checked}");
}

#[test]
fn the_operator_gives_a_plugin_variables_by_name() {
    let database = Postgres::with(TABLES);
    let host = Host::on(&database.url()).with("FLUSSO_BUILDER_TOKEN", "given");
    // Read as the setting's type: this one is a boolean.
    let host = host.with("FLUSSO_SOURCE_MANAGE_PUBLICATION", "true");
    assert_eq!(shown(&host, "token", &guest()).0, json!("given"));
    // What stands on the command line is meant as such.
    assert_eq!(shown(&host, "token", &format!("{},token=written", guest())).0, json!("written"));
    let host = Host::on(&database.url()).with("AWS_SECRET_ACCESS_KEY", "hunter2");
    let config = format!(
        "[source]\nplugin = \"pg\"\n[builder]\nplugin = \"{}\"\ntoken = {{ env = \"AWS_SECRET_ACCESS_KEY\" }}\n",
        guest()
    );
    let config = host.file("flusso.toml", &config).display().to_string();
    let ended = host.run(&["--config", &config, "--once"]).succeeded();
    assert_eq!(ended.documents()[0].document["token"], "hunter2");
    assert!(!ended.log.contains("the variable AWS_SECRET_ACCESS_KEY"), "{}", ended.log);
}

#[test]
fn a_condition_in_the_language_of_the_source_is_passed_on_from_no_plugin() {
    let database = Postgres::with(TABLES);
    let ended =
        Host::on(&database.url()).run(&["--plugin", "pg", "--plugin", &format!("{},how=raw", guest()), "--once"]);
    assert!(ended.documents().is_empty());
    ended.refused(3, &["mistaken", "public.items", "condition in the source's own language"]);
    assert_eq!(database.sql("SELECT is_called FROM numbers").trim(), "f");
}

#[test]
fn no_rows_are_read_before_a_builder_has_said_what_it_reads() {
    let database = Postgres::with(TABLES);
    let plugin = format!("{},how=early", guest());
    let ended = Host::on(&database.url()).run(&["--plugin", "pg", "--plugin", &plugin, "--once"]);
    assert!(ended.documents().is_empty() && !ended.log.contains("hunter2"), "{}", ended.log);
    ended.refused(3, &["mistaken", "public.secrets", "while it is opened"]);
}
