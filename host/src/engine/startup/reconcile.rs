//! What is decided before a source is prepared: whether its history goes on, and which indexes which sinks want seeded.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::engine::error::{EngineError, StageError};
use crate::engine::delivery::lane::Scope;
use crate::engine::observer::{Observation, Observer};
use crate::engine::options::{OnHistoryLoss, Options, Reseed};
use crate::engine::durability::records::{BackfillRecord, Followed, Remembered, SourceRecord, is_asked_for, seeded_since};
use crate::engine::retry::Retry;
use crate::engine::delivery::index_targets::Routes;
use crate::engine::backfill::schedule::ToSeed;
use crate::engine::stage::{Builder, Continuity, Description, Inspection, Mutation, Sink, State, Writer};
use crate::engine::startup::seed_marks::Mark;
use crate::model::{HistoryId, IndexNumber, Mapping, Position, TableNumber};

/// A sink that is open, its indexes ensured.
pub(crate) struct OpenSink {
    sink: Arc<dyn Sink>,
    pub(crate) writer: Box<dyn Writer>,
    pub(crate) routes: Routes,
    /// The sink's word, by index.
    seeded: Vec<Option<Mark>>,
}

/// All sinks.
pub(crate) struct Opened {
    pub(crate) sinks: Vec<OpenSink>,
    names: Vec<String>,
    mappings: Vec<Mapping>,
}

