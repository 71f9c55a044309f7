//! Tracked builders: the engine's builder over guests that only build. The host sees every read of a build and derives from it which
//! documents a change touches.
//!
//! ```text
//! build_many ─▶ root rows ─▶ guest.build-many ──tracked-reader.read──▶ build_call: check, record, read, deal out
//! resolve    ─▶ resolver: rows ─▶ values of before and of now ─▶ documents that looked for them
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `plan` | what the builder offers, checked against the source's tables |
//! | `build_call` | one call of the guest, seen from its reads |
//! | `resolver` | from changed rows to documents |
//! | `encoding` | values and keys as the link table keeps them |
//!
//! What is remembered lies in the link table (`plugin::links::lookups`), whose rules hold here: a lookup is recorded before it is
//! made; one whose values were resolved since the view began makes its document be built again; an older build removes nothing.

mod build_call;
mod encoding;
mod plan;
mod resolver;
mod waking;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;

pub(super) use build_call::{BuildCall, WitRow};
pub(super) use plan::TableDescription;

use super::bindings::exports::flusso::connector::tracked_builder as wit;
use super::bindings::flusso::connector::types::{Relation, TableDescription as WitDescription, TableName as WitTable};
use super::builder::Request;
use super::convert;
use super::fault::Checked;
use super::guest::Guest;
use super::plugin::Plugin;
use super::pool::Pool;
use super::reader::GuestReader;
use super::roles::call;
use super::row_reader::RowReader;
use crate::engine::StageError;
use crate::engine::stage::{self, Affected, Description, RangeBuilder, Result, Slice};
use crate::model::{Change, DocumentId, IndexNumber, Key, Outcome, TableName, TableNumber};
use crate::plugin::finding::Finding;
use crate::plugin::links::Table as Links;
use crate::plugin::links::lookups::DocumentKey;
use crate::plugin::manifest::Role;
use plan::{Offer, Plan, TableRead};
use resolver::{Rest, documents_an_answer};

/// A guest, and the reader that serves it alone.
struct Instance {
    guest: Guest,
    reader: Arc<dyn RowReader>,
}

/// A tracked builder as `[builder]` uses it.
pub struct TrackedBuilder {
    plugin: Plugin,
    source: Plugin,
    requests: Arc<Vec<Request>>,
    pool: Pool<Instance>,
    plan: OnceLock<Arc<Plan>>,
    /// What batches have not handed out yet, by the number in their cursor.
    rests: Mutex<HashMap<u64, Rest>>,
    last_rest: AtomicU64,
}

impl TrackedBuilder {
    /// A builder of `instances` guests that read through the source plugin. `requests` are told to one that builds what is asked for.
    pub fn new(plugin: Plugin, source: Plugin, requests: Vec<Request>, instances: usize) -> Self {
        let (plan, rests, last_rest) = (OnceLock::new(), Mutex::default(), AtomicU64::new(0));
        Self { plugin, source, requests: Arc::new(requests), pool: Pool::new(instances), plan, rests, last_rest }
    }

    /// What a change of each of its tables builds again, for `check`. Opens an instance.
    ///
    /// # Errors
    ///
    /// What keeps it from being opened.
    pub async fn wakes(&self) -> Result<Vec<Finding>> {
        drop(self.open().await?);
        Ok(waking::findings(&*self.plan()?))
    }

    /// A message of this builder.
    fn said(&self, what: &str) -> String {
        format!("the builder {} {what}", self.plugin.manifest().name)
    }

    async fn open(&self) -> Result<Instance> {
        if !self.source.manifest().has(Role::Reader) {
            let what = "reads rows through the source, and the source plugin exports no reader; use one that does";
            return Err(StageError::Configuration(self.said(what)));
        }
        let opened = GuestReader::open(&self.source).await?;
        let opened = opened.map_err(|error| convert::refused(&self.source.origin(), "reader.open", error))?;
        let reader: Arc<dyn RowReader> = Arc::new(opened);
        let guest = self.plugin.spawn(Some(reader.clone())).await?;
        let settings = self.plugin.settings();
        let opening = guest.ask(
            "tracked-builder.open",
            move |live| Box::pin(async move { call!(live, tracked_builder.call_open(&settings)) }),
            Ok,
        );
        opening.await?;
        let instance = Instance { guest, reader };
        if self.plugin.prepared().exports("requested-indexes") {
            self.request(&instance).await?;
        }
        let now = self.look(&instance).await?;
        let plan = self.plan.get_or_init(|| Arc::new(now.clone()));
        let recorded = plan.description.scopes.iter().flat_map(|scope| scope.recorded_relations.iter().cloned());
        self.plugin.links().set_recorded_relations(recorded);
        match plan.offers == now.offers && plan.tables == now.tables {
            true => Ok(instance),
            false => {
                let what = "offers other indexes or reads other tables than when this run began, or their keys changed";
                Err(StageError::RestartRequired(self.said(what)))
            }
        }
    }

