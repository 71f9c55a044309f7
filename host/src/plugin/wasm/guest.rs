//! A live guest: one task that owns a store and takes calls over a bounded channel, one at a time.
//!
//! I9: a call that traps, runs out of time or memory, or whose caller goes away ends the task, and the store with it:
//! what a guest was doing is unknown then, so it is never used again. The error names plugin, version, call and limit.
//! (Guarded by `host/tests/misbehaviour.rs`.)

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;
use wasmtime::Store;

use super::bindings::exports::flusso::connector as exports;
use super::bindings::flusso::connector::types::Error;
use super::context::{Context, Origin, Setup};
use super::convert::{Checked, Lie, refused};
use super::limits::{Limits, QUEUE};
use super::reader::Reader;
use super::runtime::{Prepared, Roles};
use crate::engine::StageError;

/// A boxed future that borrows the store.
pub(super) type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What happens in the task; false: the guest is gone.
type Job = Box<dyn for<'a> FnOnce(&'a mut Live) -> Running<'a, bool> + Send>;

/// A guest did not answer, or not with anything that can be used. Its instance is gone.
#[derive(Debug, Clone)]
pub struct GuestError {
    origin: Arc<Origin>,
    call: &'static str,
    fault: Fault,
}

/// What a guest did.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// It stopped itself (a panic), or did what no guest may.
    #[error("trapped: {0}")]
    Trapped(Arc<str>),
    /// It took too long.
    #[error("did not answer within {} s (`limits.call_timeout`)", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It wanted too much memory.
    #[error("wanted {wanted} bytes of memory and may have {limit} (`limits.memory`)")]
    Memory {
        /// What it would have come to.
        wanted: usize,
        /// What it may have.
        limit: u64,
    },
    /// It returned what cannot be.
    #[error("returned {0}")]
    Lied(Arc<str>),
    /// A folder it was granted is not there.
    #[error("could not be given what it was granted: {0}")]
    Grant(Arc<str>),
    /// It ended in an earlier call, or its caller went away.
    #[error("is gone since an earlier call")]
    Gone,
}

impl GuestError {
    /// What it did.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { plugin, version, instance } = &*self.origin;
        write!(f, "plugin {plugin} {version} ({instance}), call {}: the guest {}", self.call, self.fault)
    }
}

impl std::error::Error for GuestError {}

/// A store with its instance and what it exports.
pub(super) struct Live {
    pub(super) store: Store<Context>,
    pub(super) exports: Exports,
}

/// The exported interfaces of one instance.
pub(super) struct Exports {
    pub(super) plugin: exports::plugin::Guest,
    source: Option<(exports::source::Guest, exports::snapshot::Guest)>,
    reader: Option<exports::reader::Guest>,
    builder: Option<exports::builder::Guest>,
    ranges: Option<exports::range_builder::Guest>,
    sink: Option<exports::sink::Guest>,
    diagnosis: Option<exports::diagnosis::Guest>,
    inventory: Option<exports::inventory::Guest>,
}

macro_rules! role {
    ($($name:ident: $module:ident = $get:expr;)*) => {
        $(pub(super) fn $name(&self) -> wasmtime::Result<&exports::$module::Guest> {
            let get: fn(&Self) -> Option<&exports::$module::Guest> = $get;
            get(self).ok_or_else(|| wasmtime::Error::msg(concat!("the plugin does not export `", stringify!($module), "`")))
        })*
    };
}

impl Exports {
    fn load(
        roles: &Roles,
        store: &mut Store<Context>,
        instance: &wasmtime::component::Instance,
    ) -> wasmtime::Result<Self> {
        let Roles { plugin, source, reader, builder, ranges, sink, diagnosis, inventory } = roles;
        Ok(Self {
            plugin: plugin.load(&mut *store, instance)?,
            source: match source {
                Some((source, snapshot)) => {
                    Some((source.load(&mut *store, instance)?, snapshot.load(&mut *store, instance)?))
                }
                None => None,
            },
            reader: reader.as_ref().map(|reader| reader.load(&mut *store, instance)).transpose()?,
            builder: builder.as_ref().map(|builder| builder.load(&mut *store, instance)).transpose()?,
            ranges: ranges.as_ref().map(|ranges| ranges.load(&mut *store, instance)).transpose()?,
            sink: sink.as_ref().map(|sink| sink.load(&mut *store, instance)).transpose()?,
            diagnosis: diagnosis.as_ref().map(|diagnosis| diagnosis.load(&mut *store, instance)).transpose()?,
            inventory: inventory.as_ref().map(|inventory| inventory.load(&mut *store, instance)).transpose()?,
        })
    }

    role! {
        source: source = |all| all.source.as_ref().map(|(source, _)| source);
        snapshot: snapshot = |all| all.source.as_ref().map(|(_, snapshot)| snapshot);
        reader: reader = |all| all.reader.as_ref();
        builder: builder = |all| all.builder.as_ref();
        ranges: range_builder = |all| all.ranges.as_ref();
        sink: sink = |all| all.sink.as_ref();
        diagnosis: diagnosis = |all| all.diagnosis.as_ref();
        inventory: inventory = |all| all.inventory.as_ref();
    }
}

