//! I9 as a table: every bad habit in every role (`tests/guests/habits`). Each costs that guest its instance, or nothing, with an error
//! that names plugin, call and limit; the guests beside it go on, and memory and descriptors are afterwards what they were.
//!
//! `cargo test --release -p flusso-host --test habits` prints it.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use flusso_host::engine::StageError;
use flusso_host::engine::stage::{Builder as _, Poll, Sink as _, Slice, Source as _};
use flusso_host::model::{DocumentId, Key, Value};
use flusso_host::plugin::build::{Kind, build};
use flusso_host::plugin::capability::Access;
use flusso_host::plugin::locate::Found;
use flusso_host::plugin::wasm::{
    Checked, CompileLimits, GuestBuilder, GuestSink, GuestSource, Limits, Plugin, Prepared, Runtime, Setup,
};

/// Counts the bytes that are in use. What the system says of the process is no measure: an allocator keeps what was freed.
struct Counting;

static IN_USE: AtomicI64 = AtomicI64::new(0);

fn count(bytes: usize, sign: i64) {
    IN_USE.fetch_add(sign * i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
}

// SAFETY: it hands everything on to the system's allocator, and changes nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: what a process holds is counted.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const ROLES: [(&str, &str); 4] = [
    ("source", "source.poll"),
    ("snapshot", "snapshot.next"),
    ("builder", "builder.build-many"),
    ("sink", "sink.flush"),
];

/// A habit, and what the error about it says; nothing: it costs nothing.
const HABITS: [(&str, Option<&str>); 8] = [
    ("trap", Some("as it was told")),
    ("spin", Some("`limits.call_timeout`")),
    ("wait", Some("`limits.call_timeout`")),
    ("eat", Some("`limits.memory`")),
    ("hoard", Some("`limits.handles`")),
    ("hand-over", Some("handed over more than")),
    ("lie", Some("")),
    ("flood", None),
];

const LIMITS: fn() -> Limits =
    || Limits { memory: 512 << 20, call_timeout: Duration::from_millis(500), handles: 64, ..Limits::default() };

/// The same of a native library. No sandbox holds it: what it takes is not counted.
const NATIVE_HABITS: [(&str, Option<&str>); 5] = [
    ("trap", Some("failed inside: as it was told")),
    ("wait", Some("`limits.call_timeout`")),
    ("hand-over", Some("handed over more than")),
    ("lie", Some("")),
    ("flood", None),
];

async fn prepared(kind: Kind) -> Prepared {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/habits");
    let out = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let path = out.path().join(if kind == Kind::Component {
        "habits.wasm".to_owned()
    } else {
        format!("habits.{}", std::env::consts::DLL_EXTENSION)
    });
    let runtime = Runtime::new(None).unwrap_or_else(|error| panic!("{error}"));
    build(&runtime, &folder, kind, Some(&path)).await.unwrap_or_else(|error| panic!("{error}"));
    let checked = Checked::read(Found { path }).unwrap_or_else(|error| panic!("{error}"));
    let compiled = runtime.compile(checked, CompileLimits::default()).await.unwrap_or_else(|error| panic!("{error}"));
    runtime.prepare(compiled).unwrap_or_else(|error| panic!("{error}"))
}

fn plugin(prepared: &Prepared, habit: &str, folder: &Path) -> Plugin {
    let settings = serde_json::json!({ "habit": habit, "path": folder }).as_object().cloned().unwrap_or_default();
    let limits =
        // A line of a native library goes over to another thread.
        if habit == "hand-over" || habit == "flood" { Limits { call_timeout: Duration::from_secs(10), ..LIMITS() } } else { LIMITS() };
    let mut setup = Setup { settings, limits, ..Setup::bare("primary") };
    setup.grants.allow_folder(folder, Access::Write);
    Plugin::new(prepared.clone(), setup)
}

/// The one call that a role is for.
async fn call(role: &str, plugin: Plugin) -> Result<(), StageError> {
    match role {
        "source" => {
            let poll = Poll { confirmed: None, max: 256, max_bytes: 1 << 20, wait: Duration::ZERO };
            GuestSource::new(plugin).capture(&[]).await?.poll(poll).await.map(drop)
        }
        "snapshot" => {
            let mut snapshot = GuestSource::new(plugin).snapshot(&[]).await?;
            snapshot.begin(0, &[], None).await?;
            snapshot.next(256).await.map(drop)
        }
        "builder" => {
            let builder = GuestBuilder::new(plugin, None, Vec::new(), 1);
            builder.describe().await?;
            let key = Key::from(Value::Integer(1));
            builder.build_many(Slice::from(vec![DocumentId { index: 0, key }])).await.map(drop)
        }
        _ => {
            let mut sink = GuestSink::new(plugin).open().await?;
            // What it says of documents is held against those it was given by the engine: `tests::i6` has that.
            sink.seeded(0).await?;
            sink.flush(true, Duration::from_secs(5)).await.map(drop)
        }
    }
}