/// Opens every sink, ensures every index in it, and asks which are seeded.
pub(crate) async fn open_sinks(
    sinks: &[Arc<dyn Sink>],
    state: &Arc<dyn State>,
    description: &Description,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Opened, EngineError> {
    let names = description.mappings.iter().map(|mapping| mapping.index.clone()).collect();
    let mappings: Vec<Mapping> = description.mappings.iter().map(|mapping| options.at_sinks(mapping)).collect();
    let mut opened = Vec::with_capacity(sinks.len());
    for sink in sinks {
        let name = format!("sink {:?}", sink.name());
        let mut retry = Retry::new(&name, options, observer);
        opened.push(loop {
            match open_sink(sink, state, &mappings).await {
                Ok(open) => break open,
                Err(error) => retry.failed(error).await?,
            }
        });
    }
    Ok(Opened { sinks: opened, names, mappings })
}

async fn open_sink(sink: &Arc<dyn Sink>, state: &Arc<dyn State>, mappings: &[Mapping]) -> Result<OpenSink, StageError> {
    let mut writer = sink.open().await?;
    let routes = Routes::open(sink.name(), Arc::clone(state), &mut *writer, mappings).await?;
    let mut seeded = Vec::with_capacity(mappings.len());
    for index in indexes(mappings.len()) {
        let target = routes.found(index).map(|found| found.target).unwrap_or_default();
        let mark = writer.seeded(target).await?;
        seeded.push(mark.map(|mark| routes.terms.read(index as usize, &mark)));
    }
    Ok(OpenSink { sink: Arc::clone(sink), writer, routes, seeded })
}

impl OpenSink {
    /// After a failure: waits, and takes a fresh instance.
    async fn again(
        &mut self,
        error: StageError,
        retry: &mut Retry<'_>,
        mappings: &[Mapping],
    ) -> Result<(), EngineError> {
        retry.failed(error).await?;
        loop {
            match self.reopen(mappings).await {
                Ok(()) => return Ok(()),
                Err(error) => retry.failed(error).await?,
            }
        }
    }

    /// Forgets the marks of the indexes that `which` picks.
    async fn unseed(
        &mut self,
        mappings: &[Mapping],
        options: &Options,
        observer: &dyn Observer,
        which: impl Fn(&Mapping, &str) -> bool,
    ) -> Result<(), EngineError> {
        let name = format!("sink {:?}", self.sink.name());
        for (index, mapping) in indexes(mappings.len()).zip(mappings) {
            let marked = self.seeded.get_mut(index as usize).filter(|mark| mark.is_some());
            let (Some(mark), Some(found)) = (marked, self.routes.found(index)) else { continue };
            if !which(mapping, self.sink.name()) {
                continue;
            }
            *mark = None;
            let mut retry = Retry::new(&name, options, observer);
            while let Err(error) = self.writer.mark_unseeded(found.target).await {
                self.again(error, &mut retry, mappings).await?;
            }
        }
        Ok(())
    }

    async fn reopen(&mut self, mappings: &[Mapping]) -> Result<(), StageError> {
        let mut writer = self.sink.open().await?;
        self.routes.ensure(&mut *writer, mappings).await?;
        self.writer = writer;
        Ok(())
    }
}

fn indexes(count: usize) -> impl Iterator<Item = IndexNumber> {
    (0..count).filter_map(|index| IndexNumber::try_from(index).ok())
}

impl Opened {
    /// The indexes that some sink does not have whole.
    pub(crate) fn not_whole(&self) -> impl Iterator<Item = IndexNumber> {
        indexes(self.names.len()).filter(|index| self.sinks.iter().any(|sink| !sink.routes.is_whole(*index)))
    }

    /// Whether the source goes on where the host left off: the position to resume at, or none for a new history. Where
    /// history is lost, every sink is marked unseeded here, before anything is created for the new one (I7).
    pub(crate) async fn reconcile(
        &mut self,
        inspection: &Inspection,
        position: Option<Position>,
        remembered: Option<&SourceRecord>,
        state: &dyn State,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<Option<Position>, EngineError> {
        let lost = match &inspection.continuity {
            Continuity::Continuous if position.is_some() => {
                let same = remembered.map(SourceRecord::history) == inspection.history;
                (!same).then(|| "the source follows another history than the host remembers".to_owned())
            }
            Continuity::Lost(reason) => Some(reason.clone()),
            Continuity::Fresh if position.is_some() => Some("what the source kept for this host is gone".to_owned()),
            // The host remembers nothing: what sinks have seeded belongs to a history that nobody can tie to this one.
            Continuity::Continuous | Continuity::Fresh => {
                self.unseed(state, options, observer).await?;
                return Ok(None);
            }
        };
        match lost {
            None => {
                self.unseed_what_was_left_out(state, options, observer).await?;
                self.unseed_what_was_restored(options, observer).await?;
                Ok(position)
            }
            Some(reason) if options.reseed != Reseed::Everything && options.on_history_loss == OnHistoryLoss::Stop => {
                Err(EngineError::HistoryLost { reason })
            }
            Some(reason) => {
                observer.observe(Observation::HistoryLost { reason: &reason });
                // I7. Guarded by `tests::i7::a_lost_slot_stops_the_run_unless_it_may_seed_again`.
                self.unseed(state, options, observer).await?;
                Ok(None)
            }
        }
    }

    /// Whether every index that should be seeded again is there.
    pub(crate) fn check(&self, options: &Options) -> Result<(), EngineError> {
        let Reseed::Indexes(wanted) = &options.reseed else { return Ok(()) };
        let Some(unknown) = wanted.iter().find(|name| !self.names.contains(name)) else { return Ok(()) };
        let message = format!("there is no index {unknown:?} to seed again; there are: {}", self.names.join(", "));
        Err(EngineError::Configuration { what: "--reseed".to_owned(), message })
    }

    /// What this run follows.
    pub(crate) fn follows(&self) -> Followed {
        let mut followed = Followed::default();
        for sink in &self.sinks {
            for mapping in &self.mappings {
                followed.insert(sink.sink.name(), &mapping.index, &mapping.hash);
            }
        }
        followed
    }

    /// An index that a sink was not given while the position moved (the sink, or the index, was left out of a run) has
    /// missed those changes: its mark speaks of a snapshot that nothing has kept up (I7). Guarded by
    /// `tests::i7::a_sink_that_sat_out_a_run_is_seeded_again`.
    async fn unseed_what_was_left_out(
        &mut self,
        state: &dyn State,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<(), EngineError> {
        let mut followed = Followed::load(state).await?;
        for sink in &mut self.sinks {
            let mappings = &self.mappings;
            sink.unseed(mappings, options, observer, |mapping, name| {
                !followed.contains(name, &mapping.index, &mapping.hash)
            })
            .await?;
        }
        // What is left out now is kept up until the position moves, and dropped from the record together with that.
        followed.extend(self.follows());
        state.apply(vec![followed.store()?]).await.map_err(EngineError::State)
    }

    /// An index that was restored from a backup lacks what was written since (I7). Guarded by
    /// `tests::i7::an_index_restored_from_a_backup_is_not_taken_for_what_the_host_left_behind`.
    async fn unseed_what_was_restored(
        &mut self,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<(), EngineError> {
        for sink in &mut self.sinks {
            let marks = sink.seeded.iter().zip(&self.names);
            let outdated: Vec<String> = marks
                .filter(|(mark, _)| mark.as_ref().is_some_and(|mark| mark.outdated))
                .map(|(_, name)| name.clone())
                .collect();
            if outdated.is_empty() {
                continue;
            }
            let reason = format!(
                "in sink {:?}, {} {} older than what this host left behind; it was restored from a backup",
                sink.sink.name(),
                outdated.join(", "),
                if outdated.len() == 1 { "is" } else { "are" },
            );
            let accepted = match &options.reseed {
                Reseed::Everything => true,
                Reseed::Indexes(wanted) => outdated.iter().all(|name| wanted.contains(name)),
                Reseed::Nothing => options.on_history_loss == OnHistoryLoss::Reseed,
            };
            if !accepted {
                return Err(EngineError::HistoryLost { reason });
            }
            observer.observe(Observation::HistoryLost { reason: &reason });
            let names = &self.names;
            let mappings = &self.mappings;
            sink.unseed(mappings, options, observer, |mapping, _| {
                let name = mappings.iter().position(|it| it.index == mapping.index).and_then(|at| names.get(at));
                name.is_some_and(|name| outdated.contains(name))
            })
            .await?;
        }
        Ok(())
    }

    /// Every mark that counts gets the term of this run.
    pub(crate) async fn renew(
        &mut self,
        history: &HistoryId,
        state: &dyn State,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<(), EngineError> {
        let mut remember = Vec::with_capacity(self.sinks.len());
        for sink in &mut self.sinks {
            sink.routes.terms.begin(&*sink.writer);
            for index in indexes(self.mappings.len()) {
                let mark = sink.seeded.get(index as usize).and_then(Option::as_ref);
                let (Some(mark), Some(found)) = (mark, sink.routes.found(index)) else { continue };
                if mark.history != *history {
                    continue;
                }
                let mark = sink.routes.terms.write(index as usize, history);
                let name = format!("sink {:?}", sink.sink.name());
                let mut retry = Retry::new(&name, options, observer);
                while let Err(error) = sink.writer.mark_seeded(found.target, &mark).await {
                    sink.again(error, &mut retry, &self.mappings).await?;
                }
            }
            remember.extend(sink.routes.terms.renewed());
        }
        state.apply(remember).await.map_err(EngineError::State)
    }

    /// Indexes that missed changes of a table they read: their marks speak of a snapshot that was not kept up (I7). Before
    /// the source is prepared, which is when it forgets that anything was missed. Guarded by
    /// `tests::i7::what_reads_a_table_that_was_not_recorded_is_seeded_again`.
    pub(crate) async fn unseed_what_was_missed(
        &mut self,
        missed: &[TableNumber],
        description: &Description,
        builder: &dyn Builder,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<(), EngineError> {
        let name = format!("builder {:?}", builder.name());
        let mut retry = Retry::new(&name, options, observer);
        let affected = loop {
            match builder.reshaped(missed).await {
                Ok(affected) => break affected,
                Err(error) => retry.failed(error).await?,
            }
        };
        let rooted = description.scopes.iter().filter(|scope| missed.contains(&scope.root)).map(|scope| scope.index);
        let stale: Vec<IndexNumber> = affected.rebuild.into_iter().chain(rooted).collect();
        let stale: Vec<&str> =
            stale.iter().filter_map(|index| self.mappings.get(*index as usize)).map(|it| it.index.as_str()).collect();
        for sink in &mut self.sinks {
            sink.unseed(&self.mappings, options, observer, |mapping, _| stale.contains(&mapping.index.as_str()))
                .await?;
        }
        Ok(())
    }

    /// Links help only if every build since an index was seeded has remembered them. An index that needs more of them than
    /// were is unseeded (I7); what is needed less is noted, because builds stop remembering it. Links of relations that nobody
    /// needs are forgotten, and of all relations when a new history begins. Guarded by
    /// `tests::links::an_index_whose_links_were_not_remembered_is_seeded_again`.
    pub(crate) async fn unseed_what_was_not_remembered(
        &mut self,
        description: &Description,
        resumed: bool,
        state: &dyn State,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<(), EngineError> {
        let before = Remembered::load(state).await?;
        let (mut after, mut mutations, mut needed) = (Remembered::default(), Vec::new(), Vec::new());
        for scope in &description.scopes {
            let (at, remembers) = (scope.index as usize, &scope.remembers);
            let (Some(name), Some(mapping)) = (self.names.get(at), self.mappings.get(at)) else { continue };
            after.insert(name, &mapping.hash, remembers);
            needed.extend(remembers.iter().cloned());
            let lacking = before.lacks(name, &mapping.hash, remembers);
            if lacking.is_empty() {
                continue;
            }
            // Also one that was left unfinished: what it has read is not remembered.
            mutations.push(BackfillRecord::forget(name));
            let seeded = |sink: &OpenSink| sink.seeded.get(at).is_some_and(Option::is_some);
            if self.sinks.iter().any(seeded) {
                observer.observe(Observation::Unremembered { index: name, relations: &lacking });
            }
            let index = &mapping.index;
            for sink in &mut self.sinks {
                sink.unseed(&self.mappings, options, observer, |mapping, _| mapping.index == *index).await?;
            }
        }
        if resumed && before == after {
            return Ok(());
        }
        mutations.push(Mutation::Retain(if resumed { needed } else { Vec::new() }));
        mutations.push(after.store()?);
        state.apply(mutations).await.map_err(EngineError::State)
    }

    async fn unseed(
        &mut self,
        state: &dyn State,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<(), EngineError> {
        for sink in &mut self.sinks {
            sink.unseed(&self.mappings, options, observer, |_, _| true).await?;
        }
        let mut forget = vec![Mutation::Delete("source".to_owned()), self.follows().store()?];
        forget.extend(self.names.iter().map(|name| BackfillRecord::forget(name)));
        state.apply(forget).await.map_err(EngineError::State)
    }
}

/// The indexes to seed, each with the sinks that want it.
pub(crate) async fn to_seed(
    opened: &mut Opened,
    history: &HistoryId,
    state: &dyn State,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Vec<ToSeed>, EngineError> {
    for sink in &mut opened.sinks {
        for (index, mark) in indexes(sink.seeded.len()).zip(&sink.seeded) {
            if mark.as_ref().is_some_and(|mark| mark.history == *history) {
                sink.routes.found_whole(index);
            }
        }
    }
    if options.skip_backfill {
        // What changes now goes to the live index alone: a backfill that was left unfinished would lack it.
        let forget = opened.names.iter().map(|name| BackfillRecord::forget(name)).collect();
        state.apply(forget).await.map_err(EngineError::State)?;
        return Ok(Vec::new());
    }
    let mut list = Vec::new();
    for index in indexes(opened.names.len()) {
        let at = index as usize;
        let (Some(name), Some(mapping)) = (opened.names.get(at), opened.mappings.get(at)) else { continue };
        let again = match &options.reseed {
            Reseed::Nothing => false,
            Reseed::Everything => true,
            Reseed::Indexes(wanted) => wanted.contains(name),
        };
        // A run before this one was asked for it and did not come to its end.
        let asked = !again && is_asked_for(state, name).await?;
        let mut scope = Scope::default();
        let mut sinks = Vec::new();
        for (number, sink) in opened.sinks.iter().enumerate() {
            if again || asked || !sink.routes.is_whole(index) {
                scope.insert(number);
                sinks.push(sink.sink.name().to_owned());
            }
        }
        // An unfinished backfill goes on only for the same documents of the same history in the same sinks.
        let record = BackfillRecord::load(state, name).await?;
        let mut resume = record.clone().filter(|record| {
            !again && record.history == **history && record.hash == mapping.hash && record.sinks == sinks
        });
        for sink in &mut opened.sinks {
            let wants = sinks.iter().any(|name| name == sink.sink.name());
            let wanted = resume.as_ref().filter(|_| wants).map(|record| record.attempt);
            let label = format!("sink {:?}", sink.sink.name());
            let mut retry = Retry::new(&label, options, observer);
            let goes_on = loop {
                match sink.routes.resume(&mut *sink.writer, index, mapping, wanted).await {
                    Ok(goes_on) => break goes_on,
                    Err(error) => sink.again(error, &mut retry, &opened.mappings).await?,
                }
            };
            if wants && !goes_on {
                resume = None;
            }
        }
        if record.is_some() && resume.is_none() {
            state.apply(vec![BackfillRecord::forget(name)]).await.map_err(EngineError::State)?;
        }
        if !scope.is_empty() {
            list.push(ToSeed { index, scope, resume, asked });
        }
    }
    if list.is_empty() {
        let since = seeded_since(state)
            .await?
            .map(|since| humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(since)).to_string());
        observer.observe(Observation::NothingToSeed { indexes: opened.names.len(), since: since.as_deref() });
    }
    Ok(list)
}