    /// Tells an instance which indexes are asked for, and what the source says of their tables.
    async fn request(&self, instance: &Instance) -> Result<()> {
        let requests = Arc::clone(&self.requests);
        let asking = instance.guest.ask(
            "requested-indexes.request",
            move |live| {
                Box::pin(async move {
                    let requests: Vec<_> = requests.iter().map(Request::borrowed).collect();
                    call!(live, requested_indexes.call_request(&requests))
                })
            },
            |tables| convert::counted(tables, 10_000, "tables"),
        );
        let tables = asking.await?;
        let found = instance.reader.describe(tables).await.map_err(|error| self.unread("describe", error))?;
        let found: Vec<_> = found.into_iter().map(|found| found.map(wit_description)).collect();
        let describing = instance.guest.ask(
            "requested-indexes.describe",
            move |live| {
                Box::pin(async move {
                    let found: Vec<_> = found.iter().map(Option::as_ref).collect();
                    call!(live, requested_indexes.call_describe(&found))
                })
            },
            Ok,
        );
        describing.await
    }

    /// What an instance offers, over the tables as they are now.
    async fn look(&self, instance: &Instance) -> Result<Plan> {
        let offering = instance.guest.ask(
            "tracked-builder.indexes",
            |live| Box::pin(async move { call!(live, tracked_builder.call_indexes()) }),
            |offers| convert::counted(offers, 10_000, "indexes")?.into_iter().map(offer).collect::<Checked<Vec<_>>>(),
        );
        let offers = offering.await?;
        if offers.is_empty() {
            return Err(StageError::Configuration(self.said("offers no index; its author has to name one")));
        }
        let tables = plan::tables(&offers);
        let asked = tables.iter().map(wit_table).collect();
        let found = instance.reader.describe(asked).await.map_err(|error| self.unread("describe", error))?;
        let described: Vec<_> = tables.into_iter().zip(found).collect();
        Plan::new(offers, &described).map_err(|what| {
            let what = self.said(&what);
            // It was right when this run began: a table was renamed or dropped, and may come back.
            if self.plan.get().is_some() { StageError::transient(what) } else { StageError::Configuration(what) }
        })
    }

    fn unread(&self, call: &'static str, error: super::bindings::flusso::connector::types::Error) -> StageError {
        convert::refused(&self.source.origin(), call, error)
    }

    fn plan(&self) -> Result<Arc<Plan>> {
        self.plan.get().cloned().ok_or_else(|| StageError::Fatal(self.said("was asked before it was opened")))
    }

    fn links(&self) -> Result<Links> {
        let missing = || StageError::Fatal(self.said("was asked before the state folder was opened"));
        self.plugin.links().get().ok_or_else(missing)
    }

