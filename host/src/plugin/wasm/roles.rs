//! The roles of the contract, in one table: the interface that the host calls, and what says whether a plugin has it. A role
//! or an ability that is added to the contract is one row here, and the file that calls it.

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
            $(pub(super) $name: Option<exports::$module::GuestIndices>,)*
        }

        /// The exported interfaces of one instance.
        pub(super) struct Exports {
            pub(super) plugin: exports::plugin::Guest,
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
                    plugin: roles.plugin.load(&mut *store, instance)?,
                    $($name: roles.$name.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,)*
                })
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
    ranges: range_builder, Presence::Role(Role::RangeBuilder);
    tracked_builder: tracked_builder, Presence::Role(Role::TrackedBuilder);
    sink: sink, Presence::Role(Role::Sink);
    diagnosis: diagnosis, Presence::Export("diagnosis");
    sink_diagnosis: sink_diagnosis, Presence::Export("sink-diagnosis");
    inventory: inventory, Presence::Export("inventory");
    batch_reader: batch_reader, Presence::Export("batch-reader");
}
