//! The JSON Schema for editors agrees with the reader: it takes what is valid and, but for the rules marked `>!` in
//! `rules.txt`, refuses what is not.

use super::{EXAMPLE, rules};
use crate::language::{self, TYPE_KEYS};
use crate::problem::Report;
use crate::yaml;
use crate::{JSON_SCHEMA, json_schema};
use serde_json::Value as Json;

fn as_json(text: &str) -> Option<Json> {
    let mut report = Report::new("f.yml");
    let node = yaml::parse(text, &mut report);
    report.finish(node).ok().map(|(node, _)| node.to_json())
}

#[test]
fn editors_take_what_the_reader_takes() {
    let validator = jsonschema::draft202012::new(&json_schema()).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&as_json(EXAMPLE).unwrap())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn editors_refuse_what_the_reader_refuses() {
    let validator = jsonschema::draft202012::new(&json_schema()).unwrap();
    let mut wrong = Vec::new();
    for case in rules::cases() {
        // What is no YAML at all has no JSON to look at.
        if let Some(json) = as_json(&case.file)
            && validator.is_valid(&json) == case.in_editor
        {
            wrong.push(format!("{} (an editor {})", case.rule, if case.in_editor { "takes it" } else { "refuses it" }));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_word_of_the_language_is_in_the_schema_with_its_description() {
    let schema = json_schema();
    for key in TYPE_KEYS {
        let properties = &schema["$defs"][format!("field_{}", key.name)]["properties"];
        assert_eq!(properties[key.name]["description"], key.about);
        for sibling in key.siblings {
            assert_eq!(properties[sibling.name]["description"], sibling.about, "{} of {}", sibling.name, key.name);
        }
        assert_eq!(properties.as_object().unwrap().len(), key.siblings.len() + 1);
    }
    for sibling in language::TOP {
        assert_eq!(schema["properties"][sibling.name]["description"], sibling.about);
    }
}

/// After a change of the language: `FLUSSO_WRITE=1 cargo test -p flusso-schema` writes it.
#[test]
fn the_file_beside_the_sources_is_what_the_language_says() {
    let now = json_schema();
    if std::env::var_os("FLUSSO_WRITE").is_some() {
        return std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/index.schema.json"), format!("{now:#}\n"))
            .unwrap();
    }
    // Values, not texts: how keys are ordered depends on the features that a build gives serde_json.
    let file: serde_json::Value = serde_json::from_str(JSON_SCHEMA).unwrap();
    assert_eq!(file, now, "index.schema.json is old: FLUSSO_WRITE=1 cargo test -p flusso-schema writes it");
}