    /// Builds documents of one index; each again whose view was overtaken.
    async fn build(&self, instance: &Instance, index: IndexNumber, keys: Vec<Key>) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; keys.len()];
        let mut places: Vec<usize> = (0..keys.len()).collect();
        while !places.is_empty() {
            let some = places.iter().filter_map(|place| keys.get(*place).cloned()).collect();
            let built = self.build_once(instance, index, some).await?;
            let mut again = Vec::new();
            for (place, outcome) in places.into_iter().zip(built) {
                match (outcome, outcomes.get_mut(place)) {
                    (Some(outcome), Some(slot)) => *slot = Some(outcome),
                    _ => again.push(place),
                }
            }
            places = again;
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Absent)).collect())
    }

    /// Builds documents in one view of the source: `None` for those that were overtaken.
    async fn build_once(
        &self,
        instance: &Instance,
        index: IndexNumber,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<Outcome>>> {
        let (plan, links) = (self.plan()?, self.links()?);
        let place = index as usize;
        let offer = plan.offers.get(place).ok_or_else(|| StageError::Fatal(self.said("has no such index")))?;
        // Before the view begins: what is resolved from now on is not in it, or overtakes it.
        let since = links.begin_build();
        instance.reader.begin().await.map_err(|error| self.unread("reader.begin", error))?;
        let mut rows = self.roots(instance, &plan, offer, &keys).await?;
        let index_number = links.number(&plan::documents_name(&offer.mapping.index)).map_err(fatal)?;
        let documents: Vec<DocumentKey> =
            keys.iter().map(|key| DocumentKey { index: index_number, key: encoding::key(key) }).collect();
        let (mut given, mut of) = (Vec::new(), Vec::new());
        for (place, document) in documents.iter().enumerate() {
            if let Some(row) = rows.remove(&document.key) {
                given.push(row);
                of.push(place);
            }
        }
        let building = of.iter().filter_map(|place| documents.get(*place).cloned()).collect();
        let call = BuildCall::new(plan.clone(), place, links.clone(), since, building);
        let asked = given.len();
        let calling = instance.guest.ask(
            "tracked-builder.build-many",
            move |live| {
                Box::pin(async move {
                    live.store.data_mut().build_call = Some(call);
                    let rows: Vec<_> = given.iter().collect();
                    let built = call!(live, tracked_builder.call_build_many(index, &rows));
                    let ended = live.store.data_mut().build_call.take().map(BuildCall::end);
                    Ok(built?.map(|outcomes| (outcomes, ended)))
                })
            },
            |(outcomes, ended)| Ok((convert::outcomes(outcomes, asked)?, ended)),
        );
        let (built, ended) = if asked == 0 { (Vec::new(), Some(call_without_rows())) } else { calling.await? };
        let ended = ended.ok_or_else(|| StageError::Fatal(self.said("lost its reads")))?;
        if let Some(wrong) = ended.wrong {
            return Err(StageError::Unusable(format!("plugin {}: {wrong}", self.plugin.manifest().name)));
        }
        let mut outcomes: Vec<Option<Outcome>> = documents.iter().map(|_| Some(Outcome::Absent)).collect();
        let mut finished: Vec<_> = documents.into_iter().map(|document| Some((document, Vec::new()))).collect();
        for (number, ((place, outcome), built)) in of.into_iter().zip(built).zip(ended.built).enumerate() {
            let late = ended.late.contains(&number);
            if let (Some(slot), Some(done)) = (outcomes.get_mut(place), finished.get_mut(place)) {
                *slot = (!late).then_some(outcome);
                *done = (!late).then_some(built);
            }
        }
        let finished: Vec<_> = finished.into_iter().flatten().collect();
        links.run(move |links| links.replace_lookups(since, &finished)).await.map_err(fatal)?;
        Ok(outcomes)
    }

    /// The root rows of documents, by their encoded key.
    async fn roots(
        &self,
        instance: &Instance,
        plan: &Plan,
        offer: &Offer,
        keys: &[Key],
    ) -> Result<HashMap<Vec<u8>, WitRow>> {
        let missing = || StageError::Fatal(self.said("has no root table"));
        let key = plan.table(&offer.root).map(|table| table.key.clone()).ok_or_else(missing)?;
        let parts = key.len();
        let question = Relation {
            table: wit_table(&offer.root),
            columns: offer.columns.clone(),
            by: key,
            values: keys.iter().map(|key| convert::to_row(key.parts())).collect(),
            filters: Vec::new(),
            order: Vec::new(),
            limit: None,
            extra: None,
        };
        let found = instance.reader.related_many(vec![question]).await;
        let found = found.map_err(|error| self.unread("reader.related", error))?;
        let mut rows = HashMap::with_capacity(keys.len());
        for mut row in found.into_iter().flatten() {
            let columns = row.split_off(parts.min(row.len()));
            rows.insert(encoding::key(&convert::key(row)), columns);
        }
        Ok(rows)
    }

    /// The answer with the next documents, and a cursor for what is left.
    fn answer(&self, affected: Affected, (ids, rest): (Vec<DocumentId>, Option<Rest>)) -> Affected {
        let more = rest.map(|rest| {
            let number = self.last_rest.fetch_add(1, Ordering::AcqRel) + 1;
            let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
            rests.insert(number, rest);
            number.to_be_bytes().to_vec()
        });
        Affected { ids, more, ..affected }
    }

    async fn next(&self, rest: Rest, max: usize) -> Result<(Vec<DocumentId>, Option<Rest>)> {
        let (plan, links) = (self.plan()?, self.links()?);
        let reading = links.run(move |links| {
            let indexes = resolver::index_numbers(&plan, links)?;
            rest.next(links, &indexes, max)
        });
        reading.await.map_err(fatal)
    }
}

/// What ends a call that was not made, because no document has a root row.
fn call_without_rows() -> build_call::Ended {
    build_call::Ended { built: Vec::new(), late: Default::default(), wrong: None }
}

