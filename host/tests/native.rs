//! Libraries that are no plugins of this host, made by a C compiler from `tests/guests/c-sink` with one thing wrong in each: they
//! are refused by name, and nothing is loaded of those whose file tells.

use std::path::{Path, PathBuf};
use std::process::Command;

use flusso_host::engine::StageError;
use flusso_host::engine::stage::Sink as _;
use flusso_host::plugin::locate::Found;
use flusso_host::plugin::wasm::{Checked, CompileLimits, GuestSink, Plugin, Prepared, Runtime, Setup};

/// The sink in C, with some words of its source exchanged.
fn library(folder: &Path, exchanged: &[(&str, &str)]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut source =
        std::fs::read_to_string(root.join("tests/guests/c-sink/sink.c")).unwrap_or_else(|error| panic!("{error}"));
    for (word, other) in exchanged {
        assert!(source.contains(word), "the source has no `{word}`");
        source = source.replace(word, other);
    }
    let (file, path) = (folder.join("sink.c"), folder.join(format!("c-sink.{}", std::env::consts::DLL_EXTENSION)));
    std::fs::write(&file, source).unwrap_or_else(|error| panic!("{error}"));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-I"])
        .arg(root.join("plugins/abi/include"))
        .arg("-o")
        .args([&path, &file])
        .output()
        .unwrap_or_else(|error| panic!("a C compiler is needed, as Rust itself needs one to link: {error}"));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    path
}

async fn prepared(path: PathBuf) -> Result<Prepared, String> {
    let runtime = Runtime::new(None).map_err(|error| error.to_string())?;
    let checked = Checked::read(Found { path }).map_err(|error| error.to_string())?;
    let compiled = runtime.compile(checked, CompileLimits::default()).await.map_err(|error| error.to_string())?;
    runtime.prepare(compiled).map_err(|error| error.to_string())
}

/// Opens the sink of a library and flushes it.
async fn used(path: PathBuf, folder: &Path) -> Result<(), StageError> {
    let prepared = prepared(path).await.unwrap_or_else(|error| panic!("{error}"));
    let settings = serde_json::json!({ "path": folder.join("lines") }).as_object().cloned().unwrap_or_default();
    let sink = GuestSink::new(Plugin::new(prepared, Setup { settings, ..Setup::bare("primary") }));
    let mut sink = sink.open().await?;
    sink.flush(true, std::time::Duration::from_secs(5)).await.map(drop)
}

#[tokio::test]
async fn a_library_that_is_no_plugin_of_this_host_is_refused_by_name() {
    for (word, other, said) in [
        (
            "const flusso_plugin *flusso_plugin_v1(void) {",
            "const flusso_plugin *something_else(void) {",
            "exports no `flusso_plugin_v1`",
        ),
        ("return &table;", "return NULL;", "returned no table"),
        (
            "sizeof(flusso_plugin), FLUSSO_VERSION",
            "sizeof(flusso_plugin), 2",
            "version 2 of the interface of native plugins and this host has 1",
        ),
        ("sizeof(flusso_plugin), FLUSSO_VERSION", "16, FLUSSO_VERSION", "its table has 16 bytes"),
        ("manifest, sizeof manifest - 1}", "\"{}\", 2}", "another manifest than its section"),
        ("\"sink\", 4}", "\"source\", 6}", "claims the role `sink` and does not export `sink`"),
        (
            "FLUSSO_MANIFEST(manifest,",
            "static const char manifest[] = (",
            "is a library without a section `flusso_manifest`",
        ),
        (
            "\\\"contract\\\":\\\"0.2.0\\\"",
            "\\\"contract\\\":\\\"0.3.0\\\"",
            "built against version 0.3.0 of the plugin contract",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = library(folder.path(), &[(word, other)]);
        let text = prepared(path.clone()).await.err().unwrap_or_else(|| panic!("{other}: taken"));
        assert!(text.contains(said) && text.contains(&path.display().to_string()), "{other}: {text}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_interface_ends_the_instance() {
    let opened = "if (!path_of(";
    for (other, said) in [
        ("if (0) return; put_byte(to, 7); return; if (!path_of(", "an answer that cannot be read"),
        ("put_byte(to, 0); put_byte(to, 0); return; if (!path_of(", "too many"),
        ("from->wrong = 1; return; if (!path_of(", "the arguments cannot be read"),
    ] {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let ended = used(library(folder.path(), &[(opened, other)]), folder.path()).await;
        let Err(StageError::Violation(text) | StageError::Crashed(text)) = ended else { panic!("{other}: {ended:?}") };
        assert!(
            text.contains("plugin c-sink 0.1.0 (primary), call sink.open") && text.contains(said),
            "{other}: {text}"
        );
    }
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    for (word, other, said) in [
        ("return FLUSSO_ANSWERED;", "return 9;", "the status 9"),
        ("return FLUSSO_ANSWERED;", "return FLUSSO_UNKNOWN;", "no such function"),
        ("return FLUSSO_ANSWERED;", "return FLUSSO_FAILED;", "failed inside"),
        ("if (self) self->host = host;", "free(self); return NULL;", "made no instance"),
    ] {
        let ended = used(library(folder.path(), &[(word, other)]), folder.path()).await;
        assert!(ended.as_ref().is_err_and(|error| error.to_string().contains(said)), "{other}: {ended:?}");
    }
    let fine = used(library(folder.path(), &[]), folder.path()).await;
    assert!(fine.is_ok(), "{fine:?}");
}

#[tokio::test]
async fn what_was_checked_is_what_runs() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let path = library(folder.path(), &[]);
    let runtime = Runtime::new(None).unwrap_or_else(|error| panic!("{error}"));
    let checked = Checked::read(Found { path: path.clone() }).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(&path, "something else").unwrap_or_else(|error| panic!("{error}"));
    assert!(runtime.compile(checked, CompileLimits::default()).await.is_ok());
}
