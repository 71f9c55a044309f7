//! What the border between host and guest costs: the same builder called directly and through a component, by batch size.
//! Prints microseconds a document and the ratio, from one run. `cargo bench -p flusso-host --bench boundary`.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use flusso_host::engine::stage::{Builder as _, Slice};
use flusso_host::model::{Change, DocumentId, Key, Op, Outcome, Value};
use flusso_host::plugin::build::{Kind, build};
use flusso_host::plugin::locate::Found;
use flusso_host::plugin::wasm::{Checked, CompileLimits, GuestBuilder, Plugin, Runtime, Setup};
use flusso_plugin::Builder as _;
use flusso_render::Render;

/// Documents a measurement builds, at least.
const DOCUMENTS: usize = 40_000;
/// Measurements of each kind; the median is printed.
const ROUNDS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run()));
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let artifact = folder.path().join("render.wasm");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/render");
    let wasm = Runtime::new(None)?;
    build(&wasm, &package, Kind::Component, Some(&artifact)).await?;
    let prepared =
        wasm.prepare(wasm.compile(Checked::read(Found { path: artifact })?, CompileLimits::default()).await?)?;
    let guest = GuestBuilder::new(Plugin::new(prepared, Setup::bare("builder")), None, Vec::new(), 1);
    guest.describe().await?;
    let mut direct = Render;

    println!("build_many, documents of about 1 KiB; median of {ROUNDS}");
    println!("{:>8} {:>14} {:>14} {:>8}", "batch", "direct µs/doc", "guest µs/doc", "ratio");
    for batch in [1, 8, 64, 256, 2_000] {
        let ids: Vec<i64> = (0..).take(batch).collect();
        let (mut natives, mut guests) = (Vec::new(), Vec::new());
        // In turn, so that both see the same machine.
        for _ in 0..ROUNDS {
            let calls = DOCUMENTS.div_ceil(batch).min(4_000);
            let started = Instant::now();
            for _ in 0..calls {
                let asked = ids
                    .iter()
                    .map(|id| flusso_plugin::DocumentId { index: 0, key: vec![flusso_plugin::Value::Integer(*id)] });
                let outcomes = direct.build_many(asked.collect()).map_err(|error| format!("{error:?}"))?;
                black_box(outcomes.len());
            }
            natives.push(per(started.elapsed(), calls * batch));
            let started = Instant::now();
            for _ in 0..calls {
                let asked: Vec<_> =
                    ids.iter().map(|id| DocumentId { index: 0, key: Key::from(Value::Integer(*id)) }).collect();
                let outcomes = guest.build_many(Slice::from(asked)).await?;
                if outcomes.len() != batch || !matches!(outcomes.first(), Some(Outcome::Built(_))) {
                    return Err("the guest built something else".into());
                }
            }
            guests.push(per(started.elapsed(), calls * batch));
        }
        let (native, guest) = (median(natives), median(guests));
        println!("{batch:>8} {native:>14.3} {guest:>14.3} {:>8.2}", guest / native);
    }

    println!("\nresolve, one small key a change; median of {ROUNDS}");
    println!("{:>8} {:>18}", "batch", "guest µs/change");
    for batch in [1, 8, 64, 256, 2_000] {
        let change = |id| Change {
            table: 0,
            op: Op::Upsert,
            key: Key::from(Value::Integer(id)),
            before: None,
            after: None,
            version: 1,
            changed: None,
            extra: None,
        };
        let changes = Slice::from((0..).take(batch).map(change).collect::<Vec<_>>());
        let mut guests = Vec::new();
        for _ in 0..ROUNDS {
            let calls = DOCUMENTS.div_ceil(batch).min(4_000);
            let started = Instant::now();
            for _ in 0..calls {
                black_box(guest.resolve(changes.clone()).await?.ids.len());
            }
            guests.push(per(started.elapsed(), calls * batch));
        }
        println!("{batch:>8} {:>18.3}", median(guests));
    }
    Ok(())
}

fn per(took: Duration, count: usize) -> f64 {
    took.as_secs_f64() * 1e6 / count as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
