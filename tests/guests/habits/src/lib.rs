//! A source, a builder and a sink with every bad habit, each in the call that its role is for: `poll`, `next`, `build-many`, `flush`. The host's
//! tests print what each costs (`host/tests/habits.rs`).

use std::fs::File;
use std::path::Path;

use flusso_plugin::{
    Affected, Builder, Change, Checkpoint, Cursor, Division, Document, DocumentId, Ensured, Error, Event, Failure,
    HistoryId, IndexRequest, Inspection, Mapping, Outcome, Page, PollRequest, Position, Preparation, Range, Rejection,
    Report, Result, Scope, Settings, Sink, Snapshot, Source, TableInterest, TableName, TableNumber, Target, Value,
    Version, log,
};

#[derive(serde::Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Habit {
    /// Answers as it should.
    None,
    /// Panics.
    Trap,
    /// Computes for ever.
    Spin,
    /// Waits for ever.
    Wait,
    /// Takes memory until there is no more.
    Eat,
    /// Answers with more bytes than a call may hand over.
    HandOver,
    /// Answers what cannot be.
    Lie,
    /// Logs without end, then answers.
    Flood,
    /// Opens one file again and again.
    Hoard,
}

/// What the configuration says.
#[derive(serde::Deserialize)]
pub struct Habits {
    habit: Habit,
    #[serde(default)]
    path: String,
}

/// Bytes of one part of an answer that is too large; there are 256.
const PART_BYTES: usize = 1 << 20;
const PARTS: usize = 256;

impl Habits {
    /// What does not depend on the role.
    fn act(&self) -> Result<()> {
        match self.habit {
            Habit::Trap => panic!("as it was told"),
            Habit::Spin => loop {
                std::hint::spin_loop();
            },
            Habit::Wait => loop {
                std::thread::sleep(std::time::Duration::from_secs(3_600));
            },
            Habit::Eat => {
                let mut eaten = Vec::new();
                loop {
                    eaten.push(vec![1_u8; 1 << 20]);
                    std::hint::black_box(&eaten);
                }
            }
            Habit::Flood => {
                (0..100_000).for_each(|number| log::info("a line", &[("number", &number.to_string())]));
                Ok(())
            }
            Habit::Hoard => {
                let mut open = Vec::new();
                loop {
                    open.push(
                        File::create(Path::new(&self.path).join("file"))
                            .map_err(|error| Error::fatal(error.to_string()))?,
                    );
                }
            }
            Habit::None | Habit::HandOver | Habit::Lie => Ok(()),
        }
    }
}

fn checkpoint(position: Vec<u8>) -> Event {
    Event::Checkpoint(Checkpoint { position, version: 1, committed_at: None, extra: None })
}

/// The source.
pub struct HabitsSource(Habits);

impl Source for HabitsSource {
    fn open(settings: Settings, _: Vec<TableInterest>) -> Result<Self> {
        settings.parse().map(Self)
    }

    fn identity(&mut self) -> Result<String> {
        Ok("habits".to_owned())
    }

    fn inspect(&mut self, _: Option<Position>) -> Result<Inspection> {
        Err(Error::Unsupported)
    }

    fn prepare(&mut self, _: Option<Position>) -> Result<Preparation> {
        Err(Error::Unsupported)
    }

    fn poll(&mut self, _: PollRequest) -> Result<Vec<Event>> {
        self.0.act()?;
        Ok(match self.0.habit {
            Habit::HandOver => vec![checkpoint(vec![0; PART_BYTES]); PARTS],
            Habit::Lie => vec![checkpoint(vec![1]); 100_000],
            _ => Vec::new(),
        })
    }

    fn head(&mut self) -> Result<Position> {
        Ok(vec![1])
    }

    fn compare(&mut self, _: Position, _: Position) -> Result<i32> {
        Ok(0)
    }

    fn parse(&mut self, _: String) -> Result<Position> {
        Ok(vec![1])
    }

    fn print(&mut self, _: Position) -> Result<String> {
        Ok("1".to_owned())
    }
}

/// The snapshot.
pub struct HabitsSnapshot(Habits);

impl Snapshot for HabitsSnapshot {
    fn open(settings: Settings, _: Vec<TableInterest>) -> Result<Self> {
        settings.parse().map(Self)
    }

