//! What the sources promise about themselves: imports point one way only, no files of one room import each other in a circle,
//! `unsafe` stays in its one file, every test that a comment names exists, and everything in the contract is documented.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which modules of the host each module may name, beside itself and the table of limits.
const LAYERS: [(&str, &[&str]); 14] = [
    ("limits", &[]),
    ("model", &[]),
    ("engine", &["model"]),
    ("config", &[]),
    ("plugin", &["engine", "model"]),
    ("mask", &[]),
    ("telemetry", &["engine", "mask", "model"]),
    ("stdout", &["engine", "model"]),
    ("metrics", &["engine", "mask", "plugin"]),
    ("server", &["engine", "metrics", "plugin"]),
    ("demo", &[]),
    ("app", &["config", "engine", "mask", "metrics", "model", "plugin", "server", "stdout"]),
    ("cli", &["app", "config", "demo", "engine", "mask", "metrics", "plugin", "telemetry"]),
    ("main", &["cli"]),
];

/// Words that a module must not hold: what it stands on would be a backend, or no longer pure.
const FORBIDDEN: [(&str, &[&str]); 2] = [
    ("model", &["tokio", "async ", "serde", "wasmtime", "std::fs", "std::net", "std::process"]),
    ("engine", &["wasmtime", "redb", "rustls", "std::fs", "std::net", "std::process", "tokio::net", "tokio::fs"]),
];

/// The one file that may hold `unsafe`.
const UNSAFE_FILES: [&str; 2] = ["plugin/wasm/deserialize.rs", "plugin/native/library.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file by its path below `src`, without comments.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, code(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root(), &mut found);
    assert!(found.len() > 10, "the sources were not found");
    found
}

/// Comments and the insides of string literals removed, roughly: enough to look for words.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn wrong_imports(file: &str, code: &str) -> Vec<String> {
    let own = module(file);
    if own == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == own) else {
        return vec![format!("{file}: the module `{own}` has no place in the order; give it one here")];
    };
    let mut wrong = Vec::new();
    for prefix in ["crate::", "flusso_host::"] {
        for rest in code.split(prefix).skip(1) {
            let named: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let known = LAYERS.iter().any(|(name, _)| *name == named && named != "limits");
            if known && named != own && !allowed.contains(&named.as_str()) {
                wrong.push(format!("{file}: `{own}` must not name `{named}`"));
            }
        }
    }
    wrong
}

fn holds_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[test]
fn imports_point_one_way() {
    let wrong: Vec<_> = sources().iter().flat_map(|(file, code)| wrong_imports(file, code)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_import_that_points_the_wrong_way_is_found() {
    assert_eq!(wrong_imports("engine/batch.rs", "use crate::model::Key;\nuse crate::plugin::Guest;").len(), 1);
    assert_eq!(wrong_imports("model/key.rs", "use crate::engine::Batch;").len(), 1);
    assert_eq!(
        wrong_imports("plugin/wasm/guest.rs", "use crate::{config::Config};\nuse crate::config::Config;").len(),
        1
    );
    assert_eq!(wrong_imports("strange.rs", "").len(), 1);
}

/// Folders below `src` whose files must not import each other in a circle.
const WITHOUT_CYCLES: [&str; 3] = ["engine", "plugin/links", "plugin/wasm"];

/// Generated code names the type of a resource that the host implements, and that file names the generated trait.
const GENERATED: &str = "bindings";

/// The files of a folder that each of its files imports. A `mod.rs` only declares and re-exports; tests may import anything.
fn imports_within(folder: &str, sources: &BTreeMap<String, String>) -> BTreeMap<String, Vec<String>> {
    let files: Vec<&str> = sources
        .keys()
        .filter_map(|file| file.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".rs"))
        .filter(|file| !file.contains("tests") && !file.ends_with("mod") && *file != GENERATED)
        .collect();
    let root = format!("crate::{}::", folder.replace('/', "::"));
    let mut found = BTreeMap::new();
    for file in &files {
        let code = &sources[&format!("{folder}/{file}.rs")];
        // The path of the file's own parent, for `super::`.
        let parent =
            file.rsplit_once('/').map_or(root.clone(), |(parent, _)| format!("{root}{}::", parent.replace('/', "::")));
        let code = code.replace("super::", &parent);
        let imports = files.iter().filter(|other| {
            let path = format!("{root}{}", other.replace('/', "::"));
            *other != file && holds_word(&code, &path)
        });
        found.insert((*file).to_owned(), imports.map(|other| (*other).to_owned()).collect());
    }
    found
}

/// Files that import each other in a circle, if there are any.
fn cycle(imports: &BTreeMap<String, Vec<String>>) -> Option<Vec<String>> {
    fn visit<'a>(
        file: &'a str,
        imports: &'a BTreeMap<String, Vec<String>>,
        path: &mut Vec<&'a str>,
        done: &mut Vec<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|other| *other == file) {
            return Some(path[start..].iter().chain([&file]).map(|file| (*file).to_owned()).collect());
        }
        if done.contains(&file) {
            return None;
        }
        path.push(file);
        let found = imports[file].iter().find_map(|other| visit(other, imports, path, done));
        path.pop();
        done.push(file);
        found
    }
    let mut done = Vec::new();
    imports.keys().find_map(|file| visit(file, imports, &mut Vec::new(), &mut done))
}

