//! What a store holds beside the guest's own memory: who the guest is, what it may do, and what it has open.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::fault::Origin;
use super::folders::Folders;
use super::guest_output::{LogRate, StderrTail, Stdio};
use super::imports::http::Http;
use super::limiter::{Limits, MemoryLimiter};
use super::log_dedup::{GuestNumber, LogDedup};
use super::row_reader::RowReader;
use super::tracked::BuildCall;
use super::write_gate::WriteGate;
use crate::plugin::capability::Grants;
use crate::plugin::links::LinkTable;
use crate::plugin::metrics::{self, Metrics};
use crate::plugin::state::LateScope;

/// How an operator uses a plugin: one table of the configuration. Not printable: settings and secrets are in it.
#[derive(Clone)]
pub struct Setup {
    /// The name of this use: `source`, `builder`, or the sink's name.
    pub name: String,
    /// The settings, checked, secrets filled in.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What `secrets.get` answers.
    pub secrets: BTreeMap<String, String>,
    /// What it may reach.
    pub grants: Grants,
    /// What it may take.
    pub limits: Limits,
    /// What it keeps over restarts; as long as none is set `state` answers that there is none.
    pub state: LateScope,
    /// The link table that a builder's instances share.
    pub links: LinkTable,
    /// Where its numbers go.
    pub metrics: Metrics,
    /// The log lines of its guests in the last minute.
    pub log_dedup: LogDedup,
}

impl Setup {
    /// Nothing set, nothing granted.
    pub fn bare(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            settings: serde_json::Map::new(),
            secrets: BTreeMap::new(),
            grants: Grants::none(),
            limits: Limits::default(),
            state: LateScope::default(),
            links: LinkTable::default(),
            metrics: Metrics::default(),
            log_dedup: LogDedup::default(),
        }
    }
}

/// The data of one store.
pub(super) struct Context {
    pub(super) origin: Arc<Origin>,
    pub(super) setup: Arc<Setup>,
    pub(super) memory: MemoryLimiter,
    pub(super) log_rate: LogRate,
    pub(super) number: GuestNumber,
    pub(super) stderr_tail: StderrTail,
    pub(super) metrics: metrics::Own,
    pub(super) connections: usize,
    pub(super) reader: Option<Arc<dyn RowReader>>,
    /// The reader answered an error.
    pub(super) reader_failed: bool,
    /// The build that a tracked builder is at.
    pub(super) build_call: Option<BuildCall>,
    pub(super) table: ResourceTable,
    pub(super) http: Http,
    pub(super) writes: WriteGate,
    wasi: WasiCtx,
    folders: Folders,
}

impl Context {
    /// Opens the granted folders; everything else of WASI is empty or refuses.
    pub(super) fn new(
        origin: Arc<Origin>,
        setup: Arc<Setup>,
        reader: Option<Arc<dyn RowReader>>,
    ) -> Result<Self, String> {
        let stderr_tail = StderrTail::default();
        let mut wasi = WasiCtx::builder();
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        wasi.stdout(Stdio::new(origin.clone(), None)).stderr(Stdio::new(origin.clone(), Some(stderr_tail.clone())));
        let folders = Folders::open(&setup.grants, &mut wasi)?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(setup.limits.handles);
        Ok(Self {
            metrics: setup.metrics.of(&origin.plugin, &setup.name),
            memory: MemoryLimiter::new(setup.limits.memory),
            log_rate: LogRate::default(),
            number: GuestNumber::new(),
            connections: 0,
            writes: WriteGate::default(),
            table,
            http: Http::new(&setup.name, &setup.grants, setup.limits.call_timeout),
            wasi: wasi.build(),
            folders,
            origin,
            setup,
            stderr_tail,
            reader,
            reader_failed: false,
            build_call: None,
        })
    }
}

impl Context {
    /// A call begins: the guest sees the granted files as they are now, and what it was refused before is no reason any more.
    pub(super) fn begin_call(&mut self) {
        self.memory.begin_call();
        self.folders.refresh(&self.setup.grants, &self.origin.plugin);
    }

    /// Whether the guest's calls depend on nothing outside the host: it was granted nothing, and no read of rows failed.
    pub(super) fn is_alone(&self) -> bool {
        self.setup.grants == Grants::none() && !self.reader_failed
    }
}

impl WasiHttpView for Context {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.http.view(&mut self.table)
    }
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
