//! A live guest: one task that owns a store and takes calls over a bounded channel, one at a time.
//!
//! I9: a call that traps, runs out of time or memory, or whose caller goes away ends the task, and the store with it:
//! what a guest was doing is unknown then, so it is never used again. The error names plugin, version, call and limit.
//! (Guarded by `host/tests/misbehaviour.rs`.)

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;
use wasmtime::Store;
use wasmtime::component::ResourceTableError;

use super::bindings::flusso::connector::types::Error;
use super::context::{Context, Setup};
use super::convert::refused;
use super::fault::{Checked, Fault, GuestError, Origin};
use super::limiter::Limits;
use super::roles::Exports;
use super::row_reader::RowReader;
use super::runtime::{Code, Prepared};
use crate::engine::StageError;
use crate::limits;
use crate::plugin::native::{self, NativeFault};
use crate::plugin::plain::plain;

/// A boxed future that borrows the store.
pub(super) type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What happens in the task; false: the guest is gone.
type Job = Box<dyn for<'a> FnOnce(&'a mut Live) -> Running<'a, bool> + Send>;

/// A store with its instance and the interfaces that it exports.
pub(super) struct Live {
    pub(super) store: Store<Context>,
    pub(super) exports: Exports,
    /// In the place of a component's instance.
    pub(super) native: Option<native::Instance>,
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
        reader: Option<Arc<dyn RowReader>>,
    ) -> Result<Self, GuestError> {
        let manifest = prepared.manifest();
        let (plugin, version) = (manifest.name.clone(), manifest.version.clone());
        let origin = Arc::new(Origin { plugin, version, instance: setup.name.clone() });
        let limits = setup.limits;
        let failed = |fault| GuestError { origin: origin.clone(), call: "instantiate", fault, repeats: false };
        let context = Context::new(origin.clone(), setup, reader).map_err(|text| failed(Fault::Grant(text.into())))?;
        let mut store = Store::new(prepared.engine(), context);
        store.limiter(|context| &mut context.memory);
        store.set_hostcall_fuel(usize::try_from(limits.handover).unwrap_or(usize::MAX));
        // Every tick the guest yields, so that the time limit below can be felt and other tasks run.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let (exports, native) = match prepared.code() {
            Code::Native(library) => {
                let native = native::Instance::start(*library, &origin.plugin);
                let native = native.map_err(|error| failed(fault(store.data(), &error.into())))?;
                (Exports::default(), Some(native))
            }
            Code::Component { pre, roles } => {
                let instantiating = tokio::time::timeout(limits.call_timeout, pre.instantiate_async(&mut store));
                let instance = match instantiating.await {
                    Ok(Ok(instance)) => instance,
                    Ok(Err(error)) => return Err(failed(fault(store.data(), &error))),
                    Err(_) => return Err(failed(Fault::TimedOut(limits.call_timeout))),
                };
                let exports = Exports::load(roles, &mut store, &instance);
                (exports.map_err(|error| failed(fault(store.data(), &error)))?, None)
            }
        };
        let (jobs, waiting) = mpsc::channel(limits::guest::CALL_QUEUE);
        tokio::spawn(serve(Live { store, exports, native }, waiting));
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
                live.store.data_mut().begin_call();
                let ended = tokio::select! {
                    ended = tokio::time::timeout(limit, job(live).instrument(span)) => ended,
                    () = reply.closed() => {
                        live.store.data().writes.shut().await;
                        return false;
                    }
                };
                let answer = match ended {
                    Ok(Ok(value)) => Ok(value),
                    Ok(Err(error)) => Err((fault(live.store.data(), &error), live.store.data().is_alone())),
                    Err(_) => Err((Fault::TimedOut(limit), false)),
                };
                let alive = answer.is_ok();
                if !alive {
                    // Before anybody hears of it and opens the next one.
                    live.store.data().writes.shut().await;
                }
                // A caller that went away just now has its answer or its error all the same: nowhere.
                let _ = reply.send(answer);
                alive
            })
        });
        let gone = || self.fault(call, Fault::Gone);
        self.jobs.send(run).await.map_err(|_| gone())?;
        let answer = answer.await.map_err(|_| gone())?;
        answer.map_err(|(fault, repeats)| GuestError { repeats, ..self.fault(call, fault) })
    }

    /// Calls a function of the contract and checks what it returned. A violation ends the guest like a trap.
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
        Ok(check(value).map_err(|violation| self.fault(call, Fault::Violation(violation.to_string().into())))?)
    }

    /// An error of this guest in a call, also one found in what it returned.
    pub(super) fn fault(&self, call: &'static str, fault: Fault) -> GuestError {
        GuestError { origin: self.origin.clone(), call, fault, repeats: false }
    }

    /// The plugin's name.
    pub(super) fn plugin(&self) -> &str {
        &self.origin.plugin
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
    if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
        return Fault::Handles(context.setup.limits.handles);
    }
    match error.downcast_ref() {
        Some(NativeFault::Failed(text)) => return Fault::Failed(plain(text, limits::guest::TEXT_BYTES).into()),
        Some(NativeFault::NoThread(text)) => return Fault::Failed(text.as_str().into()),
        Some(NativeFault::Answer(text)) => return Fault::Violation(plain(text, limits::guest::TEXT_BYTES).into()),
        Some(NativeFault::TooLarge(_)) => return Fault::Handover(context.setup.limits.handover),
        None => {}
    }
    // wasmtime has no type for it; host/tests/misbehaviour.rs would notice another text.
    let cause = error.root_cause().to_string();
    if cause.contains("fuel allocated for hostcalls") {
        return Fault::Handover(context.setup.limits.handover);
    }
    let said = context.stderr_tail.text();
    // The cause at the bottom is the trap; what stands above it is the guest's own backtrace.
    let cause = plain(&cause, limits::guest::TEXT_BYTES);
    Fault::Trapped(if said.is_empty() { cause.into() } else { format!("{cause} ({said})").into() })
}