/// What is said of a habit: of one that costs the instance the error, with plugin, call and limit.
fn said(role: &str, called: &str, habit: &str, words: Option<&str>, ended: Result<(), StageError>) -> String {
    match (ended, words) {
        (Ok(()), None) => "none".to_owned(),
        (Err(StageError::Crashed(text) | StageError::Violation(text)), Some(words)) => {
            let called = if (role, habit) == ("sink", "lie") { "sink.seeded" } else { called };
            assert!(text.contains(&format!("plugin habits 0.1.0 (primary), call {called}")), "{role} {habit}: {text}");
            assert!(text.contains(words), "{role} {habit}: {text}");
            text
        }
        (ended, _) => panic!("{role} {habit}: {ended:?}"),
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").into_iter().flatten().count()
}

/// Bytes of address space. A guest's memory alone has four gigabytes of it.
fn address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or_default() << 10
}

/// What this process holds: bytes of memory, of address space, and open files.
type Held = (i64, u64, usize);

/// Once it holds no more than `wanted`, or after a while: a guest that is stopped ends when its task next runs.
async fn held(wanted: Held) -> Held {
    let now = || (IN_USE.load(Ordering::Relaxed), address_space(), descriptors());
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        if now().0 <= wanted.0 && now().1 <= wanted.1 && now().2 <= wanted.2 {
            break;
        }
    }
    now()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_habit_in_every_role_costs_that_guest_alone() {
    let _alone = ALONE.lock().await;
    let prepared = prepared(Kind::Component).await;
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    // A sink beside them that goes on in its one instance.
    let good = GuestSink::new(plugin(&prepared, "none", folder.path()));
    let mut good = good.open().await.unwrap_or_else(|error| panic!("{error}"));
    // All of it once before, so that what is made once (threads, buffers) is in the baseline.
    for (role, _) in ROLES {
        assert!(call(role, plugin(&prepared, "none", folder.path())).await.is_ok());
        for (habit, _) in HABITS {
            let _ = call(role, plugin(&prepared, habit, folder.path())).await;
        }
    }
    let before = held((0, 0, 0)).await;
    let mut table = format!("{:<10} {:<10} {:>7}  {:>9} {:>5}  error\n", "role", "habit", "ms", "memory", "files");
    for (role, called) in ROLES {
        for (habit, words) in HABITS {
            let started = Instant::now();
            let ended = call(role, plugin(&prepared, habit, folder.path())).await;
            let took = started.elapsed().as_millis();
            let said = said(role, called, habit, words, ended);
            assert!(
                good.flush(true, Duration::from_secs(5)).await.is_ok(),
                "{role} {habit}: the sink beside it is harmed"
            );
            let after = held((before.0 + before.0 / 100, before.1, before.2)).await;
            let grown = (after.0 as f64 / before.0 as f64 - 1.0) * 100.0;
            table += &format!("{role:<10} {habit:<10} {took:>7}  {grown:>+8.1}% {:>5}  {said}\n", after.2);
            assert!(grown < 10.0, "{role} {habit}: {before:?} before and {after:?} after\n{table}");
            assert!(after.1 < before.1 + (2 << 30), "{role} {habit}: {before:?} before and {after:?} after\n{table}");
            assert_eq!(after.2, before.2, "{role} {habit}: open files\n{table}");
        }
    }
    // Also where the output of tests is kept back: it is what `tests/run` shows of it.
    let _ = std::io::stderr().write_all(format!("\n{table}").as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_habit_of_a_native_library_costs_that_instance_alone() {
    let _alone = ALONE.lock().await;
    let prepared = prepared(Kind::Native).await;
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let good = GuestSink::new(plugin(&prepared, "none", folder.path()));
    let mut good = good.open().await.unwrap_or_else(|error| panic!("{error}"));
    for (role, called) in ROLES {
        assert!(call(role, plugin(&prepared, "none", folder.path())).await.is_ok(), "{role}");
        for (habit, words) in NATIVE_HABITS {
            said(role, called, habit, words, call(role, plugin(&prepared, habit, folder.path())).await);
            assert!(
                good.flush(true, Duration::from_secs(5)).await.is_ok(),
                "{role} {habit}: the instance beside it is harmed"
            );
        }
    }
}
