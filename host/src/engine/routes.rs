//! Where an index's documents go in one sink: the live target, and while it is rebuilt a generation beside it.

use std::sync::Arc;

use super::error::StageError;
use super::lane::Begin;
use super::stage::{Ensured, Mutation, State, Writer};
use crate::model::{HistoryId, IndexNumber, Mapping, Target};

/// The state's key that remembers a generation under construction.
fn key(sink: &str, index: &str) -> String {
    format!("generation/{sink}/{index}")
}

/// The targets of one index.
#[derive(Clone, Copy, Debug)]
struct Targets {
    live: Ensured,
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
    live: Arc<[Vec<Target>]>,
    seed: Arc<[Vec<Target>]>,
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
            targets.push(Targets { live, generation: None, begun: None });
        }
        let mut routes = Self { sink: sink.to_owned(), state, targets, live: Arc::default(), seed: Arc::default() };
        routes.compute();
        Ok(routes)
    }

    /// Ensures every index again, and goes on with generations, in a sink that was opened again.
    pub(crate) async fn ensure(&mut self, writer: &mut dyn Writer, mappings: &[Mapping]) -> Result<(), StageError> {
        for (targets, mapping) in self.targets.iter_mut().zip(mappings) {
            targets.live.target = writer.ensure_index(mapping).await?.target;
            if targets.generation.is_some() {
                targets.generation = Some(writer.begin_rebuild(mapping, true).await?);
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

    /// The index that a target belongs to.
    pub(crate) fn index(&self, target: Target) -> Option<IndexNumber> {
        let place = self
            .targets
            .iter()
            .position(|targets| targets.live.target == target || targets.generation == Some(target))?;
        IndexNumber::try_from(place).ok()
    }

    /// A backfill begins: the index no longer counts as seeded. One that is not empty is rebuilt beside the live one, or
    /// cleared where the sink has no generations; one that goes on stays as it is.
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
        writer.mark_unseeded(targets.live.target).await?;
        let key = key(&self.sink, &mapping.index);
        let state = |error: super::stage::StateError| StageError::transient(format!("the state of the host: {error}"));
        if targets.generation.is_some() && targets.begun == Some(begin.attempt) {
            return Ok(());
        }
        if begin.resume {
            if self.state.get(&key).await.map_err(state)?.is_some() {
                targets.generation = Some(writer.begin_rebuild(mapping, true).await?);
            }
        } else if !(targets.live.empty && begin.attempt == Begin::FIRST) {
            match writer.begin_rebuild(mapping, false).await {
                Ok(generation) => {
                    self.state.apply(vec![Mutation::Put(key, Vec::new())]).await.map_err(state)?;
                    targets.generation = Some(generation);
                }
                Err(StageError::Unsupported(_)) => writer.clear(targets.live.target, begin.version).await?,
                Err(error) => return Err(error),
            }
        }
        targets.begun = Some(begin.attempt);
        self.compute();
        Ok(())
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
        writer.mark_seeded(targets.live.target, history).await?;
        targets.live.empty = false;
        targets.begun = None;
        self.compute();
        Ok(())
    }

    /// What to remember once an index is seeded.
    pub(crate) fn forget_generation(sink: &str, index: &str) -> Mutation {
        Mutation::Delete(key(sink, index))
    }

    fn compute(&mut self) {
        let live = |targets: &Targets| std::iter::once(targets.live.target).chain(targets.generation).collect();
        let seed = |targets: &Targets| vec![targets.generation.unwrap_or(targets.live.target)];
        self.live = self.targets.iter().map(live).collect();
        self.seed = self.targets.iter().map(seed).collect();
    }
}
