//! The same plugin as a native library: its functions behind the C interface of `flusso-abi`, and what it imports asked of the
//! host that loaded it. All of the SDK's `unsafe` is in this file.
#![allow(unsafe_code, reason = "the C interface")]

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use flusso_abi::{Buffer, Bytes, Decode, DecodeError, Encode, Host, Plugin, Status, VERSION, decode, encode};

use crate::bindings as b;
use crate::{
    BatchReader, Builder, Diagnosis, Exported, Instance, Inventory, RangeBuilder, Reader, RequestedIndexes, Search,
    Sink, SinkDiagnosis, Snapshot, Source, TrackedBuilder,
};

thread_local! {
    /// The host of the instance that lives on this thread.
    static HOST: Cell<Option<Host>> = const { Cell::new(None) };
}

/// Whether a host has loaded this plugin; not so in its unit tests.
pub(crate) fn has_host() -> bool {
    HOST.get().is_some()
}

/// Calls a function that the host offers.
///
/// # Panics
///
/// Without a host, and where the host ends the instance. The panic goes no further than the call that the plugin is in.
#[expect(clippy::panic, reason = "as a component is ended by the host in such a call")]
pub(crate) fn ask<R: Decode>(function: &str, arguments: &impl Encode) -> R {
    let Some(host) = HOST.get() else { panic!("`{function}` asks the host, and there is none") };
    let (arguments, mut result) = (encode(arguments), Buffer::empty());
    // SAFETY: the host lent this for as long as the instance lives, which is on this thread; the bytes outlive the call.
    let status = unsafe {
        (host.call)(host.context, Bytes::lend(function.as_bytes()), Bytes::lend(&arguments), &raw mut result)
    };
    // SAFETY: whatever the host set is a buffer that was handed over to us.
    let answer = unsafe { result.take() };
    if status != Status::Answered as i32 {
        panic!("`{function}`: {}", String::from_utf8_lossy(&answer));
    }
    match decode(&answer) {
        Ok(value) => value,
        Err(error) => panic!("`{function}`: what the host answered cannot be read: {error}"),
    }
}

/// What a call came to; none: there is no such function.
#[doc(hidden)]
pub type Answer = Option<Result<Vec<u8>, DecodeError>>;

/// What [`crate::plugin!`] makes of the roles.
#[doc(hidden)]
pub trait NativePlugin: 'static {
    /// Calls a function of the contract by its name, `sink.write`.
    fn dispatch(function: &str, arguments: &[u8]) -> Answer;
}

#[doc(hidden)]
pub use flusso_abi::Plugin as Table;

/// A text as the result of a call.
#[doc(hidden)]
pub fn text(text: &str) -> Vec<u8> {
    encode(&text)
}

/// The table of a plugin.
#[doc(hidden)]
pub const fn table<P: NativePlugin>(manifest: &'static [u8], interfaces: &'static str) -> Plugin {
    Plugin {
        size: size_of::<Plugin>() as u32,
        version: VERSION,
        manifest: Bytes::lend(manifest),
        interfaces: Bytes::lend(interfaces.as_bytes()),
        create,
        call: call::<P>,
        destroy,
    }
}

unsafe extern "C" fn create(host: *const Host) -> *mut c_void {
    // SAFETY: the host lends it for as long as the instance lives.
    let Some(host) = (unsafe { host.as_ref() }) else { return std::ptr::null_mut() };
    HOST.set(Some(*host));
    // The instance is what stands in this thread's variables.
    NonNull::dangling().as_ptr()
}

unsafe extern "C" fn destroy(_: *mut c_void) {
    HOST.set(None);
}

