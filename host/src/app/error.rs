//! Why the host could not do what it was asked to, by what the operator can do about it.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::plugin::capability::AddressError;
use crate::plugin::locate::LocateError;
use crate::plugin::manifest::Refusal;
use crate::plugin::settings::{Problem, SchemaError};
use crate::plugin::state::StateError;
use crate::plugin::stored_index::IndexState;
use crate::plugin::supply::SupplyError;
use crate::plugin::wasm::{GuestError, PrepareError};

/// Why the host could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings of a plugin do not fit its schema.
    #[error("{part}: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings {
        /// Whose settings.
        part: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// Something granted is not an address.
    #[error("{part}: {source}")]
    Grant {
        /// Whose `allow`.
        part: String,
        /// What is wrong with it.
        source: AddressError,
    },
    /// A plugin was not found.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// A plugin is not the one that is meant.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// A file is no plugin for this host.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A plugin's schema is none.
    #[error("the settings schema of plugin {plugin:?} cannot be used: {source}")]
    Schema {
        /// The plugin.
        plugin: String,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// A plugin cannot be compiled or linked.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A plugin does not do what it says.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A plugin that should be exchanged is not in use.
    #[error("no plugin {name:?} is in use; there are: {}", known.join(", "))]
    NotUsed {
        /// The name that was given.
        name: String,
        /// What is in use.
        known: Vec<String>,
    },
    /// The file of a plugin that should be exchanged holds another one.
    #[error("{} holds plugin {now:?} now, not {before:?}; another plugin is used by a start of the host", path.display())]
    OtherPlugin {
        /// The file.
        path: PathBuf,
        /// The plugin that runs.
        before: String,
        /// What the file holds.
        now: String,
    },
    /// A plugin lacks the role it is used in.
    #[error("{part}: plugin {plugin:?} is no {role}; it is {roles}")]
    Role {
        /// Where it is used.
        part: String,
        /// The plugin.
        plugin: String,
        /// What it would have to be.
        role: &'static str,
        /// What it is.
        roles: String,
    },
    /// The source does not build, no builder is named, and the one that would do is not there.
    #[error(
        "the source {source_name:?} builds no documents, and no builder is named: put schema-builder.wasm among the plugins, which builds \
         what schema files say (`flusso-host plugin build plugins/schema-builder`), or name one of your own under [builder]; searched {}",
        searched.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoBuilder {
        /// The source.
        source_name: String,
        /// Where it was looked for.
        searched: Vec<std::path::PathBuf>,
    },
    /// The quarantine cannot be read or written.
    #[error("the quarantine: {0}")]
    Quarantine(crate::engine::stage::StateError),
    /// What is counted cannot be kept.
    #[error(transparent)]
    Metrics(#[from] crate::metrics::MetricsError),
    /// Two sinks would write into one folder.
    #[error("the sinks {first:?} and {second:?} both write into {}; give each a folder of its own", path.display())]
    SharedFolder {
        /// One sink.
        first: String,
        /// The other.
        second: String,
        /// The folder.
        path: PathBuf,
    },
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no place for the state.
    #[error(
        "there is no folder of the user's own to remember progress in (HOME is not set); give one with --state-dir"
    )]
    NoStateFolder,
    /// The state could not be removed.
    #[error("the state in {} could not be removed: {source}", folder.display())]
    Remove {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An address that the host should answer on cannot be had.
    #[error("[server]: {address:?} cannot be listened on: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The host that is running did not answer.
    #[error("the host that is running on the state in {} did not answer: {source}", folder.display())]
    Ask {
        /// Where it remembers its progress.
        folder: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// No sink holds it.
    #[error("no sink holds {name:?}; what can be removed: {}", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") })]
    NotHeld {
        /// What was to be removed.
        name: String,
        /// What could be.
        names: Vec<String>,
    },
    /// No sink can be searched.
    #[error(
        "{}; one that can be searched is tantivy: `--plugin tantivy,path=./index`, or [sinks.NAME] with plugin = \"tantivy\"",
        match names.as_slice() {
            [] => "there is no such sink".to_owned(),
            names => format!("the sink {} cannot be searched", names.join(", ")),
        }
    )]
    NotSearchable {
        /// Those that were asked.
        names: Vec<String>,
    },
    /// Several sinks hold one of a name.
    #[error("the sinks {} all hold {name:?}; say which with --sink", sinks.join(", "))]
    HeldTwice {
        /// What was to be removed.
        name: String,
        /// Where it is.
        sinks: Vec<String>,
    },
    /// It is needed.
    #[error(
        "{name:?} is {state} and needed; what is left over or replaced can be removed, and anything with --force while no host is running"
    )]
    Needed {
        /// What was to be removed.
        name: String,
        /// How it stands.
        state: IndexState,
    },
    /// What a running host needs is not removed under it.
    #[error("a host is running, and what is needed is not removed under it; stop it first")]
    StillRunning,
    /// The pipeline ended.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
