//! A deployment of flusso 0.15 runs unchanged and its documents are the same, as JSON values: those that flusso-cli 0.15.1
//! wrote over the same database are kept in `tests/ancestor/documents.jsonl` (`tests/compare record` writes them anew).
//!
//! Where the ancestor is wrong by its own manual or by the mapping it makes, its index is `corrected`, and what ours are
//! stands here.

use flusso_tests::{Host, Postgres, deployment};
use serde_json::{Value as Json, json};

/// What the ancestor wrote, and ours; both of all indexes.
fn both() -> (deployment::Documents, deployment::Documents) {
    let database = Postgres::with(&deployment::file("database.sql"));
    let host = Host::on(&database.url());
    deployment::copy_to(host.folder());
    let ended = host.run(&["--once"]).succeeded();
    let ours = deployment::documents(ended.lines.iter().map(String::as_str));
    let theirs = deployment::file("documents.jsonl");
    (deployment::documents(theirs.lines()), ours)
}

#[test]
fn documents_equal_those_of_flusso_0_15() {
    let (theirs, ours) = both();
    let ids = |documents: &deployment::Documents| documents.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&theirs), ids(&ours), "the same documents");
    let mut found = Vec::new();
    for ((index, id), theirs) in theirs.iter().filter(|((index, _), _)| index != "corrected") {
        if let Some(ours) = ours.get(&(index.clone(), id.clone())) {
            deployment::differences(&format!("{index}/{id}"), theirs, ours, &mut found);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(theirs.len() > 90, "the documents of the ancestor were not read");
}

#[test]
fn where_flusso_0_15_is_wrong_documents_are_right() {
    let (theirs, ours) = both();
    let at = |documents: &deployment::Documents, field: &str| {
        let key = ("corrected".to_owned(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".to_owned());
        documents.get(&key).and_then(|document| document.get(field)).cloned().unwrap_or(Json::Null)
    };
    for (field, wrong, right) in [
        // A `binary` mapping takes base64 and nothing else.
        ("by", json!("\\x00ff10"), json!("AP8Q")),
        // A `date` mapping refuses the space.
        ("ts", json!("2020-01-02 03:04:05"), json!("2020-01-02T03:04:05")),
        // Widened to 64 bits before it was printed.
        ("tenth", json!(0.10000000149011612), json!(0.1)),
        // A constant is mapped by its type, but was rendered as text; a list or map as null.
        ("number", json!("42"), json!(42)),
        ("fraction", json!("1.5"), json!(1.5)),
        ("truth", json!("true"), json!(true)),
        ("list", json!(null), json!(["a", "b"])),
        ("thing", json!(null), json!({ "a": 1 })),
        // What a text column holds stays what it is; the moment is the same.
        ("held", json!("2020-01-02T01:04:05.600+00:00"), json!("2020-01-02T03:04:05.6+02:00")),
    ] {
        assert_eq!(at(&theirs, field), wrong, "{field} of the ancestor");
        assert_eq!(at(&ours, field), right, "{field} of ours");
    }
}

#[test]
fn what_flusso_0_15_let_pass_is_read_as_it_read_it_and_told() {
    let database = Postgres::with(&deployment::file("database.sql"));
    let host = Host::on(&database.url());
    deployment::copy_to(host.folder());
    let log = host.run(&["--once"]).succeeded().log;
    for note in [
        "switched.schema.yml:3:8: table: `Accounts` is read as `accounts`, unless the database has exactly this name",
        "column: this means nothing: rows are counted, not values; remove it, or filter with `is_not_null`",
        "value_type: `avg` is always a `double`; remove it",
    ] {
        assert_eq!(log.matches(note).count(), 1 + usize::from(note.contains("counted")), "{note}\nin {log}");
    }
}