unsafe extern "C" fn call<P: NativePlugin>(
    _: *mut c_void,
    function: Bytes,
    arguments: Bytes,
    result: *mut Buffer,
) -> i32 {
    // SAFETY: both are lent for the time of this call.
    let (function, arguments) = unsafe { (function.borrow(), arguments.borrow()) };
    let called = || P::dispatch(&String::from_utf8_lossy(function), arguments);
    let (status, bytes) = match catch_unwind(AssertUnwindSafe(called)) {
        Ok(Some(Ok(bytes))) => (Status::Answered, bytes),
        Ok(Some(Err(error))) => (Status::Unreadable, error.to_string().into_bytes()),
        Ok(None) => (Status::Unknown, Vec::new()),
        Err(panic) => (Status::Failed, said(&*panic).into_bytes()),
    };
    // SAFETY: the host gives a place for the result.
    unsafe { result.write(Buffer::hand_over(bytes)) };
    status as i32
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

fn answer<A: Decode, R: Encode>(arguments: &[u8], function: impl FnOnce(A) -> R) -> Answer {
    Some(decode(arguments).map(|arguments| encode(&function(arguments))))
}

macro_rules! interfaces {
    ($($interface:ident: $role:path $(, $bound:path)?; $($function:literal $name:ident($($argument:ident),*))*)*) => {
        $(
            /// Calls a function of this interface.
            #[doc(hidden)]
            pub fn $interface<T: $role $(+ $bound)?>(function: &str, arguments: &[u8]) -> Answer {
                use b::$interface::exports::flusso::connector::$interface::Guest;
                match function {
                    $($function => answer(arguments, |($($argument,)*)| <Exported<T> as Guest>::$name($($argument),*)),)*
                    _ => None,
                }
            }
        )*
    };
}

interfaces! {
    source: Source, Instance;
        "open" open(settings, interest) "identity" identity() "inspect" inspect(resume) "prepare" prepare(resume)
        "poll" poll(request) "head" head() "compare" compare(a, b) "parse" parse(text) "print" print(position) "lag" lag()
        "close" close(confirmed) "discard" discard()
    snapshot: Snapshot, Instance;
        "open" open(settings, interest) "split" split(table, parts) "begin" begin(table, range, cursor) "next" next(max)
    reader: Reader, Instance;
        "open" open(settings) "primary-key" primary_key(table) "begin" begin() "rows" rows(table, columns, keys)
        "related" related(relation)
    batch_reader: BatchReader, Instance;
        "describe" describe(tables) "related-many" related_many(relations)
    builder: Builder, Instance;
        "open" open(settings, indexes) "mappings" mappings() "scopes" scopes() "interest" interest() "resolve" resolve(changes)
        "resolve-more" resolve_more(cursor, max) "resolve-table-changes" resolve_table_changes(tables)
        "build-many" build_many(ids)
    range_builder: RangeBuilder, Instance;
        "build-range" build_range(index, range, cursor, max, max_bytes)
    tracked_builder: TrackedBuilder, Instance;
        "open" open(settings) "indexes" indexes() "build-many" build_many(index, roots)
    requested_indexes: RequestedIndexes, Instance;
        "request" request(indexes) "describe" describe(tables)
    diagnosis: Diagnosis;
        "examine" examine(settings, indexes, tables, online, extra)
    sink_diagnosis: SinkDiagnosis;
        "examine" examine(settings, mappings, extra)
    inventory: Inventory;
        "list" list(settings, prefix, extra) "remove" remove(settings, prefix, name, force, extra)
    search: Search;
        "query" query(settings, index, query, limit, offset, extra)
    sink: Sink, Instance;
        "open" open(settings) "ensure-index" ensure_index(mapping) "seeded" seeded(target)
        "mark-seeded" mark_seeded(target, history) "mark-unseeded" mark_unseeded(target) "write" write(documents)
        "clear" clear(target, version) "flush" flush(caught_up, deadline_ms) "begin-rebuild" begin_rebuild(mapping, resume)
        "promote" promote(target) "abandon" abandon(target)
}

/// What a plugin imports, asked of the host.
pub mod imports {
    /// `wit/state.wit`
    pub mod state {
        use crate::Result;
        pub use crate::bindings::host::flusso::connector::state::Mutation;
        use crate::native::ask;

        /// The value of a key.
        pub fn get(key: &[u8]) -> Result<Option<Vec<u8>>> {
            ask("state.get", &(key,))
        }

        /// The entries whose keys begin with a prefix.
        pub fn scan(prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
            ask("state.scan", &(prefix, after, limit))
        }

        /// Changes several entries at once.
        pub fn apply(mutations: &[Mutation]) -> Result<()> {
            ask("state.apply", &(mutations,))
        }
    }

    /// `wit/links.wit`
    pub mod links {
        use crate::native::ask;
        use crate::{Result, RowLinks};

        /// The relations whose links are recorded.
        pub fn recorded_relations() -> Vec<String> {
            ask("links.recorded-relations", &())
        }

        /// The clock of lookups.
        pub fn clock() -> u64 {
            ask("links.clock", &())
        }

        /// Adds links.
        pub fn add(since: u64, links: &[RowLinks]) -> Result<Vec<u32>> {
            ask("links.add", &(since, links))
        }

        /// The links of rows.
        pub fn parents(relation: &str, rows: &[Vec<u8>]) -> Result<Vec<Vec<Vec<u8>>>> {
            ask("links.parents", &(relation, rows))
        }
    }

    /// `wit/metrics.wit`
    pub mod metrics {
        use crate::native::{ask, has_host};

        /// Counts something.
        pub fn add(name: &str, amount: u64, labels: &[(String, String)]) {
            if has_host() {
                ask::<()>("metrics.add", &(name, amount, labels));
            }
        }

        /// Sets something.
        pub fn set(name: &str, value: f64, labels: &[(String, String)]) {
            if has_host() {
                ask::<()>("metrics.set", &(name, value, labels));
            }
        }
    }

    /// A secret of the plugin's, by its name.
    pub fn secret(name: &str) -> Option<String> {
        super::ask("secrets.get", &(name,))
    }

    /// `wit/tracked-reader.wit`
    pub mod lookups {
        use crate::bindings::host::flusso::connector::tracked_reader::Lookups;
        use crate::{Result, Row};

        /// Makes lookups.
        pub fn read(reads: &[Lookups]) -> Result<Vec<Vec<Vec<Row>>>> {
            crate::native::ask("tracked-reader.read", &(reads,))
        }
    }

    /// `wit/net.wit`
    pub mod net {
        pub use crate::bindings::host::flusso::connector::net::{ClientIdentity, NetError, TlsOptions, Verification};
        use crate::native::{ask, has_host};

        /// A connection; dropping it closes it.
        #[derive(Debug)]
        pub struct Connection(u32);

        /// Opens a connection, as granted.
        pub fn connect(address: &str, timeout_ms: u32) -> Result<Connection, NetError> {
            ask::<Result<u32, NetError>>("net.connect", &(address, timeout_ms)).map(Connection)
        }

        impl Connection {
            /// What has arrived.
            pub fn read(&self, max: u32, wait_ms: u32) -> Result<Vec<u8>, NetError> {
                ask("net.connection.read", &(self.0, max, wait_ms))
            }

            /// Sends all of it.
            pub fn write(&self, bytes: &[u8]) -> Result<(), NetError> {
                ask("net.connection.write", &(self.0, bytes))
            }

            /// Goes on in TLS.
            pub fn start_tls(&self, options: &TlsOptions) -> Result<Option<Vec<u8>>, NetError> {
                ask("net.connection.start-tls", &(self.0, options))
            }
        }

        impl Drop for Connection {
            fn drop(&mut self) {
                // While a panic unwinds the host is gone as well.
                if has_host() && !std::thread::panicking() {
                    ask::<()>("net.connection.drop", &(self.0,));
                }
            }
        }
    }
}
