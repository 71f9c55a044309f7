//! The deployment of `tests/ancestor`, which flusso 0.15 and ours both run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

/// Documents by index and id.
pub type Documents = BTreeMap<(String, String), Json>;

/// The folder with the deployment.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ancestor")
}

/// A file of it.
///
/// # Panics
/// If it cannot be read.
pub fn file(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Copies its configuration and schemas into a folder.
///
/// # Panics
/// If that fails.
pub fn copy_to(to: &Path) {
    let made = std::fs::create_dir_all(to.join("schemas"));
    assert!(made.is_ok(), "{}: {made:?}", to.display());
    let mut names = vec!["flusso.toml".to_owned()];
    for (part, prefix) in [(folder(), ""), (folder().join("schemas"), "schemas/")] {
        let entries = std::fs::read_dir(&part).unwrap_or_else(|error| panic!("{}: {error}", part.display()));
        let found = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.extend(found.filter(|name| name.ends_with(".schema.yml")).map(|name| format!("{prefix}{name}")));
    }
    for name in names {
        let written = std::fs::write(to.join(&name), file(&name));
        assert!(written.is_ok(), "{name}: {written:?}");
    }
}

/// What is left of lines of upserts and deletes, ours or the ancestor's.
///
/// # Panics
/// If one is no such line.
pub fn documents<'l>(lines: impl Iterator<Item = &'l str>) -> Documents {
    let mut documents = Documents::new();
    for text in lines {
        let mut line: Json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let word = |name: &str| line.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let key = (word("index"), word("id"));
        match word("op").as_str() {
            "delete" => documents.remove(&key),
            _ => documents.insert(key, line.get_mut("document").map(Json::take).unwrap_or_default()),
        };
    }
    documents
}

/// Where two values differ as JSON values: numbers as numbers, objects in any order. One line a place.
pub fn differences(path: &str, theirs: &Json, ours: &Json, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Json::Object(a), Json::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differences(&path, a, b, found),
                    (a, _) => found.push(format!("{path}: only in {}", if a.is_some() { "theirs" } else { "ours" })),
                }
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{at}]"), a, b, found);
            }
        }
        (Json::Number(a), Json::Number(b)) if a.as_f64() == b.as_f64() => {}
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{path}: theirs {a}, ours {b}")),
    }
}
