//! From the mirrored file and the overrides to the validated form.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Allow, Config, ConfigError, DEFAULT_FILE, Limits, Location, Overrides, PluginFlag, PluginRef, PluginUse, Server,
    Settings, Sink, file, indexes, nearest, split_pin,
};

use crate::limits;

impl Config {
    /// Reads the configuration: the file named, or `./flusso.toml` if it exists, under the overrides. `variable` looks up an
    /// environment variable.
    pub fn load(
        path: Option<&Path>,
        overrides: Overrides,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let path = match path {
            Some(path) => Some(path.to_path_buf()),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
        };
        let file = match &path {
            Some(path) => file::File::parse(&read("the configuration file", path)?, path)?,
            None => file::File::default(),
        };
        Self::validate(file, path, overrides, variable)
    }

    fn validate(
        file: file::File,
        path: Option<PathBuf>,
        overrides: Overrides,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let base = path.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
        let place = |part: &str| Location::part(path.as_deref(), part);

        let prefix = overrides.prefix.or(file.prefix).unwrap_or_default();
        if prefix.len() > 50 || prefix.chars().any(char::is_uppercase) {
            return Err(ConfigError::wrong(place("prefix"), "a prefix is lower case and at most 50 characters"));
        }
        let mut notes = Vec::new();
        let server = server(file.server.unwrap_or_default(), overrides.server, &mut notes);

        let source = file.source.map(|table| from_table(table, "source", "[source]", &base, &place("[source]")));
        let source = source.transpose()?;
        let mut builder_instances = limits::program::BUILDER_INSTANCES;
        let builder = match file.builder {
            Some(mut table) => {
                if let Some(instances) = table.settings.remove("instances") {
                    builder_instances = instances
                        .as_integer()
                        .and_then(|number| usize::try_from(number).ok())
                        .filter(|number| (1..=64).contains(number))
                        .ok_or_else(|| {
                            ConfigError::wrong(place("[builder]"), "`instances` is a number from 1 to 64")
                        })?;
                }
                Some(from_table(table, "builder", "[builder]", &base, &place("[builder]"))?)
            }
            None => None,
        };
        let mut sinks = Vec::new();
        for (name, table) in file.sinks {
            let part = format!("[sinks.{name}]");
            sinks.push(sink_from_table(table, &name, &part, &base, &place(&part), &variable)?);
        }
        let mut flags = Vec::new();
        for flag in overrides.plugins {
            flags.push(from_flag(flag)?);
        }
        file.batch.check().map_err(|message| ConfigError::wrong(place("[batch]"), message))?;
        let on_error = file.on_error.unwrap_or_default();
        let indexes = indexes::indexes(file.indexes, on_error, &base, path.as_deref(), &mut notes)?;
        Ok(Self {
            prefix,
            source,
            builder,
            sinks,
            flags,
            source_overrides: overrides.source,
            builder_instances,
            batch: file.batch,
            on_error,
            on_history_loss: overrides.on_history_loss.or(file.on_history_loss).unwrap_or_default(),
            indexes,
            server,
            notes,
            path,
        })
    }
}

/// The private address asks for no password, so it is refused for other machines.
fn server(file: file::Server, overrides: Server, notes: &mut Vec<String>) -> Server {
    let filled = |address: String| (!address.is_empty()).then_some(address);
    let public = overrides.public.or(file.public_address);
    let mut private = overrides.private.or(file.private_address).and_then(filled);
    if let Some(address) = &private
        && !is_this_machine(address)
    {
        notes.push(format!(
            "private_address {address:?} is not served: it has no password, so it must be of this machine (127.0.0.1:9465); \
             `flusso-host indexes` and `reindex` need none"
        ));
        private = None;
    }
    Server { public, private }
}

