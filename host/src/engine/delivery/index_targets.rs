//! Where an index's documents go in one sink: the live target, and while it is rebuilt a generation beside it.
//!
//! An attempt at seeding is tied to what a sink holds by a record in the state: the attempt that last began there, durably,
//! and its generation. A backfill is resumed only where the records of all its sinks name its attempt.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::delivery::lane::SeedStart;
use crate::engine::error::StageError;
use crate::engine::stage::{Ensured, Mutation, State, StateError, Writer};
use crate::engine::startup::seed_marks::SeedMarks;
use crate::model::{HistoryId, IndexNumber, Mapping, Target};

/// The state's key of the seed attempt at a sink's index.
fn state_key(sink: &str, index: &str) -> String {
    format!("seeding/{sink}/{index}")
}

/// Removes the seed attempt, once an index is seeded.
pub(crate) fn forget_seed_attempt(sink: &str, index: &str) -> Mutation {
    Mutation::Delete(state_key(sink, index))
}

/// The attempt at seeding that last began in a sink, durably.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SeedAttempt {
    attempt: u64,
    /// The generation its documents go to; none: the live one.
    generation: Option<Target>,
    /// What was the live one; none in records of earlier versions.
    #[serde(default)]
    live: Option<Target>,
}

impl SeedAttempt {
    /// Whether the attempt's documents went to this target, as far as the record says.
    fn wrote_to(&self, target: Target) -> bool {
        self.generation.or(self.live).is_none_or(|own| own == target)
    }
}

/// The targets of one index.
#[derive(Clone, Copy, Debug)]
struct TargetState {
    live: Ensured,
    /// The live target is marked seeded, under the history that is followed.
    complete: bool,
    /// A generation beside the live one: the snapshot goes here, live changes go to both.
    generation: Option<Target>,
    /// The attempt that has begun in this run; a flush that is repeated does not begin it again.
    attempt: Option<u64>,
}

/// The targets of all indexes in one sink.
pub(crate) struct IndexTargets {
    sink: String,
    state: Arc<dyn State>,
    targets: Vec<TargetState>,
    pub(crate) seed_marks: SeedMarks,
    live: Arc<[Vec<Target>]>,
    seed: Arc<[Vec<Target>]>,
}

fn state_failed(error: StateError) -> StageError {
    StageError::Fatal(format!("the state of the host: {error}"))
}

impl IndexTargets {
    /// Ensures every index in a sink that was just opened for the first time.
    pub(crate) async fn open(
        sink: &str,
        state: Arc<dyn State>,
        writer: &mut dyn Writer,
        mappings: &[Mapping],
    ) -> Result<Self, StageError> {
        let mut targets = Vec::with_capacity(mappings.len());
        for mapping in mappings {
            let live = writer.ensure_index(mapping).await?;
            targets.push(TargetState { live, complete: false, generation: None, attempt: None });
        }
        let seed_marks = SeedMarks::load(sink, &*state, mappings).await.map_err(state_failed)?;
        let mut index_targets =
            Self { sink: sink.to_owned(), state, targets, seed_marks, live: Arc::default(), seed: Arc::default() };
        index_targets.recompute();
        Ok(index_targets)
    }

    /// Ensures every index again, and continues generations, in a sink that was opened again. Finds out whether a promotion
    /// whose answer was lost has happened. Where an index or a generation is not the one that was written to before, it was
    /// removed meanwhile, and only a new start can seed it.
    pub(crate) async fn ensure(&mut self, writer: &mut dyn Writer, mappings: &[Mapping]) -> Result<(), StageError> {
        for (targets, mapping) in self.targets.iter_mut().zip(mappings) {
            let target = writer.ensure_index(mapping).await?.target;
            if targets.generation == Some(target) {
                targets.live.target = target;
                targets.generation = None;
            }
            let generation = match targets.generation {
                Some(_) => Some(writer.begin_rebuild(mapping, true).await?),
                None => None,
            };
            if target != targets.live.target || generation != targets.generation {
                let reason =
                    format!("index {:?} was removed from sink {:?} while it was written to", mapping.index, self.sink);
                return Err(StageError::RestartRequired(reason));
            }
        }
        self.recompute();
        Ok(())
    }

    /// Where live documents go, by index.
    pub(crate) fn of_live_documents(&self) -> Arc<[Vec<Target>]> {
        Arc::clone(&self.live)
    }

    /// Where a backfill's documents go, by index.
    pub(crate) fn of_seed_documents(&self) -> Arc<[Vec<Target>]> {
        Arc::clone(&self.seed)
    }

    /// Where live documents of one index go.
    pub(crate) fn live_targets_of(&self, index: IndexNumber) -> &[Target] {
        self.live.get(index as usize).map_or(&[], Vec::as_slice)
    }

    /// The live target of each index.
    pub(crate) fn live_targets(&self) -> impl Iterator<Item = (IndexNumber, Target)> {
        (0..).zip(&self.targets).map(|(index, targets)| (index, targets.live.target))
    }

    /// The live target of an index is marked seeded, under the history that is followed.
    pub(crate) fn set_complete(&mut self, index: IndexNumber) {
        if let Some(targets) = self.targets.get_mut(index as usize) {
            targets.complete = true;
        }
    }

    /// Whether the live target of an index is complete and kept up to date.
    pub(crate) fn is_complete(&self, index: IndexNumber) -> bool {
        self.targets.get(index as usize).is_some_and(|targets| targets.complete)
    }

