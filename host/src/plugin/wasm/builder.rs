//! The engine's builder over guests: several instances share the building, all opened alike; each has a reader of its own
//! where the plugin imports one. An instance that answered with an error is not used again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::bindings::exports::flusso::connector::diagnosis::ExaminedIndex;
use super::bindings::flusso::connector::types::Error;
use super::bindings::flusso::connector::types::IndexRequest;
use super::convert;
use super::convert::EndedLinks;
use super::declared_reads::DeclaredReads;
use super::fault::{Checked, Fault};
use super::guest::{Guest, Live, Running};
use super::plugin::Plugin;
use super::reader::GuestReader;
use super::roles::call;
use super::row_reader::RowReader;
use super::untold_links::UntoldLinks;
use crate::engine::StageError;
use crate::engine::stage::{self, Affected, Description, RangeBuilder, RangedPage, Result, Slice};
use crate::limits;
use crate::model::{Change, DocumentId, IndexNumber, Outcome, TableNumber};
use crate::plugin::manifest::Role;

/// An index that the operator asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// The text of its schema.
    pub schema: Option<String>,
    /// Where that text came from, for messages.
    pub origin: Option<String>,
}

impl Request {
    pub(super) fn borrowed(&self) -> IndexRequest<'_> {
        let Self { name, schema, origin } = self;
        IndexRequest { name, schema: schema.as_deref(), origin: origin.as_deref(), extra: None }
    }

    pub(super) fn examined(&self) -> ExaminedIndex<'_> {
        let Self { name, schema, origin } = self;
        ExaminedIndex { name, schema: schema.as_deref(), origin: origin.as_deref(), extra: None }
    }
}

/// A guest, and the reader that serves it alone.
struct Instance {
    guest: Guest,
    reads: Option<Arc<DeclaredReads>>,
}

impl Instance {
    /// Calls the guest. A read that it did not declare is its fault, whatever it answered: the answer may be made of less.
    async fn ask<R, T, F>(&self, call: &'static str, job: F, check: impl FnOnce(R) -> Checked<T>) -> Result<T>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Live) -> Running<'a, wasmtime::Result<std::result::Result<R, Error>>>
            + Send
            + 'static,
    {
        let answer = self.guest.ask(call, job, check).await;
        match self.reads.as_ref().and_then(|reads| reads.undeclared()) {
            Some(what) => Err(StageError::Unusable(format!("the builder {} {what}", self.guest.plugin()))),
            None => answer,
        }
    }
}

/// A builder plugin as `[builder]` (or `[source]`, where the source plugin builds) uses it.
pub struct GuestBuilder {
    plugin: Plugin,
    reader: Option<Plugin>,
    requests: Arc<Vec<Request>>,
    instances: usize,
    seats: Semaphore,
    idle: Mutex<Vec<(u64, Instance)>>,
    /// How often tables were said to be reshaped. Instances of before look no more: they are opened again.
    shape: AtomicU64,
    offered: OnceLock<Description>,
    untold_links: UntoldLinks,
}

impl GuestBuilder {
    /// A builder of `instances` guests. `reader` is the source plugin, for a builder that reads through it.
    pub fn new(plugin: Plugin, reader: Option<Plugin>, requests: Vec<Request>, instances: usize) -> Self {
        let instances = instances.max(1);
        Self {
            plugin,
            reader: reader.filter(|reader| reader.manifest().has(Role::Reader)),
            requests: Arc::new(requests),
            instances,
            seats: Semaphore::new(instances),
            idle: Mutex::default(),
            shape: AtomicU64::new(0),
            offered: OnceLock::new(),
            untold_links: UntoldLinks::default(),
        }
    }

    async fn open(&self) -> Result<Instance> {
        let reads = match (&self.reader, self.plugin.prepared().reads()) {
            (_, false) => None,
            (Some(plugin), true) => {
                let opened = GuestReader::open(plugin).await?;
                let opened = opened.map_err(|error| convert::refused(&plugin.origin(), "reader.open", error))?;
                Some(Arc::new(DeclaredReads::new(opened)))
            }
            (None, true) => {
                let message = format!(
                    "the builder {} reads rows through the source, and the source plugin exports no reader; use one that does",
                    self.plugin.manifest().name
                );
                return Err(StageError::Configuration(message));
            }
        };
        let reader = reads.clone().map(|reads| reads as Arc<dyn RowReader>);
        let guest = Instance { guest: self.plugin.spawn(reader).await?, reads };
        let (settings, requests) = (self.plugin.settings(), self.requests.clone());
        let opening = guest.ask(
            "builder.open",
            move |live| {
                Box::pin(async move {
                    let requests: Vec<_> = requests.iter().map(Request::borrowed).collect();
                    call!(live, builder.call_open(&settings, &requests))
                })
            },
            Ok,
        );
        opening.await.map_err(|error| match error {
            // It was right when this run began: a table was renamed or dropped, and may come back.
            StageError::Configuration(message) if self.offered.get().is_some() => StageError::transient(message),
            error => error,
        })?;
        let description = describe(&guest).await?;
        let is_requested = |name: &str| self.requests.iter().any(|request| request.name == name);
        let offered = description.mappings.iter().map(|mapping| mapping.index.as_str());
        if let Some(other) = offered.into_iter().find(|name| !self.requests.is_empty() && !is_requested(name)) {
            let fault = Fault::Violation(format!("index {other:?}, which the configuration does not name").into());
            return Err(guest.guest.fault("builder.mappings", fault).into());
        }
        if let Some(reads) = &guest.reads {
            reads.declare(&description.interest);
        }
        let offered = self.offered.get_or_init(|| description.clone());
        // What the first instance follows, all of this run go on following.
        self.plugin
            .links()
            .set_recorded_relations(offered.scopes.iter().flat_map(|scope| scope.recorded_relations.iter().cloned()));
        match same(offered, &description) {
            true => Ok(guest),
            false => Err(StageError::RestartRequired(format!(
                "the builder {} offers other indexes or tables than when this run began ({})",
                self.plugin.manifest().name,
                difference(offered, &description)
            ))),
        }
    }