#[test]
fn no_files_of_one_room_import_each_other_in_a_circle() {
    let sources = sources();
    for folder in WITHOUT_CYCLES {
        let imports = imports_within(folder, &sources);
        assert!(imports.values().flatten().count() > 3, "{folder}: the imports were not found");
        assert_eq!(cycle(&imports), None, "{folder}");
    }
}

#[test]
fn a_circle_of_imports_is_found() {
    let file = |name: &str, code: &str| (format!("engine/{name}.rs"), code.to_owned());
    let mut sources = BTreeMap::from([
        file("live/a", "use crate::engine::live::b::B;"),
        file("live/b", "use crate::engine::c::C;"),
        file("c", "use crate::engine::live::ab::A;"),
        file("live/ab", ""),
    ]);
    assert_eq!(cycle(&imports_within("engine", &sources)), None);
    sources.extend([file("c", "use super::live::a::A;")]);
    assert!(cycle(&imports_within("engine", &sources)).is_some());
}

/// The test names after `Guarded by` in comments, with what is after the last `::`.
fn guards(text: &str) -> Vec<String> {
    let comments: Vec<&str> =
        text.lines().filter_map(|line| Some(line.split_once("//")?.1.trim_start_matches(['/', '!', ' ']))).collect();
    let text = comments.join(" ");
    let names = text.split("Guarded by").skip(1).filter_map(|rest| {
        let path = rest.trim_start().strip_prefix('`')?.split('`').next()?;
        Some(path.rsplit("::").next().unwrap_or_default().to_owned())
    });
    names.collect()
}

#[test]
fn every_test_that_guards_an_invariant_exists() {
    fn read(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    read(&root(), &mut text);
    let guards = guards(&text);
    assert!(guards.len() > 20, "the guards were not found: {guards:?}");
    for guard in guards {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&guard).is_file();
        let exists = file || text.contains(&format!("fn {guard}(")) || text.contains(&format!("mod {guard};"));
        assert!(exists, "`{guard}` is named as a guard, and there is no such test");
    }
}

