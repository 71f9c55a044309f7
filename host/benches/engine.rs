//! The engine alone: stages in memory that cost as little as they can, every output counted and its order checked.
//!
//! `cargo bench -p flusso-host --bench engine` prints changes a second for each variant (batches of 256, bodies of 512
//! bytes), and the resident memory at every million of ten million changes. `FLUSSO_BENCH_CHANGES` sets another number.
//! It asserts that nothing is missing or out of order, and no speed.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flusso_host::engine::stage::{
    Affected, Builder, Capture, Continuity, Description, Documents, Ensured, Flushed, Inspection, Mutation, Poll,
    Preparation, Prepared, RangeBuilder, Result, Sink, Slice, Snapshot, Source, State, StateError, Writer,
};
use flusso_host::engine::{Finished, Options, Silent, StageError, connect, control, shutdown};
use flusso_host::model::{
    Change, Checkpoint, DocumentId, Event, HistoryId, Key, Mapping, Op, Outcome, Position, Scope, TableInterest,
    TableName, TableNumber, Target, Value, Version,
};

// As the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BODY: usize = 512;
const TRANSACTION: u64 = 10;

fn main() {
    let changes = std::env::var("FLUSSO_BENCH_CHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| panic!("no runtime: {error}"));
    println!("engine alone, batches of 256, bodies of {BODY} bytes, transactions of {TRANSACTION} changes");
    for (name, sinks, keys) in [
        ("two sinks, distinct keys", 2, u64::MAX),
        ("one sink, distinct keys", 1, u64::MAX),
        ("two sinks, 100 hot keys", 2, 100),
    ] {
        let took = runtime.block_on(run(sinks, keys, changes / 5, false));
        println!("{name}: {:.0} changes/s", (changes / 5) as f64 / took.as_secs_f64());
    }
    let took = runtime.block_on(run(2, u64::MAX, changes, true));
    println!("two sinks, {changes} distinct keys: {:.0} changes/s", changes as f64 / took.as_secs_f64());
}

async fn run(sinks: usize, keys: u64, changes: u64, watched: bool) -> Duration {
    let seen: Vec<Arc<AtomicU64>> = (0..sinks).map(|_| Arc::default()).collect();
    let sink = |(number, seen): (usize, &Arc<AtomicU64>)| {
        let name = format!("sink {number}");
        Arc::new(Counting { name, seen: Arc::clone(seen), distinct: keys > changes }) as Arc<dyn Sink>
    };
    let list = seen.iter().enumerate().map(sink).collect();
    let options = Options { once: true, skip_backfill: true, ..Options::default() };
    let (_stop, ear) = shutdown();
    let began = Instant::now();
    let connected = connect(Arc::new(Counter { changes, keys }), Arc::new(Plain), Arc::new(Silent), options).await;
    let connected = connected.unwrap_or_else(|error| panic!("{error}"));
    let watch = tokio::spawn(watch(seen.first().cloned().unwrap_or_default(), changes, watched));
    let ended = connected.run(list, Arc::new(Memory::default()), ear, &control().1).await;
    assert!(matches!(ended, Ok(Finished::Done)), "{ended:?}");
    let took = began.elapsed();
    watch.abort();
    for seen in &seen {
        let seen = seen.load(Relaxed);
        assert!(if keys > changes { seen == changes } else { seen > 0 }, "{seen} of {changes} arrived");
    }
    took
}

/// Prints the resident memory at every million.
async fn watch(seen: Arc<AtomicU64>, changes: u64, wanted: bool) {
    for million in 1..=changes / 1_000_000 {
        while seen.load(Relaxed) < million * 1_000_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if wanted {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown");
            println!("  at {million} million: {}", resident.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

fn position(at: u64) -> Position {
    Position::new(at.to_be_bytes().as_slice())
}

fn number(position: &Position) -> u64 {
    position.as_bytes().try_into().map(u64::from_be_bytes).unwrap_or_default()
}

/// A source that counts.
struct Counter {
    changes: u64,
    keys: u64,
}

#[async_trait]
impl Source for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    async fn capture(&self, _: &[TableInterest]) -> Result<Box<dyn Capture>> {
        Ok(Box::new(Stream { changes: self.changes, keys: self.keys, at: 0 }))
    }

    async fn snapshot(&self, _: &[TableInterest]) -> Result<Box<dyn Snapshot>> {
        Err(StageError::Unsupported("a snapshot".to_owned()))
    }
}

struct Stream {
    changes: u64,
    keys: u64,
    at: u64,
}

#[async_trait]
impl Capture for Stream {
    async fn identity(&mut self) -> Result<String> {
        Ok("counter".to_owned())
    }

    async fn inspect(&mut self, _: Option<&Position>) -> Result<Inspection> {
        Ok(Inspection { history: None, continuity: Continuity::Fresh, unrecorded: Vec::new() })
    }

    async fn prepare(&mut self, _: Option<&Position>) -> Result<Preparation> {
        let prepared = Prepared { history: "counted".into(), position: position(0), version: 0, resources: Vec::new() };
        Ok(Preparation::Ready(prepared))
    }

    async fn poll(&mut self, poll: Poll) -> Result<Vec<Event>> {
        let most = poll.max as usize;
        let mut events = Vec::with_capacity(most + 1);
        while events.len() < most && self.at < self.changes {
            self.at += 1;
            let version = self.at.div_ceil(TRANSACTION);
            let key = Key::from(Value::Integer((self.at % self.keys).cast_signed()));
            let change = Change {
                table: 0,
                op: Op::Upsert,
                key,
                before: None,
                after: None,
                version,
                changed: None,
                extra: None,
            };
            events.push(Event::Change(change));
            if self.at.is_multiple_of(TRANSACTION) || self.at == self.changes {
                let position = position(self.at);
                events.push(Event::Checkpoint(Checkpoint { position, version, committed_at: None }));
            }
        }
        Ok(events)
    }

    async fn head(&mut self) -> Result<Position> {
        Ok(position(self.changes))
    }

    async fn compare(&mut self, a: &Position, b: &Position) -> Result<Ordering> {
        Ok(number(a).cmp(&number(b)))
    }

    async fn parse(&mut self, text: &str) -> Result<Position> {
        Err(StageError::Configuration(format!("`{text}` is no position")))
    }

    async fn print(&mut self, at: &Position) -> Result<String> {
        Ok(number(at).to_string())
    }

    async fn lag(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    async fn close(&mut self, confirmed: Option<&Position>) -> Result<()> {
        assert_eq!(confirmed.map(number), Some(self.changes));
        Ok(())
    }

    async fn discard(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// One document a row, of the same size, with the row's key in front.
struct Plain;

#[async_trait]
impl Builder for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn instances(&self) -> usize {
        1
    }

    async fn describe(&self) -> Result<Description> {
        let table = TableName { schema: "public".to_owned(), name: "rows".to_owned() };
        let interest = TableInterest {
            table,
            key: vec!["id".to_owned()],
            links: Vec::new(),
            reads: None,
            wants_changed: false,
            extra: None,
        };
        let mapping = Mapping {
            index: "rows".to_owned(),
            hash: "1".to_owned(),
            fields: Vec::new(),
            prefix: String::new(),
            extra: None,
        };
        Ok(Description {
            mappings: vec![mapping],
            scopes: vec![Scope { index: 0, root: 0, recorded_relations: Vec::new() }],
            interest: vec![interest],
        })
    }

    async fn resolve(&self, changes: Slice<Change>) -> Result<Affected> {
        let ids = changes.iter().map(|change| DocumentId { index: 0, key: change.key.clone() }).collect();
        Ok(Affected { ids, ..Affected::default() })
    }

    async fn resolve_more(&self, _: Vec<u8>, _: u32) -> Result<Affected> {
        Ok(Affected::default())
    }

    async fn resolve_table_changes(&self, _: &[TableNumber]) -> Result<Affected> {
        Ok(Affected::default())
    }

    async fn build_many(&self, ids: Slice<DocumentId>) -> Result<Vec<Outcome>> {
        let build = |id: &DocumentId| {
            let mut body = vec![b'x'; BODY];
            if let ([Value::Integer(key)], Some(place)) = (id.key.parts(), body.first_chunk_mut()) {
                *place = key.to_be_bytes();
            }
            Outcome::Built(body)
        };
        Ok(ids.iter().map(build).collect())
    }

    async fn ranges(&self) -> Result<Box<dyn RangeBuilder>> {
        Err(StageError::Unsupported("ranges".to_owned()))
    }
}

/// A sink that counts what it is given and looks at its order.
struct Counting {
    name: String,
    seen: Arc<AtomicU64>,
    distinct: bool,
}

#[async_trait]
impl Sink for Counting {
    fn name(&self) -> &str {
        &self.name
    }

    async fn open(&self) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Counted { seen: Arc::clone(&self.seen), distinct: self.distinct, last: 0, version: 0 }))
    }
}

struct Counted {
    seen: Arc<AtomicU64>,
    distinct: bool,
    last: u64,
    version: Version,
}

#[async_trait]
impl Writer for Counted {
    async fn ensure_index(&mut self, _: &Mapping) -> Result<Ensured> {
        Ok(Ensured { target: 0, empty: true })
    }

    async fn seeded(&mut self, _: Target) -> Result<Option<HistoryId>> {
        Ok(Some("counted".into()))
    }

    async fn mark_seeded(&mut self, _: Target, _: &HistoryId) -> Result<()> {
        Ok(())
    }

    async fn mark_unseeded(&mut self, _: Target) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, documents: Documents) -> Result<()> {
        let mut count = 0;
        for (_, document) in documents.iter() {
            let body = document.body.as_deref().unwrap_or_default();
            assert!(body.len() == BODY && document.version >= self.version, "out of order at {}", self.last);
            self.version = document.version;
            if self.distinct {
                let key = body.first_chunk().map_or(0, |key| u64::from_be_bytes(*key));
                assert_eq!(key, self.last + 1, "a change is missing, or out of order");
                self.last = key;
            }
            count += 1;
        }
        self.seen.fetch_add(count, Relaxed);
        Ok(())
    }

    async fn clear(&mut self, _: Target, _: Version) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self, _: bool, _: Duration) -> Result<Flushed> {
        Ok(Flushed::visible_at_once(Vec::new()))
    }

    async fn begin_rebuild(&mut self, _: &Mapping, _: bool) -> Result<Target> {
        Err(StageError::Unsupported("a generation".to_owned()))
    }

    async fn promote(&mut self, _: Target) -> Result<()> {
        Ok(())
    }

    async fn abandon(&mut self, _: Target) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl State for Memory {
    async fn get(&self, key: &str) -> std::result::Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    async fn scan(&self, _: &str) -> std::result::Result<Vec<(String, Vec<u8>)>, StateError> {
        Ok(Vec::new())
    }

    async fn apply(&self, mutations: Vec<Mutation>) -> std::result::Result<(), StateError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for mutation in mutations {
            match mutation {
                Mutation::Put(key, value) => held.insert(key, value),
                Mutation::Delete(key) => held.remove(&key),
                Mutation::RemoveLinks(_) | Mutation::RetainRelations(_) => None,
            };
        }
        Ok(())
    }
}
