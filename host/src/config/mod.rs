//! The configuration in its validated form. Nothing in it is optional that the program needs.
//!
//! Precedence: a flag, then its `FLUSSO_*` variable (both arrive as [`Overrides`]), then the file, then the default. What
//! a plugin's settings mean is not known here: they are kept as they were written, secrets as references.

mod error;
pub mod file;
mod indexes;
mod pin;
mod plugin_flag;
mod role_assignment;
mod schema;
mod settings;
mod units;
mod validate;

use std::path::PathBuf;

pub use error::{ConfigError, Location, nearest};
pub use file::{Allow, Batch, Limits, OnError, OnHistoryLoss};
pub use pin::split_pin;
pub use plugin_flag::PluginFlag;
pub use role_assignment::{Assigned, PluginRoles};
pub use schema::{KnownPlugin, json_schema};
pub use settings::{Reference, Resolved, Settings};
pub use units::{Bytes, Time};

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "flusso.toml";

/// What the command line and its variables say about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--plugin`, in order.
    pub plugins: Vec<PluginFlag>,
    /// Settings of the source that have flags of their own (`slot`, `publication`, …), as text.
    pub source: Vec<(&'static str, String)>,
    /// `--index-prefix`.
    pub prefix: Option<String>,
    /// `--on-history-loss`.
    pub on_history_loss: Option<OnHistoryLoss>,
    /// `--public-address`, `--private-address`.
    pub server: Server,
}

/// Where the host answers over HTTP, beside the socket in its state folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// `HOST:PORT` for applications and supervisors; `None`: [`DEFAULT_PUBLIC`], if it is free; empty: not served.
    pub public: Option<String>,
    /// `HOST:PORT`, of this machine, for everything.
    pub private: Option<String>,
}

/// The public address when none is configured.
pub const DEFAULT_PUBLIC: &str = "127.0.0.1:9464";

/// A whole deployment.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, if there was one.
    pub path: Option<PathBuf>,
    /// Prepended to every index name at the sink; lower case, at most 50 characters.
    pub prefix: String,
    /// `[source]`.
    pub source: Option<PluginUse>,
    /// `[builder]`.
    pub builder: Option<PluginUse>,
    /// `[sinks.NAME]`, by name.
    pub sinks: Vec<Sink>,
    /// The plugins of `--plugin`, whose roles are not known yet: [`Config::place`] puts them where they belong.
    pub flags: Vec<PluginUse>,
    /// Settings from flags of their own, for the plugin that becomes the source.
    pub source_overrides: Vec<(&'static str, String)>,
    /// How many guests share the building.
    pub builder_instances: usize,
    /// How changes are gathered.
    pub batch: Batch,
    /// The policy where no index has its own.
    pub on_error: OnError,
    /// What happens when the source cannot go on where the host left off.
    pub on_history_loss: OnHistoryLoss,
    /// The enabled indexes. Empty: each table with a primary key becomes an index of its own rows.
    pub indexes: Vec<Index>,
    /// Where the host answers over HTTP.
    pub server: Server,
    /// What was accepted but does nothing, a sentence each; to be logged once.
    pub notes: Vec<String>,
}

/// Which plugin is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginRef {
    /// The artifact at this path. Relative to the working folder.
    Path(PathBuf),
    /// The plugin of this name in one of the plugin folders.
    Name(String),
    /// The plugin whose manifest provides this type.
    Provides(String),
}

impl std::fmt::Display for PluginRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Name(name) | Self::Provides(name) => f.write_str(name),
        }
    }
}

/// A plugin as the operator wants it used.
#[derive(Debug, Clone)]
pub struct PluginUse {
    /// Which one.
    pub plugin: PluginRef,
    /// The SHA-256 that its bytes must have, in lower-case hexadecimal digits.
    pub pin: Option<String>,
    /// The name of this use: `source`, `builder`, or the sink's name. Scopes the plugin's state.
    pub instance: String,
    /// What the plugin is told.
    pub settings: Settings,
    /// What it may take.
    pub limits: Limits,
    /// What it may reach, beside what its settings imply.
    pub allow: Allow,
    /// Whether it may be a native library, which no sandbox holds.
    pub trusted: bool,
    /// Whether it is the source, or the source's own plugin as the builder: the variable `DATABASE_URL` is theirs.
    pub is_source: bool,
}

/// One place that documents go to.
#[derive(Debug, Clone)]
pub enum Sink {
    /// Lines on standard output; the one sink that is built in.
    Stdout {
        /// The sink's name.
        name: String,
        /// Documents over several lines, for a person.
        pretty: bool,
    },
    /// A plugin.
    Plugin(PluginUse),
}

impl Sink {
    /// The sink's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Stdout { name, .. } => name,
            Self::Plugin(plugin) => &plugin.instance,
        }
    }
}

/// An index that the operator asked for.
#[derive(Debug, Clone)]
pub struct Index {
    /// Its name, without the prefix.
    pub name: String,
    /// Its schema, if it names one.
    pub schema: Option<Schema>,
    /// What happens to a document of it that cannot be built or is rejected.
    pub on_error: OnError,
}

/// A schema file, unread: its language is the builder's.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Where it stands.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

#[cfg(test)]
mod tests;
