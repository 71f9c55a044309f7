//! `plugin list`, `plugin inspect`, `plugin build`, `check`.

use std::process::Command;

use flusso_tests::{Host, Postgres, given};

#[test]
fn list_names_what_is_in_the_folders() {
    let host = Host::new();
    let text = host.run(&["plugin", "list"]).succeeded().lines.join("\n");
    for word in ["pg", "source", "builder", "ndjson", "sink"] {
        assert!(text.contains(word), "{word:?} is missing in {text}");
    }
    let json = host.run(&["plugin", "list", "--format", "json"]).succeeded().lines.join("\n");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names: Vec<_> =
        json.as_array().unwrap().iter().map(|plugin| plugin["name"].as_str().unwrap_or_default()).collect();
    assert!(names.contains(&"pg") && names.contains(&"ndjson"), "{names:?}");
}

#[test]
fn a_file_that_is_no_plugin_is_listed_as_such() {
    let host = Host::new();
    std::fs::create_dir(host.folder().join("plugins")).unwrap();
    host.file("plugins/broken.wasm", "nonsense");
    let ended = host.run(&["plugin", "list"]).succeeded();
    let text = ended.lines.join("\n") + &ended.log;
    assert!(text.contains("broken.wasm"), "{text}");
}

#[test]
fn inspect_says_what_it_is_told_and_wants() {
    let host = Host::new();
    let text = host.run(&["plugin", "inspect", "pg"]).succeeded().lines.join("\n");
    for word in ["connection_url", "slot", "publication", "network", "DATABASE_URL", "postgres", "0.1"] {
        assert!(text.contains(word), "{word:?} is missing in {text}");
    }
    let json = host.run(&["plugin", "inspect", "pg", "--format", "json"]).succeeded().lines.join("\n");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["name"], "pg");
    assert!(json["settings"]["properties"]["connection_url"].is_object(), "{json}");
    host.run(&["plugin", "inspect", "pgg"]).refused(3, &["pgg", "`pg`"]);
}

#[test]
fn build_makes_a_component_from_source() {
    // With the real environment: cargo and rustup find their folders by it.
    let out = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/ndjson");
    let built = Command::new(given("FLUSSO_TEST_HOST"))
        .args(["plugin", "build", source, "-o"])
        .arg(out.path())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let artifact = out.path().join("ndjson.wasm");
    assert!(artifact.is_file());
    let text = Host::new().run(&["plugin", "inspect", &artifact.display().to_string()]).succeeded().lines.join("\n");
    assert!(text.contains("ndjson"), "{text}");
}

/// What another toolchain makes: a component that says nothing about itself to a host that does not run it.
fn component_without_manifest(host: &Host) -> String {
    let mut bytes = std::fs::read(std::path::Path::new(&given("FLUSSO_TEST_PLUGINS")).join("ndjson.wasm")).unwrap();
    let name = b"flusso:manifest";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at] = b'F';
    let path = host.folder().join("foreign.wasm");
    std::fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

#[test]
fn a_component_of_another_toolchain_becomes_a_plugin_by_its_manifest() {
    let host = Host::new();
    let foreign = component_without_manifest(&host);
    host.run(&["plugin", "inspect", &foreign]).refused(3, &["foreign.wasm", "--manifest"]);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/ndjson/manifest.json");
    let out = host.folder().join("out").display().to_string();
    let built = host.run(&["plugin", "build", &foreign, "--manifest", manifest, "-o", &out]).succeeded();
    let artifact = built.lines.last().unwrap().clone();
    assert!(artifact.ends_with("ndjson.wasm"), "{artifact}");
    assert!(host.run(&["plugin", "inspect", &artifact]).succeeded().lines.join("\n").contains("ndjson"));

    let other = host.folder().join("other.json");
    let text = std::fs::read_to_string(manifest).unwrap().replace("\"name\": \"ndjson\"", "\"name\": \"files\"");
    std::fs::write(&other, text).unwrap();
    let other = other.display().to_string();
    host.run(&["plugin", "build", &foreign, "--manifest", &other, "-o", &out]).refused(3, &["another manifest"]);
    host.run(&["plugin", "build", &foreign, "--manifest", "none.json", "-o", &out]).refused(2, &["none.json"]);
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/ndjson");
    host.run(&["plugin", "build", package, "--manifest", &other]).refused(2, &["--manifest"]);
}

#[test]
fn build_names_what_is_wrong() {
    let host = Host::new();
    let nowhere = host.folder().join("nowhere").display().to_string();
    host.run(&["plugin", "build", &nowhere]).refused(2, &["nowhere", "Cargo.toml"]);
}

#[test]
fn check_finds_what_run_would_refuse() {
    let database = Postgres::with("CREATE TABLE t (id int PRIMARY KEY)");
    let host = Host::on(&database.url());
    let good = host.run(&["check", "--plugin", "pg.wasm"]).succeeded();
    assert!(!good.lines.is_empty());
    assert_eq!((database.slots(), database.publications()), (0, 0), "check changes nothing");
    let json = host.run(&["check", "--plugin", "pg.wasm", "--format", "json"]).succeeded().lines.join("\n");
    let _: serde_json::Value = serde_json::from_str(&json).unwrap();

    host.file("flusso.toml", "[source]\nplugin = \"pg\"\nslto = \"a\"\n");
    let bad = host.run(&["check"]);
    assert_eq!(bad.code, Some(2), "{}", bad.log);
    let said = bad.lines.join("\n") + &bad.log;
    assert!(said.contains("slto") && said.contains("slot"), "{said}");
}

#[test]
fn the_json_schemas_of_both_files_are_printed() {
    let host = Host::new();
    let parsed = |words: &[&str]| -> serde_json::Value {
        serde_json::from_str(&host.run(words).succeeded().lines.join("\n")).unwrap()
    };
    let config = parsed(&["schema", "config"]);
    assert!(config["properties"]["on_history_loss"].is_object(), "{config:#}");
    // The settings of the plugins at hand are completed too.
    assert!(config["$defs"]["settings_pg"]["properties"]["publication"].is_object(), "{config:#}");
    let index = parsed(&["schema", "index"]);
    assert!(
        index["properties"]["soft_delete"].is_object() && index["$defs"]["field_has_many"].is_object(),
        "{index:#}"
    );
    assert_eq!(parsed(&["schema", "index", "--plugin", "pg"]), index);
}

#[test]
fn without_a_builder_at_hand_the_schema_of_an_index_says_what_is_missing() {
    let host = Host::new().with("FLUSSO_PLUGIN_DIR", "nowhere");
    host.run(&["schema", "index"]).refused(3, &["--plugin", "plugin build"]);
}
