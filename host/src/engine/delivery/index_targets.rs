//! Where an index's documents go in one sink: the live target, and while it is rebuilt a generation beside it.
//!
//! An attempt at seeding is tied to what a sink holds by a note in the state: which attempt last made room there, durably,
//! and in which generation. A backfill is resumed only where the notes of all its sinks name it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::error::StageError;
use crate::engine::delivery::lane::Begin;
use crate::engine::stage::{Ensured, Mutation, State, StateError, Writer};
use crate::engine::startup::seed_marks::Terms;
use crate::model::{HistoryId, IndexNumber, Mapping, Target};

/// The state's key of the note on a sink's index.
fn key(sink: &str, index: &str) -> String {
    format!("seeding/{sink}/{index}")
}

/// What to forget once an index is seeded.
pub(crate) fn forget_begun(sink: &str, index: &str) -> Mutation {
    Mutation::Delete(key(sink, index))
}

/// Which attempt at seeding made room, durably.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Note {
    attempt: u64,
    /// Where its documents go, if not to the live target.
    generation: Option<Target>,
}

/// The targets of one index.
#[derive(Clone, Copy, Debug)]
struct Targets {
    live: Ensured,
    /// The live one is marked seeded, under the history that is followed.
    whole: bool,
    /// Its whole snapshot goes here; live changes go to both.
    generation: Option<Target>,
    /// The attempt at seeding it that the generation was begun for: when a failed flush repeats it, it goes on.
    begun: Option<u64>,
}

/// The targets of all indexes in one sink.
pub(crate) struct Routes {
    sink: String,
    state: Arc<dyn State>,
    targets: Vec<Targets>,
    pub(crate) terms: Terms,
    live: Arc<[Vec<Target>]>,
    seed: Arc<[Vec<Target>]>,
}

fn of_state(error: StateError) -> StageError {
    StageError::Fatal(format!("the state of the host: {error}"))
}