fn fatal(error: crate::plugin::state::StateError) -> StageError {
    StageError::Fatal(error.to_string())
}

fn wit_table(name: &TableName) -> WitTable {
    WitTable { schema: name.schema.clone(), name: name.name.clone() }
}

fn wit_description(found: TableDescription) -> WitDescription {
    let TableDescription { name, key, columns, tells_before, looking_different: _ } = found;
    let extra = name.map(|name| serde_json::json!({ "schema": name.schema, "name": name.name }).to_string());
    WitDescription { key, columns: columns.unwrap_or_default(), tells_before, extra }
}

/// An offer as the guest made it.
fn offer(offered: wit::OfferedIndex) -> Checked<Offer> {
    let read = |read: wit::TableRead| {
        Ok(TableRead { table: convert::table_name(read.table)?, columns: read.columns, by: read.by })
    };
    Ok(Offer {
        mapping: convert::mapping(offered.mapping)?,
        root: convert::table_name(offered.root)?,
        columns: offered.columns,
        reads: convert::counted(offered.reads, 10_000, "reads")?.into_iter().map(read).collect::<Checked<_>>()?,
    })
}

#[async_trait]
impl stage::Builder for TrackedBuilder {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn instances(&self) -> usize {
        self.pool.size()
    }

    async fn describe(&self) -> Result<Description> {
        let seat = self.pool.seat(self.open()).await?;
        let answer = self.plan().map(|plan| plan.description.clone());
        self.pool.leave(seat, &answer);
        answer
    }

    async fn resolve(&self, changes: Slice<Change>) -> Result<Affected> {
        let (plan, links) = (self.plan()?, self.links()?);
        let resolving = links.run(move |links| resolver::resolve(&plan, links, &changes));
        let resolver::Resolved { touched, rebuild, clear, removals } = resolving.await.map_err(fatal)?;
        let next = self.next(Rest::new(touched), documents_an_answer(None)).await?;
        let affected = Affected { rebuild, clear, link_removals: Some(removals), ..Affected::default() };
        Ok(self.answer(affected, next))
    }

    async fn resolve_more(&self, cursor: Vec<u8>, max: u32) -> Result<Affected> {
        let unknown = || StageError::Fatal(self.said("was asked for documents that it does not know of"));
        let number = cursor.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| unknown())?;
        let rest = {
            let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
            // Asked again after an error, the same ones are handed out; earlier ones are not asked for any more.
            rests.retain(|other, _| *other >= number);
            rests.get(&number).cloned().ok_or_else(unknown)?
        };
        let next = self.next(rest, documents_an_answer(Some(max))).await?;
        Ok(self.answer(Affected::default(), next))
    }

    async fn resolve_table_changes(&self, tables: &[TableNumber]) -> Result<Affected> {
        let plan = self.plan()?;
        self.pool.reshaped();
        // An instance that is opened now finds out whether the tables still fit.
        let seat = self.pool.seat(self.open()).await?;
        let mut rebuild: Vec<IndexNumber> = tables.iter().flat_map(|table| plan.readers(*table)).collect();
        rebuild.sort_unstable();
        rebuild.dedup();
        let answer = Ok(Affected { rebuild, ..Affected::default() });
        self.pool.leave(seat, &answer);
        answer
    }

    async fn build_many(&self, ids: Slice<DocumentId>) -> Result<Vec<Outcome>> {
        let mut by_index: Vec<(IndexNumber, Vec<usize>)> = Vec::new();
        for (place, id) in ids.iter().enumerate() {
            match by_index.iter_mut().find(|(index, _)| *index == id.index) {
                Some((_, places)) => places.push(place),
                None => by_index.push((id.index, vec![place])),
            }
        }
        let seat = self.pool.seat(self.open()).await?;
        let mut outcomes: Vec<Outcome> = vec![Outcome::Absent; ids.len()];
        let mut answer = Ok(());
        for (index, places) in by_index {
            let keys = places.iter().filter_map(|place| ids.get(*place).map(|id| id.key.clone())).collect();
            match self.build(&seat.instance, index, keys).await {
                Ok(built) => {
                    for (place, outcome) in places.into_iter().zip(built) {
                        if let Some(slot) = outcomes.get_mut(place) {
                            *slot = outcome;
                        }
                    }
                }
                Err(error) => {
                    answer = Err(error);
                    break;
                }
            }
        }
        self.pool.leave(seat, &answer);
        answer.map(|()| outcomes)
    }

    async fn ranges(&self) -> Result<Box<dyn RangeBuilder>> {
        Err(StageError::Unsupported(self.said("builds by key; building ranges")))
    }
}
