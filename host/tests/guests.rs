//! Real components through the whole way: built by `plugin build`, compiled, cached, linked, called as stages.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flusso_host::engine::stage::{Documents, Sink as _, Writer};
use flusso_host::model::{Document, Mapping};
use flusso_host::plugin::build::{Kind, build};
use flusso_host::plugin::capability::Grants;
use flusso_host::plugin::locate::{Found, Places};
use flusso_host::plugin::settings::Schema;
use flusso_host::plugin::state::StateFolder;
use flusso_host::plugin::wasm::{Checked, CompileLimits, GuestSink, Plugin, Prepared, Runtime, Setup};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"))
}

/// A component of one of the packages, built once a process.
async fn component(package: &str) -> PathBuf {
    static BUILDING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one_at_a_time = BUILDING.lock().await;
    let name = package.replace('/', "-");
    let out =
        std::env::temp_dir().join(format!("flusso-guests-{}", std::process::id())).join(name).with_extension("wasm");
    if !out.is_file() {
        let runtime = Runtime::new(None).unwrap_or_else(|error| panic!("{error}"));
        build(&runtime, &root().join(package), Kind::Component, Some(&out))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
    out
}

async fn prepare(runtime: &Runtime, path: &Path) -> Prepared {
    let checked = Checked::read(Found { path: path.to_path_buf() }).unwrap_or_else(|error| panic!("{error}"));
    let compiled = runtime.compile(checked, CompileLimits::default()).await.unwrap_or_else(|error| panic!("{error}"));
    runtime.prepare(compiled).unwrap_or_else(|error| panic!("{error}"))
}

/// How an operator with these settings would use the plugin.
fn setup(prepared: &Prepared, settings: serde_json::Value, state: &StateFolder) -> Setup {
    let settings = settings.as_object().cloned().unwrap_or_default();
    let schema = Schema::new(&prepared.manifest().settings).unwrap_or_else(|error| panic!("{error}"));
    schema.check(&settings).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut grants = Grants::none();
    schema.grant(&settings, &mut grants).unwrap_or_else(|problem| panic!("{problem}"));
    let state = state.plugin(&prepared.manifest().name, "primary", 1 << 20).into();
    Setup { settings, grants, state, ..Setup::bare("primary") }
}

fn mapping(index: &str, hash: &str) -> Mapping {
    Mapping { index: index.to_owned(), hash: hash.to_owned(), fields: Vec::new(), prefix: String::new(), extra: None }
}

fn documents(count: usize, target: u32) -> Documents {
    let document = |number: usize| Document {
        index: 0,
        id: number.to_string(),
        key: flusso_host::model::Key::new(vec![flusso_host::model::Value::Integer(
            i64::try_from(number).unwrap_or_default(),
        )]),
        version: 1,
        body: Some(format!("{{\"number\":{number:>8},\"text\":\"{}\"}}", "x".repeat(71)).into_bytes()),
    };
    Documents::new((0..count).map(document).collect(), Arc::new([vec![target]]))
}

async fn open(sink: &GuestSink) -> Box<dyn Writer> {
    sink.open().await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn ndjson_writes_cuts_and_remembers() {
    let (out, state) = (folder(), folder());
    let path = out.path().join("made/by/the/host");
    let runtime = Runtime::new(None).unwrap_or_else(|error| panic!("{error}"));
    let prepared = prepare(&runtime, &component("plugins/ndjson").await).await;
    let state = StateFolder::open(state.path()).unwrap_or_else(|error| panic!("{error}"));
    let sink =
        GuestSink::new(Plugin::new(prepared.clone(), setup(&prepared, serde_json::json!({ "path": path }), &state)));
    let file = path.join("users.ndjson");

    let mut writer = open(&sink).await;
    let ensured = writer.ensure_index(&mapping("users", "a")).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(ensured.empty);
    assert_eq!(writer.seeded(ensured.target).await.ok(), Some(None));
    assert!(writer.write(documents(2, ensured.target)).await.is_ok());
    assert_eq!(writer.flush(true, Duration::from_secs(5)).await.ok().map(|flushed| flushed.rejected), Some(Vec::new()));
    assert!(writer.mark_seeded(ensured.target, &"history".into()).await.is_ok());
    drop(writer);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text.starts_with("{\"op\":\"upsert\",\"index\":\"users\",\"id\":\"0\",\"document\":{\"number\":"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 2);

    // A torn line is cut; the target is the same; the mark holds for the same mapping only.
    assert!(std::fs::write(&file, format!("{text}{{\"op\":\"up")).is_ok());
    let mut writer = open(&sink).await;
    let other = writer.ensure_index(&mapping("orders", "a")).await.unwrap_or_else(|error| panic!("{error}"));
    let again = writer.ensure_index(&mapping("users", "a")).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((again.target, again.empty), (ensured.target, false));
    assert_ne!(again.target, other.target);
    assert_eq!(writer.seeded(again.target).await.ok().flatten().as_deref(), Some("history"));
    assert!(writer.clear(again.target, 2).await.is_ok() && writer.flush(true, Duration::from_secs(5)).await.is_ok());
    assert_eq!(std::fs::read_to_string(&file).ok(), Some(format!("{text}{{\"op\":\"clear\",\"index\":\"users\"}}\n")));
    assert!(
        writer
            .begin_rebuild(&mapping("users", "b"), false)
            .await
            .is_err_and(|error| error.to_string().contains("not supported"))
    );
    let changed = writer.ensure_index(&mapping("users", "b")).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(writer.seeded(changed.target).await.ok(), Some(None));
    assert!(writer.mark_unseeded(changed.target).await.is_ok());
    let back = writer.ensure_index(&mapping("users", "a")).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(writer.seeded(back.target).await.ok(), Some(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_granted_folder_is_reached() {
    let (out, state) = (folder(), folder());
    let runtime = Runtime::new(None).unwrap_or_else(|error| panic!("{error}"));
    let prepared = prepare(&runtime, &component("plugins/ndjson").await).await;
    let state = StateFolder::open(state.path()).unwrap_or_else(|error| panic!("{error}"));
    let mut denied = setup(&prepared, serde_json::json!({ "path": out.path() }), &state);
    denied.grants = Grants::none();
    let refused = GuestSink::new(Plugin::new(prepared, denied)).open().await.err().map(|error| error.to_string());
    assert!(refused.as_deref().is_some_and(|text| text.contains("setting `path`")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_compiles_nothing_and_a_damaged_entry_is_compiled_again() {
    let cache = folder();
    let path = component("plugins/ndjson").await;
    let start = || async {
        let runtime = Runtime::new(Some(cache.path())).unwrap_or_else(|error| panic!("{error}"));
        let started = Instant::now();
        let prepared = prepare(&runtime, &path).await;
        assert!(runtime.is_cached(prepared.digest()));
        started.elapsed()
    };
    let (cold, warm) = (start().await, start().await);
    println_times("prepare ndjson", cold, warm);
    assert!(warm < cold / 4, "cold {cold:?}, warm {warm:?}");
    let entries: Vec<_> =
        std::fs::read_dir(cache.path()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    // Beside them is the key.
    let entries: Vec<_> = entries.into_iter().filter(|path| path.extension().is_some()).collect();
    assert_eq!(entries.len(), 1);
    for entry in &entries {
        let mut bytes = std::fs::read(entry).unwrap_or_default();
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle).take(64).for_each(|byte| *byte = !*byte);
        assert!(std::fs::write(entry, bytes).is_ok());
    }
    start().await;
    assert!(start().await < cold / 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_plugins_are_listed_without_compiling_any() {
    let places = folder();
    let path = component("plugins/ndjson").await;
    for number in 0..20 {
        assert!(std::fs::copy(&path, places.path().join(format!("p{number}.wasm"))).is_ok());
    }
    let started = Instant::now();
    let listed = Places::only([places.path().to_path_buf()]).list();
    println_times("list 20 plugins", started.elapsed(), Duration::ZERO);
    assert!(listed.len() == 20 && listed.iter().all(|(_, manifest)| manifest.is_ok()));
}

/// `cargo test --release -p flusso-host --test guests -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_million_documents_into_a_file() {
    let (out, state) = (folder(), folder());
    let runtime = Runtime::new(None).unwrap_or_else(|error| panic!("{error}"));
    let prepared = prepare(&runtime, &component("plugins/ndjson").await).await;
    let state = StateFolder::open(state.path()).unwrap_or_else(|error| panic!("{error}"));
    let sink = GuestSink::new(Plugin::new(
        prepared.clone(),
        setup(&prepared, serde_json::json!({ "path": out.path() }), &state),
    ));
    let mut writer = open(&sink).await;
    let ensured = writer.ensure_index(&mapping("users", "a")).await.unwrap_or_else(|error| panic!("{error}"));
    let batch = documents(2_000, ensured.target);
    let (mut writing, mut flushing) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..500 {
        let started = Instant::now();
        assert!(writer.write(batch.clone()).await.is_ok());
        writing += started.elapsed();
        let started = Instant::now();
        assert!(writer.flush(false, Duration::from_secs(20)).await.is_ok());
        flushing += started.elapsed();
    }
    println_times("1 000 000 documents: write, flush", writing, flushing);
}

#[expect(clippy::print_stdout, reason = "measurements are for whoever runs the test")]
fn println_times(what: &str, first: Duration, second: Duration) {
    println!("{what}: {first:?} {second:?}");
}