impl Routes {
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
            targets.push(Targets { live, whole: false, generation: None, begun: None });
        }
        let terms = Terms::load(sink, &*state, mappings).await.map_err(of_state)?;
        let mut routes =
            Self { sink: sink.to_owned(), state, targets, terms, live: Arc::default(), seed: Arc::default() };
        routes.compute();
        Ok(routes)
    }

    /// Ensures every index again, and goes on with generations, in a sink that was opened again. Finds out whether a
    /// promotion whose answer was lost has happened. An index or a generation that is not the one that was written to
    /// before was removed meanwhile; only a new start can seed it.
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
                return Err(StageError::StartAgain(reason));
            }
        }
        self.compute();
        Ok(())
    }

    /// Where live documents go, by index.
    pub(crate) fn live(&self) -> Arc<[Vec<Target>]> {
        Arc::clone(&self.live)
    }

    /// Where a backfill's documents go, by index.
    pub(crate) fn seed(&self) -> Arc<[Vec<Target>]> {
        Arc::clone(&self.seed)
    }

    /// Where live documents of one index go.
    pub(crate) fn live_targets(&self, index: IndexNumber) -> &[Target] {
        self.live.get(index as usize).map_or(&[], Vec::as_slice)
    }

    /// The live target of an index as it was found.
    pub(crate) fn found(&self, index: IndexNumber) -> Option<Ensured> {
        self.targets.get(index as usize).map(|targets| targets.live)
    }

    /// The live target of an index is marked seeded, and the mark counts.
    pub(crate) fn found_whole(&mut self, index: IndexNumber) {
        if let Some(targets) = self.targets.get_mut(index as usize) {
            targets.whole = true;
        }
    }

    /// Whether the live target of an index is whole and in step.
    pub(crate) fn is_whole(&self, index: IndexNumber) -> bool {
        self.targets.get(index as usize).is_some_and(|targets| targets.whole)
    }

    /// The index that a target belongs to.
    pub(crate) fn index(&self, target: Target) -> Option<IndexNumber> {
        let place = self
            .targets
            .iter()
            .position(|targets| targets.live.target == target || targets.generation == Some(target))?;
        IndexNumber::try_from(place).ok()
    }

    /// Before anything is written: whether an unfinished attempt of an earlier run can go on in this sink, because what it
    /// wrote is still there. If it cannot, its generation is given up.
    pub(crate) async fn resume(
        &mut self,
        writer: &mut dyn Writer,
        index: IndexNumber,
        mapping: &Mapping,
        wanted: Option<u64>,
    ) -> Result<bool, StageError> {
        let Some(targets) = self.targets.get_mut(index as usize) else { return Ok(false) };
        let note = self.state.get(&key(&self.sink, &mapping.index)).await.map_err(of_state)?;
        let note: Option<Note> = note.and_then(|note| serde_json::from_slice(&note).ok());
        let Some(note) = note else { return Ok(false) };
        // One that is the live target was promoted before the host could say so.
        let mut generation = note.generation.filter(|generation| *generation != targets.live.target);
        if let Some(attempt) = wanted.filter(|attempt| *attempt == note.attempt) {
            match generation {
                Some(begun) => {
                    let found = writer.begin_rebuild(mapping, true).await?;
                    if found == begun {
                        targets.generation = Some(begun);
                        targets.begun = Some(attempt);
                        self.compute();
                        return Ok(true);
                    }
                    generation = Some(found);
                }
                // An empty one may have been removed and made again; to begin again costs nothing there.
                None if !targets.live.empty || writer.is_stream() => return Ok(true),
                None => {}
            }
        }
        if let Some(generation) = generation {
            targets.generation = None;
            targets.begun = None;
            writer.abandon(generation).await?;
        }
        self.compute();
        Ok(false)
    }

    /// A backfill begins: the index no longer counts as seeded, unless nothing is wrong with it but that somebody asked for
    /// another. One that is not empty is rebuilt beside the live one, or cleared where the sink has no generations; one that
    /// goes on stays as it is.
    pub(crate) async fn begin(
        &mut self,
        writer: &mut dyn Writer,
        index: IndexNumber,
        mappings: &[Mapping],
        begin: Begin,
    ) -> Result<(), StageError> {
        let (Some(targets), Some(mapping)) = (self.targets.get_mut(index as usize), mappings.get(index as usize))
        else {
            return Ok(());
        };
        let keeps = begin.asked && targets.whole;
        if !keeps {
            targets.whole = false;
            writer.mark_unseeded(targets.live.target).await?;
        }
        if begin.resume || (targets.generation.is_some() && targets.begun == Some(begin.attempt)) {
            targets.begun = Some(begin.attempt);
            return Ok(());
        }
        // From here on nothing of an earlier attempt can be gone on with.
        self.state.apply(vec![forget_begun(&self.sink, &mapping.index)]).await.map_err(of_state)?;
        if let Some(generation) = targets.generation.take() {
            writer.abandon(generation).await?;
        }
        if keeps || !(targets.live.empty && begin.first) {
            match writer.begin_rebuild(mapping, false).await {
                Ok(generation) => targets.generation = Some(generation),
                Err(StageError::Unsupported(_)) => {
                    if keeps {
                        targets.whole = false;
                        writer.mark_unseeded(targets.live.target).await?;
                    }
                    writer.clear(targets.live.target, begin.version).await?;
                }
                Err(error) => return Err(error),
            }
        }
        targets.begun = Some(begin.attempt);
        self.compute();
        Ok(())
    }

    /// What [`Routes::begin`] did is durable: what to remember of it.
    pub(crate) fn begun(&self, index: IndexNumber, mappings: &[Mapping]) -> Option<Mutation> {
        let (targets, mapping) = (self.targets.get(index as usize)?, mappings.get(index as usize)?);
        let note = Note { attempt: targets.begun?, generation: targets.generation };
        Some(Mutation::Put(key(&self.sink, &mapping.index), serde_json::to_vec(&note).ok()?))
    }

    /// The whole snapshot is durable: a generation takes the live one's place, and the index counts as seeded.
    pub(crate) async fn seeded(
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
        writer.mark_seeded(targets.live.target, &self.terms.write(index as usize, history)).await?;
        targets.live.empty = false;
        targets.whole = true;
        targets.begun = None;
        self.compute();
        Ok(())
    }

    fn compute(&mut self) {
        let live = |targets: &Targets| std::iter::once(targets.live.target).chain(targets.generation).collect();
        let seed = |targets: &Targets| vec![targets.generation.unwrap_or(targets.live.target)];
        self.live = self.targets.iter().map(live).collect();
        self.seed = self.targets.iter().map(seed).collect();
    }
}
