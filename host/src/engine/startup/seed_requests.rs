//! Which indexes a run seeds, in which sinks, and which unfinished backfills it resumes.

use std::time::{Duration, UNIX_EPOCH};

use crate::engine::delivery::lane::SinkSet;
use crate::engine::durability::records::{BackfillRecord, is_reindex_requested, seeded_since};
use crate::engine::error::EngineError;
use crate::engine::observer::Observation;
use crate::engine::options::Reseed;
use crate::engine::startup::open_sinks::OpenSinks;
use crate::model::{HistoryId, IndexNumber, Mapping};

/// An index to be seeded.
pub(crate) struct SeedRequest {
    pub(crate) index: IndexNumber,
    pub(crate) sinks: SinkSet,
    /// The backfill of an earlier run that can be resumed.
    pub(crate) resume: Option<BackfillRecord>,
    /// The operator asked for a rebuild, and nothing is wrong with the index that serves.
    pub(crate) reindex: bool,
}

impl OpenSinks {
    /// The indexes to seed, each with the sinks that want it.
    pub(crate) async fn seed_requests(&mut self, history: &HistoryId) -> Result<Vec<SeedRequest>, EngineError> {
        let context = self.context.clone();
        for sink in &mut self.sinks {
            for (index, mark) in context.index_numbers().zip(&sink.marks) {
                if mark.as_ref().is_some_and(|mark| mark.history == *history) {
                    sink.targets.set_complete(index);
                }
            }
        }
        if context.options.skip_backfill {
            // Changes go to the live index alone from now on: a backfill that was left unfinished would lack them.
            context.store(context.index_names.iter().map(|name| BackfillRecord::forget(name)).collect()).await?;
            return Ok(Vec::new());
        }
        let mut requests = Vec::new();
        for (index, name, mapping) in context.indexes() {
            requests.extend(self.seed_request(index, name, mapping, history).await?);
        }
        if requests.is_empty() {
            let since = seeded_since(&*context.state).await?;
            let since = since.map(|since| UNIX_EPOCH + Duration::from_secs(since));
            let since = since.map(|since| humantime::format_rfc3339_seconds(since).to_string());
            let indexes = context.index_names.len();
            context.observe(Observation::NothingToSeed { indexes, since: since.as_deref() });
        } else {
            context.observe(Observation::ToSeed { indexes: requests.len() });
        }
        Ok(requests)
    }

    /// The request for one index, if a sink wants it.
    async fn seed_request(
        &mut self,
        index: IndexNumber,
        name: &str,
        mapping: &Mapping,
        history: &HistoryId,
    ) -> Result<Option<SeedRequest>, EngineError> {
        let context = self.context.clone();
        let reseed = match &context.options.reseed {
            Reseed::Nothing => false,
            Reseed::Everything => true,
            Reseed::Indexes(wanted) => wanted.iter().any(|wanted| wanted == name),
        };
        // A rebuild that an earlier run was asked for and did not finish.
        let reindex = !reseed && is_reindex_requested(&*context.state, name).await?;
        let mut sinks = SinkSet::default();
        let mut sink_names = Vec::new();
        for (number, sink) in self.sinks.iter().enumerate() {
            if reseed || reindex || !sink.targets.is_complete(index) {
                sinks.insert(number);
                sink_names.push(sink.sink.name().to_owned());
            }
        }
        // An unfinished backfill is resumed only for the same documents of the same history in the same sinks.
        let record = BackfillRecord::load(&*context.state, name).await?;
        let mut resume = record.clone().filter(|record| {
            !reseed && record.history == **history && record.hash == mapping.hash && record.sinks == sink_names
        });
        for (number, sink) in self.sinks.iter_mut().enumerate() {
            let attempt = resume.as_ref().filter(|_| sinks.contains(number)).map(|record| record.attempt);
            let resumable = sink.resume(&context, index, mapping, attempt).await?;
            if sinks.contains(number) && !resumable {
                resume = None;
            }
        }
        if record.is_some() && resume.is_none() {
            context.store(vec![BackfillRecord::forget(name)]).await?;
        }
        Ok((!sinks.is_empty()).then_some(SeedRequest { index, sinks, resume, reindex }))
    }
}