    /// An idle instance, or a new one.
    async fn seat(&self) -> Result<(SemaphorePermit<'_>, u64, Instance)> {
        let closed = |_| StageError::Fatal("the builder was closed".to_owned());
        let permit = self.seats.acquire().await.map_err(closed)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let shape = self.shape.load(Ordering::Acquire);
        let (shape, guest) = match idle.filter(|(of, _)| *of == shape) {
            Some(seat) => seat,
            None => (shape, self.open().await?),
        };
        Ok((permit, shape, guest))
    }

    /// Gives an instance back, if it may be used again after this answer.
    fn leave<T>(&self, shape: u64, guest: Instance, answer: &Result<T>) {
        if matches!(answer, Ok(_) | Err(StageError::Unsupported(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((shape, guest));
        }
    }

    /// An index whose mapping is not what it was when this run began.
    fn remapped(&self, now: &Description) -> Option<String> {
        let began = self.offered.get()?.mappings.iter();
        began.zip(&now.mappings).find(|(began, now)| began.hash != now.hash).map(|(began, _)| began.index.clone())
    }

    /// What changes ended among the links waits for their confirmation.
    async fn ended(&self, affected: Affected, (links, emptied): EndedLinks) -> Result<Affected> {
        let Some(table) = self.plugin.links().get().filter(|_| !links.is_empty() || !emptied.is_empty()) else {
            return Ok(affected);
        };
        let ending = table.run(move |table| table.end(&links, &emptied));
        let ended = ending.await.map_err(|error| StageError::Fatal(error.to_string()));
        Ok(Affected { link_removals: Some(ended?), ..affected })
    }

    fn indexes(&self) -> usize {
        self.offered.get().map_or(0, |offered| offered.mappings.len())
    }
}

/// Whether the numbers of indexes and tables still mean the same. A mapping's hash may change while the host runs, and
/// so may what has to be remembered.
fn same(a: &Description, b: &Description) -> bool {
    let names = |description: &Description| -> Vec<_> {
        description.mappings.iter().map(|mapping| mapping.index.clone()).collect()
    };
    let roots = |description: &Description| -> Vec<_> {
        description.scopes.iter().map(|scope| (scope.index, scope.root)).collect()
    };
    names(a) == names(b) && roots(a) == roots(b) && a.interest == b.interest
}

/// The indexes that came and went, for the log.
fn difference(before: &Description, now: &Description) -> String {
    let missing = |from: &Description, of: &Description, sign: &str| -> Vec<String> {
        let has = |name: &str| of.mappings.iter().any(|mapping| mapping.index == name);
        let names = from.mappings.iter().filter(|mapping| !has(&mapping.index));
        names.map(|mapping| format!("{sign}{}", mapping.index)).collect()
    };
    let found = [missing(now, before, "+"), missing(before, now, "-")].concat();
    if found.is_empty() { "their tables or keys are others".to_owned() } else { found.join(", ") }
}

async fn describe(guest: &Instance) -> Result<Description> {
    let mappings = guest.ask(
        "builder.mappings",
        |live| Box::pin(async move { call!(live, builder.call_mappings()) }),
        |mappings| {
            convert::counted(mappings, 100_000, "mappings")?
                .into_iter()
                .map(convert::mapping)
                .collect::<Checked<Vec<_>>>()
        },
    );
    let mappings = mappings.await?;
    let interest = guest.ask(
        "builder.interest",
        |live| Box::pin(async move { call!(live, builder.call_interest()) }),
        |tables| {
            convert::counted(tables, 100_000, "tables")?.into_iter().map(convert::interest).collect::<Checked<Vec<_>>>()
        },
    );
    let interest = interest.await?;
    let (indexes, tables) = (mappings.len(), interest.len());
    let scopes = guest.ask(
        "builder.scopes",
        |live| Box::pin(async move { call!(live, builder.call_scopes()) }),
        |scopes| {
            let scopes = convert::counted(scopes, indexes, "scopes")?;
            scopes.iter().map(|scope| convert::scope(scope, indexes, tables)).collect::<Checked<Vec<_>>>()
        },
    );
    Ok(Description { scopes: scopes.await?, mappings, interest })
}

/// A call on an instance of the pool: its name, its arguments as the generated function wants them, and the check.
macro_rules! ask {
    ($self:ident, $name:literal, $function:ident($($argument:expr),*), $check:expr) => {{
        let (_permit, shape, guest) = $self.seat().await?;
        let answer = guest.ask(
            $name,
            move |live| Box::pin(async move { call!(live, builder.$function($($argument),*)) }),
            $check,
        ).await;
        $self.leave(shape, guest, &answer);
        answer
    }};
}

#[async_trait]
impl stage::Builder for GuestBuilder {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn instances(&self) -> usize {
        self.instances
    }

    async fn describe(&self) -> Result<Description> {
        let (_permit, shape, guest) = self.seat().await?;
        let answer = describe(&guest).await;
        self.leave(shape, guest, &answer);
        answer
    }

    async fn resolve(&self, changes: Slice<Change>) -> Result<Affected> {
        let (_permit, shape, guest) = self.seat().await?;
        if let Some(offered) = self.offered.get() {
            self.untold_links.look(&self.plugin.manifest().name, offered, &changes);
        }
        let indexes = self.indexes();
        let answer = guest.ask(
            "builder.resolve",
            move |live| {
                Box::pin(async move {
                    let changes: Vec<_> = changes.iter().map(convert::to_change).collect();
                    let changes: Vec<_> = changes.iter().collect();
                    call!(live, builder.call_resolve(&changes))
                })
            },
            |affected| convert::affected(affected, indexes, limits::guest::ITEMS),
        );
        let answer = answer.await;
        self.leave(shape, guest, &answer);
        let (affected, ended) = answer?;
        self.ended(affected, ended).await
    }

    async fn resolve_more(&self, cursor: Vec<u8>, max: u32) -> Result<Affected> {
        let (indexes, most) = (self.indexes(), usize::try_from(max).unwrap_or(limits::guest::ITEMS));
        let more = |more| Ok(convert::affected(more, indexes, most)?.0);
        ask!(self, "builder.resolve-more", call_resolve_more(&cursor, max), more)
    }

    async fn resolve_table_changes(&self, tables: &[TableNumber]) -> Result<Affected> {
        let (indexes, tables) = (self.indexes(), tables.to_vec());
        // Whatever happens to the call: no other instance goes by what it saw before.
        self.shape.fetch_add(1, Ordering::AcqRel);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (_permit, shape, guest) = self.seat().await?;
        let asking = guest.ask(
            "builder.resolve-table-changes",
            move |live| Box::pin(async move { call!(live, builder.call_resolve_table_changes(&tables)) }),
            |affected| Ok(convert::affected(affected, indexes, limits::guest::ITEMS)?.0),
        );
        let mut answer = asking.await;
        // The sinks hold the mappings that this run began with; what is mapped otherwise now would not fit into them.
        if answer.is_ok() {
            match describe(&guest).await.map(|now| self.remapped(&now)) {
                Ok(None) => {}
                Ok(Some(index)) => {
                    let reason = format!("a table changed, and the documents of index {index:?} are mapped otherwise");
                    answer = Err(StageError::RestartRequired(reason));
                }
                Err(error) => answer = Err(error),
            }
        }
        self.leave(shape, guest, &answer);
        answer
    }

    async fn build_many(&self, ids: Slice<DocumentId>) -> Result<Vec<Outcome>> {
        let (_permit, shape, guest) = self.seat().await?;
        let asked = ids.len();
        let answer = guest.ask(
            "builder.build-many",
            move |live| {
                Box::pin(async move {
                    let ids: Vec<_> = ids.iter().map(convert::to_id).collect();
                    let ids: Vec<_> = ids.iter().collect();
                    call!(live, builder.call_build_many(&ids))
                })
            },
            |outcomes| convert::outcomes(outcomes, asked),
        );
        let answer = answer.await;
        self.leave(shape, guest, &answer);
        answer
    }

    async fn ranges(&self) -> Result<Box<dyn RangeBuilder>> {
        if !self.plugin.manifest().has(Role::RangeBuilder) {
            return Err(StageError::Unsupported(format!("building ranges with {}", self.plugin.manifest().name)));
        }
        Ok(Box::new(GuestRanges { guest: self.open().await? }))
    }
}

/// An instance of the builder that builds whole ranges, beside those of the pool.
struct GuestRanges {
    guest: Instance,
}

#[async_trait]
impl RangeBuilder for GuestRanges {
    async fn build_range(
        &mut self,
        index: IndexNumber,
        range: &[u8],
        cursor: Option<&[u8]>,
        max: u32,
        max_bytes: u32,
    ) -> Result<RangedPage> {
        let (range, cursor) = (range.to_vec(), cursor.map(<[u8]>::to_vec));
        let call = self.guest.ask(
            "range-builder.build-range",
            move |live| {
                Box::pin(async move {
                    call!(live, range_builder.call_build_range(index, &range, cursor.as_ref(), max, max_bytes))
                })
            },
            |page| convert::ranged(page, max),
        );
        call.await
    }
}
