//! I9 and I10, with a guest that does on purpose what no plugin should: each misdeed costs that guest its instance and
//! nothing else anything, and what was not granted is not reached.

use std::path::Path;
use std::time::{Duration, Instant};

use flusso_host::engine::StageError;
use flusso_host::engine::stage::{Sink as _, Writer};
use flusso_host::plugin::build::{Kind, build};
use flusso_host::plugin::wasm::{CompileLimits, GuestSink, Limits, Plugin, Prepared, Runtime, Setup};
use tokio::sync::OnceCell;

async fn prepared() -> &'static Prepared {
    static PREPARED: OnceCell<Prepared> = OnceCell::const_new();
    let prepare = || async {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/misbehave");
        let out = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = out.path().join("misbehave.wasm");
        let runtime = Runtime::new(None).unwrap_or_else(|error| panic!("{error}"));
        build(&runtime, &folder, Kind::Component, Some(&path)).await.unwrap_or_else(|error| panic!("{error}"));
        let checked = flusso_host::plugin::wasm::Checked::read(flusso_host::plugin::locate::Found { path });
        let compiled =
            runtime.compile(checked.unwrap_or_else(|error| panic!("{error}")), CompileLimits::default()).await;
        runtime.prepare(compiled.unwrap_or_else(|error| panic!("{error}"))).unwrap_or_else(|error| panic!("{error}"))
    };
    PREPARED.get_or_init(prepare).await
}

async fn guest(how: &str, address: &str, limits: Limits) -> Box<dyn Writer> {
    let settings = serde_json::json!({ "how": how, "address": address });
    let settings = settings.as_object().cloned().unwrap_or_default();
    let setup = Setup { settings, limits, ..Setup::bare("primary") };
    GuestSink::new(Plugin::new(prepared().await.clone(), setup)).open().await.unwrap_or_else(|error| panic!("{error}"))
}

async fn flush(writer: &mut Box<dyn Writer>) -> Result<(), StageError> {
    writer.flush(true, Duration::from_secs(5)).await.map(drop)
}