fn is_this_machine(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn read(what: &'static str, path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { what, path: path.to_path_buf(), source })
}

fn from_table(
    table: file::PluginTable,
    instance: &str,
    part: &str,
    base: &Path,
    place: &Location,
) -> Result<PluginUse, ConfigError> {
    let (plugin, pin) = match (table.plugin, table.kind) {
        (Some(plugin), _) => pinned(&plugin, base, place)?,
        (None, kind) => (PluginRef::Provides(kind.unwrap_or_default()), None),
    };
    let values = table.settings.into_iter().map(|(name, value)| (name, json(value))).collect();
    Ok(PluginUse {
        plugin,
        pin,
        instance: instance.to_owned(),
        settings: Settings::new(values, base, part),
        limits: table.limits,
        allow: table.allow,
        trusted: table.trusted,
        is_source: false,
    })
}

fn sink_from_table(
    table: file::PluginTable,
    name: &str,
    part: &str,
    base: &Path,
    place: &Location,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Sink, ConfigError> {
    let mut plugin = from_table(table, name, part, base, place)?;
    if plugin.plugin == PluginRef::Provides("stdout".to_owned())
        || plugin.plugin == PluginRef::Name("stdout".to_owned())
    {
        return stdout(name, &plugin.settings, place);
    }
    // The ancestor's reserved variables: over a literal, under an explicit reference.
    let kind = match &plugin.plugin {
        PluginRef::Path(path) => path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        PluginRef::Name(kind) | PluginRef::Provides(kind) => kind.clone(),
    };
    for setting in ["url", "username", "password"] {
        let reserved = reserved_variable(name, &kind, setting);
        if plugin.settings.reference(setting).is_none() && variable(&reserved).is_some() {
            plugin.settings.set_env(setting, &reserved);
        }
    }
    Ok(Sink::Plugin(plugin))
}

fn reserved_variable(sink: &str, kind: &str, setting: &str) -> String {
    format!("{sink}_{kind}_{setting}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect()
}

pub(super) fn stdout(name: &str, settings: &Settings, place: &Location) -> Result<Sink, ConfigError> {
    if let Some(unknown) = settings.names().find(|key| *key != "pretty") {
        let near = nearest(unknown, ["pretty"]).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(ConfigError::wrong(place.clone(), format!("unknown key `{unknown}`{near} valid here: pretty")));
    }
    let pretty = match settings.get("pretty") {
        None => false,
        Some(Value::Bool(pretty)) => *pretty,
        Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
        Some(_) => {
            return Err(ConfigError::wrong(place.clone(), "`pretty` is true or false"));
        }
    };
    Ok(Sink::Stdout { name: name.to_owned(), pretty })
}

fn from_flag(flag: PluginFlag) -> Result<PluginUse, ConfigError> {
    let part = format!("--plugin {}", flag.plugin);
    let place = Location::part(None, part.clone());
    let base = PathBuf::new();
    let (named, pin) = pinned(&flag.plugin, &base, &place)?;
    let mut plugin = PluginUse {
        plugin: named,
        pin,
        instance: String::new(),
        settings: Settings::new(serde_json::Map::new(), &base, part),
        limits: Limits::default(),
        allow: Allow::default(),
        trusted: false,
        is_source: false,
    };
    let mut written = toml::Table::new();
    for (name, text) in &flag.pairs {
        if !name.starts_with("limits.") && !name.starts_with("allow.") && name != "trusted" {
            plugin.settings.set_text(name.clone(), text.clone());
            continue;
        }
        let keys = file::HostKeys::with(&mut written, name, text)
            .map_err(|message| ConfigError::wrong(place.clone(), format!("`{name}`: {message}")))?;
        (plugin.limits, plugin.allow, plugin.trusted) = (keys.limits, keys.allow, keys.trusted);
    }
    Ok(plugin)
}

/// A plugin, and the digest behind it if there is one.
fn pinned(word: &str, base: &Path, place: &Location) -> Result<(PluginRef, Option<String>), ConfigError> {
    let (word, pin) = split_pin(word).map_err(|message| ConfigError::wrong(place.clone(), message))?;
    Ok((plugin_ref(word, base), pin))
}

/// A word with a folder in it or the ending of an artifact is a path, if there is such a file or a folder was named;
/// everything else is a name to look for in the plugin folders.
fn plugin_ref(word: &str, base: &Path) -> PluginRef {
    let path = base.join(word);
    let folder = word.contains('/') || word.contains(std::path::MAIN_SEPARATOR);
    let artifact = Path::new(word).extension().is_some_and(|ending| ending == "wasm");
    if folder || (artifact && path.is_file()) { PluginRef::Path(path) } else { PluginRef::Name(word.to_owned()) }
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(list) => Value::Array(list.into_iter().map(json).collect()),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(name, value)| (name, json(value))).collect())
        }
    }
}
