//! The roles of the contract, in one table: the interface that the host calls, and what says whether a plugin has it. A role
//! or an ability that is added to the contract is one row here, and the file that calls it.
//!
//! A function is called the same way, by [`call!`], whether the plugin is a component or a native library.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::bindings::exports::flusso::connector as exports;
use super::context::Context;
use crate::plugin::manifest::{Manifest, Role};

/// What says whether a plugin has an interface.
enum Presence {
    /// A role of the manifest.
    Role(Role),
    /// An ability: the interface stands among the exports.
    Export(&'static str),
}

macro_rules! roles {
    ($($name:ident: $module:ident, $presence:expr;)*) => {
        /// Where the functions of each exported interface of a component are.
        #[derive(Clone)]
        pub(super) struct Roles {
            plugin: exports::plugin::GuestIndices,
            $($name: Option<exports::$module::GuestIndices>,)*
        }

        /// The exported interfaces of one instance of a component; of a native library none.
        #[derive(Default)]
        pub(super) struct Exports {
            plugin: Option<exports::plugin::Guest>,
            $($name: Option<exports::$module::Guest>,)*
        }

        impl Roles {
            /// Finds the functions of every role and ability that a plugin has. `has` says whether the component exports an
            /// interface, by its name without package and version.
            pub(super) fn find(
                pre: &InstancePre<Context>,
                manifest: &Manifest,
                has: impl Fn(&str) -> bool,
            ) -> Result<Self, (Role, wasmtime::Error)> {
                let first = manifest.roles.first().copied().unwrap_or(Role::Source);
                Ok(Self {
                    plugin: exports::plugin::GuestIndices::new(pre).map_err(|error| (first, error))?,
                    $($name: {
                        let wanted = match $presence {
                            Presence::Role(role) => manifest.has(role).then_some(role),
                            Presence::Export(interface) => has(interface).then_some(first),
                        };
                        let found = wanted.map(|role| exports::$module::GuestIndices::new(pre).map_err(|error| (role, error)));
                        found.transpose()?
                    },)*
                })
            }
        }

        impl Exports {
            pub(super) fn load(
                roles: &Roles,
                store: &mut Store<Context>,
                instance: &Instance,
            ) -> wasmtime::Result<Self> {
                Ok(Self {
                    plugin: Some(roles.plugin.load(&mut *store, instance)?),
                    $($name: roles.$name.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,)*
                })
            }

            pub(super) fn plugin(&self) -> wasmtime::Result<&exports::plugin::Guest> {
                self.plugin.as_ref().ok_or_else(|| wasmtime::Error::msg("the plugin does not export `plugin`"))
            }

            $(pub(super) fn $name(&self) -> wasmtime::Result<&exports::$module::Guest> {
                let missing = concat!("the plugin does not export `", stringify!($module), "`");
                self.$name.as_ref().ok_or_else(|| wasmtime::Error::msg(missing))
            })*
        }
    };
}

roles! {
    source: source, Presence::Role(Role::Source);
    snapshot: snapshot, Presence::Role(Role::Source);
    reader: reader, Presence::Role(Role::Reader);
    builder: builder, Presence::Role(Role::Builder);
    range_builder: range_builder, Presence::Role(Role::RangeBuilder);
    tracked_builder: tracked_builder, Presence::Role(Role::TrackedBuilder);
    sink: sink, Presence::Role(Role::Sink);
    diagnosis: diagnosis, Presence::Export("diagnosis");
    sink_diagnosis: sink_diagnosis, Presence::Export("sink-diagnosis");
    inventory: inventory, Presence::Export("inventory");
    requested_indexes: requested_indexes, Presence::Export("requested-indexes");
    search: search, Presence::Export("search");
    batch_reader: batch_reader, Presence::Export("batch-reader");
}

/// Calls a function of the contract: `call!(live, sink.call_write(&documents))`, on an instance of either kind.
macro_rules! call {
    ($live:ident, $interface:ident.$function:ident($($argument:expr),* $(,)?)) => {
        match &mut $live.native {
            None => $live.exports.$interface()?.$function(&mut $live.store, $($argument),*).await,
            Some(native) => {
                let name = concat!(stringify!($interface), ".", stringify!($function));
                let context = $live.store.data_mut();
                $crate::plugin::wasm::native_call::call(native, context, name, &($(&$argument,)*)).await
            }
        }
    };
}
pub(super) use call;
