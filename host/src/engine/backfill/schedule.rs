//! The worker's other half: backfills begin, their reads come in, their end is put into the lane.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use crate::engine::durability::durable_watermark::{Expected, SeedMark};
use crate::engine::backfill::range_reader::{Answer, Chunk, Job};
use crate::engine::live::build::Built;
use crate::engine::durability::confirm::Underway;
use crate::engine::control::commands::{Command, Refused};
use crate::engine::error::EngineError;
use crate::engine::delivery::lane::{Begin, Scope, Work};
use crate::engine::observer::Observation;
use crate::engine::durability::records::{BackfillRecord, asked_for};
use crate::engine::stage::Mutation;
use crate::engine::live::worker::Worker;
use crate::model::IndexNumber;

/// An index to be seeded.
pub(crate) struct ToSeed {
    pub(crate) index: IndexNumber,
    pub(crate) scope: Scope,
    /// What an earlier run left unfinished.
    pub(crate) resume: Option<BackfillRecord>,
    /// Somebody asked for it, though nothing is wrong with what there is.
    pub(crate) asked: bool,
}

/// A backfill as the worker sees it.
pub(crate) struct Seeding {
    attempt: u64,
    scope: Scope,
    /// Ranges that are not read to their end.
    parts_left: usize,
}

impl Worker {
    /// Begins to seed an index. `first`: it is the first thing a run does.
    pub(crate) async fn begin(&mut self, ToSeed { index, scope, resume, asked }: ToSeed, first: bool) {
        let Some(root) = self.roots.get(&index).copied() else { return };
        let attempt = resume.as_ref().map_or_else(unique, |record| record.attempt);
        self.seeding.insert(index, Seeding { attempt, scope, parts_left: usize::MAX });
        self.backfills().insert(index, Underway { attempt, record: None, started: Instant::now() });
        let begin = Begin { attempt, first, resume: resume.is_some(), asked, version: self.shared.version() };
        self.lane.emit(Work::BeginSeed { index, scope, begin }, Expected::default()).await;
        match resume {
            Some(record) => self.planned(index, record).await,
            None => {
                let named = self.sinks.iter().enumerate().filter(|(number, _)| scope.contains(*number));
                let sinks = named.map(|(_, name)| name.clone()).collect();
                let _ = self.jobs.send(Job::Plan { index, attempt, root, sinks });
            }
        }
    }

    /// Somebody asks for something.
    pub(crate) async fn command(&mut self, command: Command) -> Result<(), EngineError> {
        let Command::Reindex(index, answer) = command;
        let name = self.shared.name(index).to_owned();
        let underway = self.backfills().contains_key(&index);
        let begun = match underway {
            true => Err(Refused::Underway(name)),
            // Remembered before it begins, so that a crash at any later moment goes on with it. Guarded by
            // `tests::reindex::a_crash_at_any_call_goes_on_with_it_and_the_live_one_stays_whole`.
            false => self.shared.remember(vec![asked_for(&name)]).await.map_err(Refused::State),
        };
        if begun.is_ok() {
            let scope = Scope::all(self.sinks.len());
            self.begin(ToSeed { index, scope, resume: None, asked: true }, false).await;
        }
        // Whoever asked may have gone away.
        let _ = answer.send(begun);
        Ok(())
    }

    fn backfills(&self) -> MutexGuard<'_, HashMap<IndexNumber, Underway>> {
        self.backfills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn backfill(&mut self, answer: Answer) -> Result<(), EngineError> {
        match answer {
            Answer::Planned { index, record } => self.planned(index, record).await,
            Answer::Chunk(chunk) => {
                self.chunk(chunk).await?;
                self.touched.prune(self.outstanding.oldest());
            }
        }
        Ok(())
    }

    async fn planned(&mut self, index: IndexNumber, record: BackfillRecord) {
        let attempt = record.attempt;
        let Some(seeding) = self.seeding.get_mut(&index).filter(|seeding| seeding.attempt == attempt) else { return };
        seeding.parts_left = record.parts.iter().filter(|part| !part.done).count();
        self.shared.observer.observe(Observation::SeedStarted {
            index: self.shared.name(index),
            estimated_rows: record.estimated_rows,
            resumed_at: record.rows(),
        });
        let jobs: Vec<_> = self.reads(index, &record).collect();
        // Before anything is read, so that no mark comes before what it marks.
        if let Some(underway) = self.backfills().get_mut(&index).filter(|underway| underway.attempt == attempt) {
            underway.record = Some(record);
        }
        for job in jobs {
            let _ = self.jobs.send(job);
        }
        self.finish_if_read(index).await;
    }

    /// What is left to read.
    fn reads(&self, index: IndexNumber, record: &BackfillRecord) -> impl Iterator<Item = Job> {
        let (root, attempt) = (self.roots.get(&index).copied(), record.attempt);
        let open = record.parts.iter().enumerate().filter(|(_, part)| !part.done);
        open.filter_map(move |(part, state)| {
            let (range, cursor) = (state.range.clone(), state.cursor.clone());
            Some(Job::Read { index, attempt, root: root?, part, range, cursor })
        })
    }

    async fn chunk(&mut self, chunk: Chunk) -> Result<(), EngineError> {
        let Chunk { index, attempt, part, mut documents, rows, cursor, held } = chunk;
        let Some(seeding) = self.seeding.get_mut(&index).filter(|seeding| seeding.attempt == attempt) else {
            // Of an attempt that was given up for another.
            return Ok(());
        };
        let scope = seeding.scope;
        let everywhere = scope == Scope::all(self.sinks.len());
        if cursor.is_none() {
            seeding.parts_left = seeding.parts_left.saturating_sub(1);
        }
        documents.retain(|(key, _)| self.touched.is_current(index, key, held.began));
        let Built { documents, aside, .. } = self.build.seed(index, documents, held.version, everywhere)?;
        // A sink marks an index seeded without asking the host: what is missing there must be known before (I7).
        self.shared.remember(aside.iter().filter(|it| matches!(it, Mutation::Put(..))).cloned().collect()).await?;
        self.note_backlog();
        let seed = Some(SeedMark { index, attempt, part, cursor, rows });
        let work = Work::Seed { scope, documents: documents.into() };
        self.lane.emit(work, Expected { seed, aside, ..Expected::default() }).await;
        drop(held);
        self.finish_if_read(index).await;
        Ok(())
    }

    async fn finish_if_read(&mut self, index: IndexNumber) {
        if self.seeding.get(&index).is_none_or(|seeding| seeding.parts_left > 0) {
            return;
        }
        if let Some(Seeding { attempt, scope, .. }) = self.seeding.remove(&index) {
            self.note_backlog();
            let seeded = Some((index, attempt));
            self.lane.emit(Work::Seeded { index, scope }, Expected { seeded, ..Expected::default() }).await;
        }
    }
}

/// A number that no other attempt has, in any run. From the standard library's own random keys.
fn unique() -> u64 {
    RandomState::new().hash_one(())
}
