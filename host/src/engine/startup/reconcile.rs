//! Taking back seed marks that no longer tell the truth, before the source creates anything (I7). A mark says "this index
//! holds the whole snapshot, and every change since": it is taken back where the history is another, where a sink or an index
//! was left out of a run, where a sink was restored from a backup, where the source did not record a table for a while, and
//! where builds did not record the links that the index needs now.

use crate::engine::durability::records::{BackfillRecord, FollowedIndexes, RecordedRelations, SourceRecord};
use crate::engine::error::EngineError;
use crate::engine::observer::Observation;
use crate::engine::options::{OnHistoryLoss, Reseed};
use crate::engine::stage::{Builder, Description, Inspection, Mutation};
use crate::engine::startup::continuity::{Resumption, resumption};
use crate::engine::startup::open_sinks::{OpenSink, OpenSinks};
use crate::engine::startup::seed_marks::SeedMark;
use crate::model::{HistoryId, IndexNumber, Mapping, Position, TableNumber};

impl OpenSinks {
    /// Whether every index that should be seeded again exists.
    pub(crate) fn check_reseed(&self) -> Result<(), EngineError> {
        let Reseed::Indexes(wanted) = &self.context.options.reseed else { return Ok(()) };
        let names = &self.context.index_names;
        let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) else { return Ok(()) };
        let message = format!("there is no index {unknown:?} to seed again; there are: {}", names.join(", "));
        Err(EngineError::Configuration { what: "--reseed".to_owned(), message })
    }

    /// The position to resume at, or none for a new history. Where history is lost, every mark is taken back here, before
    /// anything is created for the new one (I7).
    pub(crate) async fn reconcile(
        &mut self,
        inspection: &Inspection,
        remembered: Option<&SourceRecord>,
    ) -> Result<Option<Position>, EngineError> {
        let history = remembered.map(SourceRecord::history);
        match resumption(inspection, history.as_ref()) {
            Resumption::Resume => {
                self.unmark_indexes_left_out().await?;
                self.unmark_restored_indexes().await?;
                Ok(remembered.map(SourceRecord::position))
            }
            // What sinks have seeded belongs to a history that cannot be tied to this one.
            Resumption::Begin => {
                self.unmark_all().await?;
                Ok(None)
            }
            Resumption::Lost(reason) => {
                let options = &self.context.options;
                let accepted = options.reseed == Reseed::Everything || options.on_history_loss == OnHistoryLoss::Reseed;
                self.history_loss(&reason, accepted)?;
                // I7. Guarded by `tests::i7::a_lost_slot_stops_the_run_unless_it_may_seed_again`.
                self.unmark_all().await?;
                Ok(None)
            }
        }
    }

    /// A loss of history ends the run, unless the operator accepted it in the configuration or for this start.
    fn history_loss(&self, reason: &str, accepted: bool) -> Result<(), EngineError> {
        if !accepted {
            return Err(EngineError::HistoryLost { reason: reason.to_owned() });
        }
        self.context.observe(Observation::HistoryLost { reason });
        Ok(())
    }

    async fn unmark_all(&mut self) -> Result<(), EngineError> {
        for sink in &mut self.sinks {
            sink.unmark(&self.context, |_, _| true).await?;
        }
        let mut forget = vec![SourceRecord::forget(), self.followed_indexes().store()?];
        forget.extend(self.context.index_names.iter().map(|name| BackfillRecord::forget(name)));
        self.context.store(forget).await
    }

    /// An index that a sink was not given while the position moved (the sink, or the index, was left out of a run) has missed
    /// those changes (I7). Guarded by `tests::i7::a_sink_that_sat_out_a_run_is_seeded_again`.
    async fn unmark_indexes_left_out(&mut self) -> Result<(), EngineError> {
        let mut followed = FollowedIndexes::load(&*self.context.state).await?;
        for sink in &mut self.sinks {
            let name = sink.sink.name().to_owned();
            let left_out = |mapping: &Mapping| !followed.contains(&name, &mapping.index, &mapping.hash);
            sink.unmark(&self.context, |_, mapping| left_out(mapping)).await?;
        }
        // What this run leaves out stays in the record until the position moves, and is dropped together with that.
        followed.extend(self.followed_indexes());
        self.context.store(vec![followed.store()?]).await
    }

    /// An index that was restored from a backup lacks what was written since (I7). Guarded by
    /// `tests::i7::an_index_restored_from_a_backup_is_not_taken_for_what_the_host_left_behind`.
    async fn unmark_restored_indexes(&mut self) -> Result<(), EngineError> {
        for at in 0..self.sinks.len() {
            let Some(sink) = self.sinks.get(at) else { break };
            let outdated = |mark: &Option<SeedMark>| mark.as_ref().is_some_and(|mark| mark.outdated);
            let restored: Vec<(IndexNumber, String)> = self
                .context
                .indexes()
                .zip(&sink.marks)
                .filter(|(_, mark)| outdated(mark))
                .map(|((index, name, _), _)| (index, name.to_owned()))
                .collect();
            if restored.is_empty() {
                continue;
            }
            let names: Vec<&str> = restored.iter().map(|(_, name)| name.as_str()).collect();
            let reason = format!(
                "in sink {:?}, {} {} older than what this host left behind; it was restored from a backup",
                sink.sink.name(),
                names.join(", "),
                if names.len() == 1 { "is" } else { "are" },
            );
            let accepted = match &self.context.options.reseed {
                Reseed::Everything => true,
                Reseed::Indexes(wanted) => names.iter().all(|name| wanted.iter().any(|wanted| wanted == name)),
                Reseed::Nothing => self.context.options.on_history_loss == OnHistoryLoss::Reseed,
            };
            self.history_loss(&reason, accepted)?;
            let Some(sink) = self.sinks.get_mut(at) else { break };
            sink.unmark(&self.context, |index, _| restored.iter().any(|(restored, _)| *restored == index)).await?;
        }
        Ok(())
    }

    /// Indexes that missed changes of a table they read: their marks speak of a snapshot that was not kept up (I7). Before
    /// the source is prepared, which is when it forgets that anything was missed. Guarded by
    /// `tests::i7::what_reads_a_table_that_was_not_recorded_is_seeded_again`.
    pub(crate) async fn unmark_indexes_of_unrecorded_tables(
        &mut self,
        unrecorded: &[TableNumber],
        description: &Description,
        builder: &dyn Builder,
    ) -> Result<(), EngineError> {
        let mut retry = self.context.retry(format!("builder {:?}", builder.name()));
        let affected = retry.run(|| builder.resolve_table_changes(unrecorded)).await?;
        let rooted =
            description.scopes.iter().filter(|scope| unrecorded.contains(&scope.root)).map(|scope| scope.index);
        let stale: Vec<IndexNumber> = affected.rebuild.into_iter().chain(rooted).collect();
        for sink in &mut self.sinks {
            sink.unmark(&self.context, |index, _| stale.contains(&index)).await?;
        }
        Ok(())
    }

    /// The link table helps only if every build since an index was seeded has recorded its links. An index that needs a
    /// relation that was not recorded is unmarked (I7); a relation that it needs no longer is noted, because builds stop
    /// recording it. Links of relations that no index needs are removed, and all links when a new history begins. Guarded by
    /// `tests::links::an_index_whose_links_were_not_remembered_is_seeded_again`.
    pub(crate) async fn unmark_indexes_with_missing_links(
        &mut self,
        description: &Description,
        resumed: bool,
    ) -> Result<(), EngineError> {
        let context = self.context.clone();
        let before = RecordedRelations::load(&*context.state).await?;
        let (mut after, mut mutations, mut needed) = (RecordedRelations::default(), Vec::new(), Vec::new());
        for scope in &description.scopes {
            let (name, hash) = (context.name(scope.index), &context.mapping(scope.index)?.hash);
            after.insert(name, hash, &scope.recorded_relations);
            needed.extend(scope.recorded_relations.iter().cloned());
            let missing = before.missing(name, hash, &scope.recorded_relations);
            if missing.is_empty() {
                continue;
            }
            // Also a backfill that was left unfinished: the links that it has read are not recorded.
            mutations.push(BackfillRecord::forget(name));
            let seeded = |sink: &OpenSink| sink.marks.get(scope.index as usize).is_some_and(Option::is_some);
            if self.sinks.iter().any(seeded) {
                context.observe(Observation::LinksIncomplete { index: name, relations: &missing });
            }
            for sink in &mut self.sinks {
                sink.unmark(&context, |index, _| index == scope.index).await?;
            }
        }
        if resumed && before == after {
            return Ok(());
        }
        mutations.push(Mutation::RetainRelations(if resumed { needed } else { Vec::new() }));
        mutations.push(after.store()?);
        context.store(mutations).await
    }

    /// Every mark of this history gets the term of this run, and the host remembers that term.
    pub(crate) async fn renew_marks(&mut self, history: &HistoryId) -> Result<(), EngineError> {
        let mut terms = Vec::with_capacity(self.sinks.len());
        for sink in &mut self.sinks {
            sink.renew_marks(&self.context, history).await?;
            terms.push(sink.targets.seed_marks.record_term()?);
        }
        self.context.store(terms).await
    }
}