    /// The index that a target belongs to.
    pub(crate) fn index_of(&self, target: Target) -> Option<IndexNumber> {
        let place = self
            .targets
            .iter()
            .position(|targets| targets.live.target == target || targets.generation == Some(target))?;
        IndexNumber::try_from(place).ok()
    }

    /// Before anything is written: whether the unfinished attempt `wanted` of an earlier run can be continued in this sink,
    /// because what it wrote is still there. If not, its generation is removed.
    pub(crate) async fn resume(
        &mut self,
        writer: &mut dyn Writer,
        index: IndexNumber,
        mapping: &Mapping,
        wanted: Option<u64>,
    ) -> Result<bool, StageError> {
        let Some(targets) = self.targets.get_mut(index as usize) else { return Ok(false) };
        let record = self.state.get(&state_key(&self.sink, &mapping.index)).await.map_err(state_failed)?;
        let record: Option<SeedAttempt> = record.and_then(|record| serde_json::from_slice(&record).ok());
        let Some(record) = record else { return Ok(false) };
        // A generation that is the live target was promoted before the host could record it.
        let mut generation = record.generation.filter(|generation| *generation != targets.live.target);
        if let Some(attempt) = wanted.filter(|attempt| *attempt == record.attempt) {
            match generation {
                Some(begun) => {
                    let found = writer.begin_rebuild(mapping, true).await?;
                    if found == begun {
                        targets.generation = Some(begun);
                        targets.attempt = Some(attempt);
                        self.recompute();
                        return Ok(true);
                    }
                    generation = Some(found);
                }
                // An empty index may have been removed and created again; to begin again costs nothing there. One that others
                // made anew, and wrote to, does not hold what the attempt wrote.
                None if writer.is_stream() || (!targets.live.empty && record.wrote_to(targets.live.target)) => {
                    return Ok(true);
                }
                None => {}
            }
        }
        if let Some(generation) = generation {
            targets.generation = None;
            targets.attempt = None;
            writer.abandon(generation).await?;
        }
        self.recompute();
        Ok(false)
    }

    /// A backfill begins: the index loses its seed mark, unless it is right and the operator asked for a rebuild. An index that
    /// is not empty gets a generation beside the live one, or is cleared where the sink has no generations. A backfill that is
    /// resumed leaves everything as it is.
    pub(crate) async fn begin(
        &mut self,
        writer: &mut dyn Writer,
        index: IndexNumber,
        mappings: &[Mapping],
        start: SeedStart,
    ) -> Result<(), StageError> {
        let (Some(targets), Some(mapping)) = (self.targets.get_mut(index as usize), mappings.get(index as usize))
        else {
            return Ok(());
        };
        let keeps_mark = start.reindex && targets.complete;
        if !keeps_mark {
            targets.complete = false;
            writer.mark_unseeded(targets.live.target).await?;
        }
        if start.resume || (targets.generation.is_some() && targets.attempt == Some(start.attempt)) {
            targets.attempt = Some(start.attempt);
            return Ok(());
        }
        // From here on no earlier attempt can be continued.
        self.state.apply(vec![forget_seed_attempt(&self.sink, &mapping.index)]).await.map_err(state_failed)?;
        if let Some(generation) = targets.generation.take() {
            writer.abandon(generation).await?;
        }
        if keeps_mark || !(targets.live.empty && start.at_run_start) {
            match writer.begin_rebuild(mapping, false).await {
                Ok(generation) => targets.generation = Some(generation),
                Err(StageError::Unsupported(_)) => {
                    if keeps_mark {
                        targets.complete = false;
                        writer.mark_unseeded(targets.live.target).await?;
                    }
                    writer.clear(targets.live.target, start.version).await?;
                }
                Err(error) => return Err(error),
            }
        }
        targets.attempt = Some(start.attempt);
        self.recompute();
        Ok(())
    }

    /// The record of what [`IndexTargets::begin`] did, to be stored once that is durable.
    pub(crate) fn record_attempt(&self, index: IndexNumber, mappings: &[Mapping]) -> Option<Mutation> {
        let (targets, mapping) = (self.targets.get(index as usize)?, mappings.get(index as usize)?);
        let live = Some(targets.live.target);
        let record = SeedAttempt { attempt: targets.attempt?, generation: targets.generation, live };
        Some(Mutation::Put(state_key(&self.sink, &mapping.index), serde_json::to_vec(&record).ok()?))
    }

    /// The whole snapshot is durable: a generation is promoted, and the index is marked seeded.
    pub(crate) async fn finish(
        &mut self,
        writer: &mut dyn Writer,
        index: IndexNumber,
        history: &HistoryId,
    ) -> Result<(), StageError> {
        let Some(targets) = self.targets.get_mut(index as usize) else { return Ok(()) };
        if let Some(generation) = targets.generation {
            writer.promote(generation).await?;
            targets.live.target = generation;
            targets.generation = None;
        }
        writer.mark_seeded(targets.live.target, &self.seed_marks.text(index as usize, history)).await?;
        targets.live.empty = false;
        targets.complete = true;
        targets.attempt = None;
        self.recompute();
        Ok(())
    }

    fn recompute(&mut self) {
        let live = |targets: &TargetState| std::iter::once(targets.live.target).chain(targets.generation).collect();
        let seed = |targets: &TargetState| vec![targets.generation.unwrap_or(targets.live.target)];
        self.live = self.targets.iter().map(live).collect();
        self.seed = self.targets.iter().map(seed).collect();
    }
}
