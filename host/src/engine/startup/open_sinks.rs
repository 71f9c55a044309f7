//! The sinks of a run, open, with every index ensured in each of them and every seed mark read.

use std::sync::Arc;

use crate::engine::delivery::index_targets::IndexTargets;
use crate::engine::durability::records::FollowedIndexes;
use crate::engine::error::{EngineError, StageError};
use crate::engine::run_context::RunContext;
use crate::engine::stage::{Sink, State, Writer};
use crate::engine::startup::seed_marks::SeedMark;
use crate::model::{HistoryId, IndexNumber, Mapping, Target};

/// A sink whose indexes are ensured.
pub(crate) struct OpenSink {
    pub(crate) sink: Arc<dyn Sink>,
    writer: Option<Box<dyn Writer>>,
    pub(crate) targets: IndexTargets,
    /// By index number: what the sink's mark says; none: it has none.
    pub(crate) marks: Vec<Option<SeedMark>>,
}

/// All sinks of a run.
pub(crate) struct OpenSinks {
    pub(crate) sinks: Vec<OpenSink>,
    pub(crate) context: Arc<RunContext>,
}

impl OpenSinks {
    /// Opens every sink, ensures every index in it, and asks which are marked seeded.
    pub(crate) async fn open(sinks: Vec<Arc<dyn Sink>>, context: &Arc<RunContext>) -> Result<Self, EngineError> {
        let mut open = Vec::with_capacity(sinks.len());
        for sink in sinks {
            let mut retry = context.retry(stage(&*sink));
            open.push(retry.run(|| OpenSink::open(&sink, &context.state, &context.mappings)).await?);
        }
        Ok(Self { sinks: open, context: Arc::clone(context) })
    }

    /// The indexes that some sink does not hold complete.
    pub(crate) fn incomplete_indexes(&self) -> impl Iterator<Item = IndexNumber> {
        let incomplete = |index: &IndexNumber| self.sinks.iter().any(|sink| !sink.targets.is_complete(*index));
        self.context.index_numbers().filter(incomplete)
    }

    /// What this run keeps up to date: each index in each sink.
    pub(crate) fn followed_indexes(&self) -> FollowedIndexes {
        let mut followed = FollowedIndexes::default();
        for sink in &self.sinks {
            for mapping in &self.context.mappings {
                followed.insert(sink.sink.name(), &mapping.index, &mapping.hash);
            }
        }
        followed
    }
}

fn stage(sink: &dyn Sink) -> String {
    format!("sink {:?}", sink.name())
}

impl OpenSink {
    async fn open(sink: &Arc<dyn Sink>, state: &Arc<dyn State>, mappings: &[Mapping]) -> Result<Self, StageError> {
        let mut writer = sink.open().await?;
        let targets = IndexTargets::open(sink.name(), Arc::clone(state), &mut *writer, mappings).await?;
        let mut marks = Vec::with_capacity(mappings.len());
        for (index, target) in targets.live_targets() {
            let mark = writer.seeded(target).await?;
            marks.push(mark.map(|mark| targets.seed_marks.read(index as usize, &mark)));
        }
        Ok(Self { sink: Arc::clone(sink), writer: Some(writer), targets, marks })
    }

    /// The sink, its open instance if there is one, and the targets of its indexes.
    pub(crate) fn into_parts(self) -> (Arc<dyn Sink>, Option<Box<dyn Writer>>, IndexTargets) {
        (self.sink, self.writer, self.targets)
    }

    /// The open instance; none after an error.
    pub(crate) fn writer(&self) -> Option<&dyn Writer> {
        self.writer.as_deref()
    }

    /// Takes the open instance, or opens a fresh one and ensures its indexes. The caller puts it back unless a call failed.
    async fn take_writer(&mut self, context: &RunContext) -> Result<Box<dyn Writer>, StageError> {
        if let Some(writer) = self.writer.take() {
            return Ok(writer);
        }
        let mut writer = self.sink.open().await?;
        self.targets.ensure(&mut *writer, &context.mappings).await?;
        Ok(writer)
    }

    /// Changes the seed mark of an index: sets it, or removes it where there is none to set.
    async fn change_mark(
        &mut self,
        context: &RunContext,
        target: Target,
        mark: Option<&HistoryId>,
    ) -> Result<(), EngineError> {
        let mut retry = context.retry(stage(&*self.sink));
        while let Err(error) = self.try_change_mark(context, target, mark).await {
            retry.failed(error).await?;
        }
        Ok(())
    }

    async fn try_change_mark(
        &mut self,
        context: &RunContext,
        target: Target,
        mark: Option<&HistoryId>,
    ) -> Result<(), StageError> {
        let mut writer = self.take_writer(context).await?;
        match mark {
            Some(mark) => writer.mark_seeded(target, mark).await?,
            None => writer.mark_unseeded(target).await?,
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// Whether the unfinished attempt at seeding an index can be continued in this sink; see [`IndexTargets::resume`].
    pub(crate) async fn resume(
        &mut self,
        context: &RunContext,
        index: IndexNumber,
        mapping: &Mapping,
        attempt: Option<u64>,
    ) -> Result<bool, EngineError> {
        let mut retry = context.retry(stage(&*self.sink));
        loop {
            match self.try_resume(context, index, mapping, attempt).await {
                Ok(resumable) => return Ok(resumable),
                Err(error) => retry.failed(error).await?,
            }
        }
    }

    async fn try_resume(
        &mut self,
        context: &RunContext,
        index: IndexNumber,
        mapping: &Mapping,
        attempt: Option<u64>,
    ) -> Result<bool, StageError> {
        let mut writer = self.take_writer(context).await?;
        let resumable = self.targets.resume(&mut *writer, index, mapping, attempt).await?;
        self.writer = Some(writer);
        Ok(resumable)
    }

    /// Removes the seed marks of the indexes that `which` picks by number and mapping.
    pub(crate) async fn unmark(
        &mut self,
        context: &RunContext,
        which: impl Fn(IndexNumber, &Mapping) -> bool,
    ) -> Result<(), EngineError> {
        let marked: Vec<(IndexNumber, Target)> = self
            .targets
            .live_targets()
            .zip(&self.marks)
            .zip(&context.mappings)
            .filter(|(((index, _), mark), mapping)| mark.is_some() && which(*index, mapping))
            .map(|((found, _), _)| found)
            .collect();
        for (index, target) in marked {
            self.change_mark(context, target, None).await?;
            if let Some(mark) = self.marks.get_mut(index as usize) {
                *mark = None;
            }
        }
        Ok(())
    }

    /// Every mark of this history gets the term of this run. What the host has to remember of it is stored by the caller.
    pub(crate) async fn renew_marks(&mut self, context: &RunContext, history: &HistoryId) -> Result<(), EngineError> {
        if !self.writer().is_some_and(Writer::is_stream) {
            self.targets.seed_marks.begin_term();
        }
        let of_history = |mark: &Option<SeedMark>| mark.as_ref().is_some_and(|mark| mark.history == *history);
        let live = self.targets.live_targets().zip(&self.marks);
        let renewed: Vec<_> = live.filter(|(_, mark)| of_history(mark)).map(|(found, _)| found).collect();
        for (index, target) in renewed {
            let mark = self.targets.seed_marks.text(index as usize, history);
            self.change_mark(context, target, Some(&mark)).await?;
        }
        Ok(())
    }
}