#[test]
fn the_inner_layers_stay_pure() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        for (layer, words) in FORBIDDEN {
            // The engine's own tests may use what they like.
            if module(&file) == layer && !file.contains("/tests") {
                wrong.extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{file}: {word}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_stays_in_its_two_files() {
    let found: Vec<_> =
        sources().into_iter().filter(|(_, code)| holds_word(code, "unsafe")).map(|(file, _)| file).collect();
    assert!(
        found.iter().all(|file| UNSAFE_FILES.contains(&file.as_str())),
        "unsafe outside {UNSAFE_FILES:?}: {found:?}"
    );
    assert!(holds_word("let x = unsafe { y() };", "unsafe") && !holds_word("#![deny(unsafe_code)]", "unsafe"));
}

/// Everything in a WIT file that wants a sentence and has none.
fn undocumented(text_of: &[(&str, &str)]) -> Vec<String> {
    use wit_parser::{Resolve, TypeDefKind, UnresolvedPackageGroup};

    let mut resolve = Resolve::default();
    let mut map = wit_parser::SourceMap::default();
    for (name, text) in text_of {
        map.push_str(name, *text);
    }
    let group: UnresolvedPackageGroup = map.parse().unwrap_or_else(|(map, error)| panic!("{}", error.render(&map)));
    resolve.push_group(group).unwrap_or_else(|error| panic!("{error:?}"));

    let mut missing = Vec::new();
    let mut want = |what: String, docs: &wit_parser::Docs| {
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            missing.push(what);
        }
    };
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.as_deref().unwrap_or("an inline interface");
        want(format!("interface {name}"), &interface.docs);
        for (function, definition) in &interface.functions {
            want(format!("{name}.{function}"), &definition.docs);
        }
        for (type_name, id) in &interface.types {
            let definition = &resolve.types[*id];
            // `use` makes an alias that is documented where it comes from.
            let used = matches!(definition.kind, TypeDefKind::Type(wit_parser::Type::Id(_)))
                && definition.docs.contents.is_none();
            if !used {
                want(format!("{name}.{type_name}"), &definition.docs);
            }
            let of = |part: &str| format!("{name}.{type_name}.{part}");
            match &definition.kind {
                TypeDefKind::Record(record) => {
                    record.fields.iter().for_each(|field| want(of(&field.name), &field.docs))
                }
                TypeDefKind::Variant(variant) => variant.cases.iter().for_each(|case| want(of(&case.name), &case.docs)),
                TypeDefKind::Enum(all) => all.cases.iter().for_each(|case| want(of(&case.name), &case.docs)),
                TypeDefKind::Flags(flags) => flags.flags.iter().for_each(|flag| want(of(&flag.name), &flag.docs)),
                _ => {}
            }
        }
    }
    for (_, world) in &resolve.worlds {
        want(format!("world {}", world.name), &world.docs);
    }
    missing
}

#[test]
fn everything_in_the_contract_is_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "wit") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(files.len() > 5, "the contract was not found");
    let all: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(undocumented(&all), Vec::<String>::new());
}

#[test]
fn an_undocumented_item_is_found() {
    let text = "package a:b@0.1.0;\n/// Said.\ninterface i {\n record r { f: u32 }\n /// Said.\n g: func();\n h: func();\n}\nworld w { import i; }";
    assert_eq!(undocumented(&[("a.wit", text)]), ["i.h", "i.r", "i.r.f", "world w"]);
}

/// A limit's default with its unit, where the value does not carry one itself.
fn shown(limit: &flusso_host::limits::Limit) -> String {
    let bytes = limit.meaning.to_ascii_lowercase().contains("bytes");
    match limit.value.parse::<u64>() {
        Ok(size) if bytes => flusso_host::config::Bytes(size).to_string(),
        _ => limit.value.clone(),
    }
}

#[test]
fn the_documentation_lists_every_limit_as_the_program_has_it() {
    use std::fmt::Write as _;
    let mut expected = String::from(
        "# Limits\n\nEvery time limit, size and count of the host, with its default. A limit without a \
         setting is fixed.\n",
    );
    let mut part = "";
    for limit in flusso_host::limits::table() {
        let (own, name) = limit.name.split_once("::").unwrap();
        if own != part {
            part = own;
            write!(expected, "\n## {part}\n\n| limit | default | setting | what it limits |\n|---|---|---|---|\n")
                .unwrap();
        }
        let setting = if limit.setting.is_empty() { String::new() } else { format!("`{}`", limit.setting) };
        writeln!(expected, "| `{name}` | {} | {setting} | {} |", shown(&limit), limit.meaning).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("LIMITS.md");
    if std::env::var_os("FLUSSO_WRITE_LIMITS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "host/LIMITS.md is out of date; write it with FLUSSO_WRITE_LIMITS=1 and this test");
}

#[test]
fn every_step_of_the_longest_path_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    let steps = text.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
    let mut count = 0;
    for step in steps {
        count += 1;
        let place = step.split('`').nth(1).unwrap();
        let (file, functions) = place.split_once(": ").unwrap_or((place, ""));
        let path =
            [root.join("src").join(file), root.join("../plugins").join(file)].into_iter().find(|path| path.is_file());
        let path = path.unwrap_or_else(|| panic!("{file} of the longest path does not exist"));
        let code = std::fs::read_to_string(path).unwrap();
        for function in functions.split(", ").filter(|name| !name.is_empty()) {
            assert!(code.contains(&format!("fn {function}")), "{file} has no function {function}");
        }
    }
    assert!((40..55).contains(&count), "{count} steps");
}