/// The handle of a live guest. Dropping it ends the guest once its call is done.
pub struct Guest {
    jobs: mpsc::Sender<Job>,
    origin: Arc<Origin>,
    limits: Limits,
}

impl Guest {
    /// Makes an instance of a prepared plugin, within the limits of a call.
    pub(super) async fn spawn(
        prepared: &Prepared,
        setup: Arc<Setup>,
        reader: Option<Reader>,
    ) -> Result<Self, GuestError> {
        let manifest = prepared.manifest();
        let (plugin, version) = (manifest.name.clone(), manifest.version.clone());
        let origin = Arc::new(Origin { plugin, version, instance: setup.name.clone() });
        let limits = setup.limits;
        let failed = |fault| GuestError { origin: origin.clone(), call: "instantiate", fault };
        let context = Context::new(origin.clone(), setup, reader).map_err(|text| failed(Fault::Grant(text.into())))?;
        let mut store = Store::new(prepared.pre().engine(), context);
        store.limiter(|context| &mut context.memory);
        store.set_hostcall_fuel(usize::try_from(limits.handover).unwrap_or(usize::MAX));
        // Every tick the guest yields, so that the time limit below can be felt and other tasks run.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let instantiating = tokio::time::timeout(limits.call_timeout, prepared.pre().instantiate_async(&mut store));
        let instance = match instantiating.await {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) => return Err(failed(fault(store.data(), &error))),
            Err(_) => return Err(failed(Fault::TimedOut(limits.call_timeout))),
        };
        let exports = Exports::load(prepared.roles(), &mut store, &instance);
        let exports = exports.map_err(|error| failed(fault(store.data(), &error)))?;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(serve(Live { store, exports }, waiting));
        Ok(Self { jobs, origin, limits })
    }

    /// Calls the guest. If the returned future is dropped before it is done, the guest is gone.
    pub(super) async fn call<R, F>(&self, call: &'static str, job: F) -> Result<R, GuestError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Live) -> Running<'a, wasmtime::Result<R>> + Send + 'static,
    {
        let limit = self.limits.call_timeout;
        let span = tracing::debug_span!("call", name = call);
        let (mut reply, answer) = oneshot::channel();
        let run: Job = Box::new(move |live| {
            Box::pin(async move {
                let ended = tokio::select! {
                    ended = tokio::time::timeout(limit, job(live).instrument(span)) => ended,
                    () = reply.closed() => return false,
                };
                let answer = match ended {
                    Ok(Ok(value)) => Ok(value),
                    Ok(Err(error)) => Err(fault(live.store.data(), &error)),
                    Err(_) => Err(Fault::TimedOut(limit)),
                };
                let alive = answer.is_ok();
                // A caller that went away just now has its answer or its error all the same: nowhere.
                let _ = reply.send(answer);
                alive
            })
        });
        let gone = || self.fault(call, Fault::Gone);
        self.jobs.send(run).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(|fault| self.fault(call, fault))
    }

    /// Calls a function of the contract and checks what it returned. A lie ends the guest like a trap.
    pub(super) async fn ask<R, T, F>(
        &self,
        call: &'static str,
        job: F,
        check: impl FnOnce(R) -> Checked<T>,
    ) -> Result<T, StageError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Live) -> Running<'a, wasmtime::Result<Result<R, Error>>> + Send + 'static,
    {
        let answer = self.call(call, job).await?;
        let value = answer.map_err(|error| refused(&self.origin, call, error))?;
        Ok(check(value).map_err(|Lie(what)| self.fault(call, Fault::Lied(what.into())))?)
    }

    /// An error of this guest in a call, also one found in what it returned.
    pub(super) fn fault(&self, call: &'static str, fault: Fault) -> GuestError {
        GuestError { origin: self.origin.clone(), call, fault }
    }

    /// The longest a call may take.
    pub(super) fn call_timeout(&self) -> Duration {
        self.limits.call_timeout
    }
}

async fn serve(mut live: Live, mut waiting: mpsc::Receiver<Job>) {
    while let Some(job) = waiting.recv().await {
        if !job(&mut live).await {
            break;
        }
    }
    let context = live.store.data();
    let Origin { plugin, instance, .. } = &*context.origin;
    tracing::debug!(plugin, instance, peak_memory = context.memory.peak(), "guest ended");
}

fn fault(context: &Context, error: &wasmtime::Error) -> Fault {
    if let Some(wanted) = context.memory.denied() {
        return Fault::Memory { wanted, limit: context.setup.limits.memory };
    }
    let said = context.tail.text();
    // The cause at the bottom is the trap; what stands above it is the guest's own backtrace.
    let cause = super::limits::plain(&error.root_cause().to_string(), super::limits::TEXT);
    Fault::Trapped(if said.is_empty() { cause.into() } else { format!("{cause} ({said})").into() })
}
