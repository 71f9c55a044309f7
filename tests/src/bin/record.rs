//! Writes `tests/ancestor/documents.jsonl` anew: what flusso 0.15 makes of the deployment beside it. Started by
//! `tests/compare record`.
//!
//! One index at a time, each over a database of its own: the ancestor cannot seed indexes whose keys are of different
//! types in one run (it fetches all of them by one prepared statement).

use std::io::Write;

use flusso_tests::{Ancestor, Postgres, deployment};

fn main() {
    let configuration = deployment::file("flusso.toml");
    let parts: Vec<&str> = configuration.split("[[index]]").collect();
    let mut documents = deployment::Documents::new();
    for wanted in 1..parts.len() {
        if !parts.get(wanted).is_some_and(|part| part.contains("enabled = true")) {
            continue;
        }
        let one: Vec<String> = (0..)
            .zip(&parts)
            .map(
                |(at, part)| {
                    if at == wanted { (*part).to_owned() } else { part.replace("enabled = true", "enabled = false") }
                },
            )
            .collect();
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        deployment::copy_to(folder.path());
        let written = std::fs::write(folder.path().join("flusso.toml"), one.join("[[index]]"));
        assert!(written.is_ok(), "{written:?}");
        let database = Postgres::with(&deployment::file("database.sql"));
        let out = folder.path().join("out");
        let mut ancestor = Ancestor::start(folder.path(), &database.url(), &out);
        ancestor.wait_until_seeded();
        ancestor.stop();
        let text = std::fs::read_to_string(&out).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
        let found = deployment::documents(text.lines());
        assert!(!found.is_empty(), "the ancestor made no documents of {one:?}");
        documents.extend(found);
    }
    let path = deployment::folder().join("documents.jsonl");
    let mut out = String::new();
    for ((index, id), document) in &documents {
        let line = serde_json::json!({ "index": index, "id": id, "document": document });
        out.push_str(&format!("{line}\n"));
    }
    let written = std::fs::write(&path, out);
    assert!(written.is_ok(), "{}: {written:?}", path.display());
    let _ = writeln!(std::io::stdout(), "{} documents in {}", documents.len(), path.display());
}
