//! `flusso.toml`, mirrored one to one. Nothing is checked here but spelling and types; [`super::Config`] is the form that
//! the program uses.
//!
//! An unknown key is an error that names the file, the line, the key and the nearest valid key.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::error::{ConfigError, Location, nearest};
use super::units::{Bytes, Time};

use crate::limits;

/// The whole file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What happens to a document that cannot be built or is rejected.
    pub on_error: Option<OnError>,
    /// What happens when the source cannot go on where the host left off.
    pub on_history_loss: Option<OnHistoryLoss>,
    /// Prepended to every index name at the sink.
    pub prefix: Option<String>,
    /// Where changes come from.
    pub source: Option<PluginTable>,
    /// What builds documents.
    pub builder: Option<PluginTable>,
    /// Where documents go, by name.
    #[serde(default)]
    pub sinks: BTreeMap<String, PluginTable>,
    /// How changes are gathered.
    #[serde(default)]
    pub batch: Batch,
    /// The indexes to keep.
    #[serde(default, rename = "index")]
    pub indexes: Vec<Index>,
    /// Where the host answers over HTTP.
    pub server: Option<Server>,
}

/// What happens to a document that cannot be built or is rejected by a sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The run stops.
    #[default]
    Stop,
    /// The document goes to the quarantine and the run goes on.
    Skip,
}

/// What happens when the source cannot go on where the host left off: its slot was dropped or invalidated, another
/// database stands behind the address, the host's state is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnHistoryLoss {
    /// The run ends and says why; nothing is created.
    #[default]
    Stop,
    /// A new history begins and every index is seeded again.
    Reseed,
}

impl std::str::FromStr for OnHistoryLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stop" => Ok(Self::Stop),
            "reseed" => Ok(Self::Reseed),
            _ => Err(format!("`{text}` is neither `stop` nor `reseed`")),
        }
    }
}

/// `[batch]`: how changes are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// The most changes in a live batch.
    #[schemars(range(min = 1))]
    pub max_changes: u32,
    /// The longest a live batch waits for more after its first change.
    pub max_delay: Time,
    /// The documents of a backfill batch.
    #[schemars(range(min = 1))]
    pub backfill_documents: u32,
}

impl Default for Batch {
    fn default() -> Self {
        use limits::engine::{BACKFILL_DOCUMENTS, MAX_CHANGES, MAX_DELAY};
        Self { max_changes: MAX_CHANGES, max_delay: Time(MAX_DELAY), backfill_documents: BACKFILL_DOCUMENTS }
    }
}

impl Batch {
    /// The key that has a value it cannot have.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, value) in [("max_changes", self.max_changes), ("backfill_documents", self.backfill_documents)] {
            if value == 0 {
                return Err(format!("`{key}` is at least 1"));
            }
        }
        Ok(())
    }
}

/// One `[[index]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Its name, without the prefix.
    pub name: String,
    /// The file of its schema, relative to this file.
    pub schema: Option<String>,
    /// Whether it is kept; default true.
    pub enabled: Option<bool>,
    /// Its own policy; default the file's.
    pub on_error: Option<OnError>,
}

/// `[server]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `HOST:PORT` of `/wait`, `/healthz` and `/readyz`; default 127.0.0.1:9464; empty: none.
    pub public_address: Option<String>,
    /// `HOST:PORT` of `/indexes` and `/reindex`, on this machine; default none: the other commands reach the host by its state
    /// folder.
    pub private_address: Option<String>,
}

/// `limits` of a plugin: what one guest may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most memory a guest may have.
    pub memory: Bytes,
    /// The longest a call may take.
    pub call_timeout: Time,
    /// The most a guest may keep in the host's state.
    pub state: Bytes,
    /// The most links that the host keeps for a builder.
    pub links: Bytes,
    /// The most files, folders, streams and connections that one instance may hold open.
    pub handles: usize,
    /// The longest that compiling it may take, at the first start with it.
    pub compile_time: Time,
    /// The most memory that compiling it may take.
    pub compile_memory: Bytes,
}

impl Default for Limits {
    fn default() -> Self {
        use limits::guest::{CALL_TIMEOUT, COMPILE_MEMORY, COMPILE_TIME, HANDLES, LINKS, MEMORY, STATE};
        Self {
            memory: Bytes(MEMORY),
            call_timeout: Time(CALL_TIMEOUT),
            state: Bytes(STATE),
            links: Bytes(LINKS),
            handles: HANDLES,
            compile_time: Time(COMPILE_TIME),
            compile_memory: Bytes(COMPILE_MEMORY),
        }
    }
}

/// `allow` of a plugin: what it is granted beside what its settings imply.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// `HOST:PORT` or `unix:PATH` that it may connect to.
    #[serde(default)]
    pub network: Vec<String>,
    /// `HOST[:PORT]` that it may send HTTP requests to.
    #[serde(default)]
    pub http: Vec<String>,
    /// Folders and files.
    #[serde(default)]
    pub filesystem: AllowFiles,
}

/// `allow.filesystem` of a plugin.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowFiles {
    /// What it may read.
    #[serde(default)]
    pub read: Vec<String>,
    /// What it may write, and read.
    #[serde(default)]
    pub write: Vec<String>,
}

/// The host's own keys of a plugin's table, as `--plugin` gives them: `limits.memory=64MiB`, `allow.network=a:1,b:2`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostKeys {
    /// Limits of its own.
    pub limits: Limits,
    /// Grants of its own.
    pub allow: Allow,
    /// Whether it may be a native library.
    pub trusted: bool,
}