/// The answer to a misdeed: an error of that kind, which names plugin, version, instance and call; then nothing more.
async fn crashes(mut writer: Box<dyn Writer>, words: &str) {
    match flush(&mut writer).await {
        Err(StageError::Crashed(text) | StageError::Violation(text)) => {
            assert!(text.contains("plugin misbehave 0.1.0 (primary), call sink.flush"), "{text}");
            assert!(text.contains(words), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let again = flush(&mut writer).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(again.contains("is gone since an earlier call"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_ends_the_guest_and_says_why() {
    crashes(guest("trap", "", Limits::default()).await, "as it was told").await;
    assert!(flush(&mut guest("nothing", "", Limits::default()).await).await.is_ok());
    // Without a grant nothing but the call decides: the same trap twice is final. What reaches others may heal.
    let error = flush(&mut guest("trap", "", Limits::default()).await).await;
    assert!(matches!(error, Err(StageError::Violation(_))), "{error:?}");
    let settings = serde_json::json!({ "how": "trap", "address": "" }).as_object().cloned().unwrap_or_default();
    let mut setup = Setup { settings, ..Setup::bare("primary") };
    assert!(setup.grants.allow_network("127.0.0.1:1").is_ok());
    let writer = GuestSink::new(Plugin::new(prepared().await.clone(), setup)).open().await;
    let error = flush(&mut writer.unwrap_or_else(|error| panic!("{error}"))).await;
    assert!(matches!(error, Err(StageError::Crashed(_))), "{error:?}");
}

#[tokio::test]
async fn an_endless_loop_is_stopped_even_on_the_only_thread() {
    prepared().await;
    let limits = Limits { call_timeout: Duration::from_millis(200), ..Limits::default() };
    let writer = guest("spin", "", limits).await;
    let started = Instant::now();
    crashes(writer, "did not answer within 0.2 s (`limits.call_timeout`)").await;
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_in_the_host_counts_as_well() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let settings = serde_json::json!({ "how": "block", "address": address });
    let settings = settings.as_object().cloned().unwrap_or_default();
    let limits = Limits { call_timeout: Duration::from_millis(200), ..Limits::default() };
    let mut setup = Setup { settings, limits, ..Setup::bare("primary") };
    assert!(setup.grants.allow_network(&address).is_ok());
    let writer = GuestSink::new(Plugin::new(prepared().await.clone(), setup)).open().await;
    crashes(writer.unwrap_or_else(|error| panic!("{error}")), "did not answer within 0.2 s").await;
    assert!(listener.accept().await.is_ok(), "it did connect");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_over_the_limit_is_refused_and_named() {
    let limits = Limits { memory: 32 << 20, ..Limits::default() };
    crashes(guest("eat", "", limits).await, "bytes of memory and may have 33554432 (`limits.memory`)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_was_refused_in_an_earlier_call_is_not_why_a_later_one_fails() {
    let mut writer = guest("recover", "", Limits::default()).await;
    assert!(flush(&mut writer).await.is_ok());
    crashes(writer, "for another reason").await;
}

/// Files of this process that are open.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").into_iter().flatten().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_opens_files_without_end_loses_its_instance_and_they_are_closed() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let settings = serde_json::json!({ "how": "hoard", "path": folder.path() });
    let settings = settings.as_object().cloned().unwrap_or_default();
    let limits = Limits { handles: 500, ..Limits::default() };
    let before = open_files();
    for _ in 0..10 {
        let mut setup = Setup { settings: settings.clone(), limits, ..Setup::bare("primary") };
        setup.grants.allow_folder(folder.path(), flusso_host::plugin::capability::Access::Write);
        let writer = GuestSink::new(Plugin::new(prepared().await.clone(), setup)).open().await;
        let writer = writer.unwrap_or_else(|error| panic!("{error}"));
        crashes(
            writer,
            "held 500 files, folders, streams and connections open, and may hold no more (`limits.handles`)",
        )
        .await;
    }
    // The task that owned the last of them may not have ended yet.
    let started = Instant::now();
    while open_files() >= before + 400 {
        assert!(started.elapsed() < Duration::from_secs(30), "{before} files were open, and now {}", open_files());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handing_over_too_much_is_refused() {
    let limits = Limits { handover: 16 << 20, ..Limits::default() };
    crashes(guest("hand-over", "", limits).await, "handed over more than 16777216 bytes in one call").await;
    assert!(flush(&mut guest("hand-over", "", Limits::default()).await).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_ends_the_guest() {
    let mut writer = guest("lie", "", Limits::default()).await;
    match writer.seeded(0).await {
        Err(StageError::Violation(text)) => {
            assert!(text.contains("sink.seeded: the guest returned a history"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_lines_costs_little() {
    prepared().await;
    let started = Instant::now();
    assert!(flush(&mut guest("flood", "", Limits::default()).await).await.is_ok());
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reached_that_was_not_granted() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let said = flush(&mut guest("peek", &address, Limits::default()).await).await.err().map(|error| error.to_string());
    assert!(said.as_deref().is_some_and(|text| text.ends_with("reached: []")), "{said:?}");
}

/// One HTTP response for every connection.
async fn serve() -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 1 << 12];
            let read = stream.read(&mut head).await.unwrap_or_default();
            let line = String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
            let response =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{line}", line.len());
            drop(stream.write_all(response.as_bytes()).await);
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_request_goes_where_it_was_granted_and_nowhere_else() {
    let address = serve().await;
    let granted = async |list: &str| {
        let settings = serde_json::json!({ "how": "request", "address": address });
        let settings = settings.as_object().cloned().unwrap_or_default();
        let mut setup = Setup { settings, ..Setup::bare("primary") };
        match list {
            "http" => assert!(setup.grants.allow_http(&address).is_ok()),
            "network" => assert!(setup.grants.allow_network(&address).is_ok()),
            _ => assert!(setup.grants.allow_http("127.0.0.1").is_ok()),
        }
        let opened = GuestSink::new(Plugin::new(prepared().await.clone(), setup)).open().await;
        let mut writer = opened.unwrap_or_else(|error| panic!("{error}"));
        flush(&mut writer).await.err().map(|error| error.to_string()).unwrap_or_default()
    };
    for list in ["http", "network"] {
        let said = granted(list).await;
        assert!(said.ends_with("status 200: GET /path?query HTTP/1.1"), "{list}: {said}");
    }
    let said = granted("ports 80 and 443").await;
    assert!(said.contains("HttpRequestDenied"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_takes_its_guest_with_it() {
    let mut writer = guest("spin", "", Limits::default()).await;
    assert!(tokio::time::timeout(Duration::from_millis(100), flush(&mut writer)).await.is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let again = tokio::time::timeout(Duration::from_secs(1), flush(&mut writer)).await;
    assert!(matches!(again, Ok(Err(StageError::Crashed(text))) if text.contains("is gone")));
}