    fn split(&mut self, _: TableNumber, _: u32) -> Result<Division> {
        Ok(Division { ranges: vec![Vec::new()], estimated_rows: None, extra: None })
    }

    fn begin(&mut self, _: TableNumber, _: Range, _: Option<Cursor>) -> Result<()> {
        Ok(())
    }

    fn next(&mut self, _: u32) -> Result<Page> {
        self.0.act()?;
        let page = |keys, cursor| Page { keys, cursor, extra: None };
        Ok(match self.0.habit {
            Habit::HandOver => page(vec![vec![Value::Bytes(vec![0; PART_BYTES])]; PARTS], Some(vec![1])),
            Habit::Lie => page(vec![vec![Value::Integer(1)]; 100_000], Some(vec![1])),
            _ => page(Vec::new(), None),
        })
    }
}

/// The builder.
pub struct HabitsBuilder(Habits);

impl Builder for HabitsBuilder {
    fn open(settings: Settings, _: Vec<IndexRequest>) -> Result<Self> {
        settings.parse().map(Self)
    }

    fn mappings(&mut self) -> Result<Vec<Mapping>> {
        let (index, hash) = ("items".to_owned(), "1".to_owned());
        Ok(vec![Mapping { index, hash, fields: Vec::new(), prefix: String::new(), extra: None }])
    }

    fn scopes(&mut self) -> Result<Vec<Scope>> {
        Ok(vec![Scope { index: 0, root: 0, recorded_relations: Vec::new(), extra: None }])
    }

    fn interest(&mut self) -> Result<Vec<TableInterest>> {
        let table = TableName { schema: "public".to_owned(), name: "items".to_owned() };
        let (key, links) = (vec!["id".to_owned()], Vec::new());
        Ok(vec![TableInterest { table, key, links, reads: None, wants_changed: false, extra: None }])
    }

    fn resolve(&mut self, changes: Vec<Change>) -> Result<Affected> {
        let ids = changes.into_iter().map(|change| DocumentId { index: 0, key: change.key }).collect();
        Ok(flusso_plugin::affected(ids))
    }

    fn build_many(&mut self, ids: Vec<DocumentId>) -> Result<Vec<Outcome>> {
        self.0.act()?;
        Ok(match self.0.habit {
            Habit::HandOver => vec![Outcome::Built(vec![b' '; PART_BYTES]); PARTS],
            Habit::Lie => Vec::new(),
            _ => ids.iter().map(|_| Outcome::Absent).collect(),
        })
    }
}

/// The sink.
pub struct HabitsSink(Habits);

impl Sink for HabitsSink {
    fn open(settings: Settings) -> Result<Self> {
        settings.parse().map(Self)
    }

    fn ensure_index(&mut self, _: Mapping) -> Result<Ensured> {
        Ok(Ensured { target: 0, empty: true, extra: None })
    }

    fn seeded(&mut self, _: Target) -> Result<Option<HistoryId>> {
        Ok((self.0.habit == Habit::Lie).then(|| "\u{7}".repeat(5_000)))
    }

    fn mark_seeded(&mut self, _: Target, _: HistoryId) -> Result<()> {
        Ok(())
    }

    fn mark_unseeded(&mut self, _: Target) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, _: Vec<Document>) -> Result<()> {
        Ok(())
    }

    fn clear(&mut self, _: Target, _: Version) -> Result<()> {
        Ok(())
    }

    fn flush(&mut self, _: bool, _: u64) -> Result<Report> {
        self.0.act()?;
        let rejection = |id: &str, reason: String| Rejection {
            target: 0,
            id: id.to_owned(),
            failure: Failure { class: "habit".to_owned(), reason, extra: None },
        };
        let rejected = match self.0.habit {
            Habit::HandOver => vec![rejection("1", "x".repeat(PART_BYTES)); PARTS],
            _ => Vec::new(),
        };
        Ok(Report { rejected, visible: true, extra: None })
    }
}

flusso_plugin::plugin! {
    manifest: include_str!("../manifest.json"),
    source: HabitsSource,
    snapshot: HabitsSnapshot,
    builder: HabitsBuilder,
    sink: HabitsSink,
}