impl HostKeys {
    /// Adds a key by its path to what was `written` before, and reads all of it as the file would be read.
    pub(super) fn with(written: &mut toml::Table, path: &str, text: &str) -> Result<Self, String> {
        let mut table = &mut *written;
        let mut parts: Vec<&str> = path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let entry = table.entry(part).or_insert_with(|| toml::Table::new().into());
            table = entry.as_table_mut().ok_or_else(|| format!("`{part}` is a value, and no group of keys"))?;
        }
        let value = match (path, text) {
            ("trusted", "true" | "false") => toml::Value::Boolean(text == "true"),
            (path, _) if path.starts_with("allow.") => {
                toml::Value::Array(text.split(',').map(|one| one.trim().into()).collect())
            }
            _ => text.into(),
        };
        table.insert(last.to_owned(), value);
        toml::Value::Table(written.clone()).try_into().map_err(|error: toml::de::Error| remedy(error.message()))
    }
}

/// `[source]`, `[builder]` or one `[sinks.NAME]`: the host's own keys, and the plugin's settings.
#[derive(Debug, Default)]
pub struct PluginTable {
    /// The name or path of a plugin.
    pub plugin: Option<String>,
    /// A type that some plugin provides.
    pub kind: Option<String>,
    /// Limits of its own.
    pub limits: Limits,
    /// Grants of its own.
    pub allow: Allow,
    /// Whether it may be a native library, which no sandbox holds.
    pub trusted: bool,
    /// Everything else.
    pub settings: toml::Table,
}

impl<'de> Deserialize<'de> for PluginTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = PluginTable;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with `plugin` or `type`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PluginTable, A::Error> {
                let mut table = PluginTable::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "plugin" => table.plugin = Some(map.next_value()?),
                        "type" => table.kind = Some(map.next_value()?),
                        "limits" => table.limits = map.next_value()?,
                        "allow" => table.allow = map.next_value()?,
                        "trusted" => table.trusted = map.next_value()?,
                        _ => {
                            table.settings.insert(key, map.next_value()?);
                        }
                    }
                }
                match (&table.plugin, &table.kind) {
                    (None, None) => {
                        Err(A::Error::custom("neither `plugin` nor `type` is given; name the plugin to use"))
                    }
                    (Some(_), Some(_)) => Err(A::Error::custom("both `plugin` and `type` are given; keep one of them")),
                    _ => Ok(table),
                }
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl File {
    /// Reads the text of a file; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
            ConfigError::wrong(Location::File { path: path.to_path_buf(), line }, remedy(error.message()))
        })
    }
}

/// Turns the parser's message about an unknown word into one that names the nearest word that would be right.
fn remedy(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default().trim();
    let (Some(rest), what) = (match first.strip_prefix("unknown field ") {
        Some(rest) => (Some(rest), "key"),
        None => (first.strip_prefix("unknown variant "), "value"),
    }) else {
        return message.trim().replace('\n', "; ");
    };
    let mut words = rest.split('`').skip(1).step_by(2);
    let unknown = words.next().unwrap_or_default();
    let known: Vec<&str> = words.collect();
    match nearest(unknown, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{unknown}`; did you mean `{near}`? valid here: {}", known.join(", ")),
        None => format!("unknown {what} `{unknown}`; valid here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        File::parse(text, Path::new("flusso.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_valid_one() {
        assert_eq!(
            message("prefix = \"a\"\n[batch]\nmax_change = 3\n"),
            "flusso.toml:3: unknown key `max_change`; did you mean `max_changes`? valid here: max_changes, max_delay, backfill_documents"
        );
        assert!(message("prefx = \"a\"\n").starts_with("flusso.toml:1: unknown key `prefx`; did you mean `prefix`?"));
        assert!(
            message("[[index]]\nname = \"a\"\nschem = \"x\"\n")
                .starts_with("flusso.toml:3: unknown key `schem`; did you mean `schema`?")
        );
        let limits = message("[sinks.a]\nplugin = \"x\"\n[sinks.a.limits]\n\nmemoy = 3\n");
        assert!(limits.starts_with("flusso.toml:5: unknown key `memoy`; did you mean `memory`?"), "{limits}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        let text = message("\non_error = \"stpo\"\n");
        assert!(text.starts_with("flusso.toml:2: unknown value `stpo`; did you mean `stop`?"), "{text}");
        let text = message("[batch]\nmax_delay = \"50\"\n");
        assert!(text.starts_with("flusso.toml:2: `50` is no time"), "{text}");
        let text = message("[source]\nslot = \"a\"\n");
        assert!(text.starts_with("flusso.toml:1: neither `plugin` nor `type` is given"), "{text}");
        assert!(message("prefix = \n").starts_with("flusso.toml:1: "));
    }

    #[test]
    fn what_the_host_does_not_know_in_a_plugins_table_is_the_plugins() {
        let file = File::parse(
            "[source]\ntype = \"postgres\"\nconnection_url = { env = \"DATABASE_URL\" }\n[source.allow]\nnetwork = [\"a:1\"]\n",
            Path::new("flusso.toml"),
        )
        .unwrap();
        let source = file.source.unwrap();
        assert_eq!(source.kind.as_deref(), Some("postgres"));
        assert_eq!(source.allow.network, ["a:1"]);
        assert_eq!(source.settings.keys().collect::<Vec<_>>(), ["connection_url"]);
    }
}
