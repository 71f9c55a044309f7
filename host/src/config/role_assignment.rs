//! Gives each plugin of `--plugin` its role, once its exports are known.
//!
//! A flag over the same plugin in the file changes its settings; over another source or builder it takes its place; a
//! further sink is a further sink.

use std::path::Path;

use super::{Allow, Config, ConfigError, Limits, Location, PluginRef, PluginUse, Settings, Sink};

/// What is known of a plugin once it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRoles {
    /// The same for the same artifact, however it was named.
    pub identity: String,
    /// The plugin's own name.
    pub name: String,
    /// It can be a source.
    pub source: bool,
    /// It can build.
    pub builder: bool,
    /// It can be a sink.
    pub sink: bool,
}

/// Every plugin in its role.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// Where changes come from.
    pub source: PluginUse,
    /// What builds; `None`: the source plugin itself.
    pub builder: Option<PluginUse>,
    /// Whether nobody named the builder, and the source does not build.
    pub is_builder_default: bool,
    /// Where documents go; at least one.
    pub sinks: Vec<Sink>,
}

impl Assigned {
    /// Every use of a plugin.
    pub fn plugins(&self) -> impl Iterator<Item = &PluginUse> {
        let sinks = self.sinks.iter().filter_map(|sink| match sink {
            Sink::Plugin(plugin) => Some(plugin),
            Sink::Stdout { .. } => None,
        });
        std::iter::once(&self.source).chain(&self.builder).chain(sinks)
    }
}

impl Config {
    /// Gives every plugin its role. `look` finds a plugin and says what it is.
    pub fn assign_roles<E: From<ConfigError>>(
        &self,
        mut look: impl FnMut(&PluginUse) -> Result<PluginRoles, E>,
    ) -> Result<Assigned, E> {
        let mut source = self.source.clone();
        let mut builder = self.builder.clone();
        let mut sinks = self.sinks.clone();
        let mut source_by_flag = false;
        for flag in &self.flags {
            if matches!(&flag.plugin, PluginRef::Name(name) if name == "stdout") {
                let place = Location::part(None, flag.settings.part());
                sinks.push(super::validate::stdout(&free_name("stdout", &sinks), &flag.settings, &place)?);
                continue;
            }
            let known = look(flag)?;
            if known.source {
                if source_by_flag && !same(source.as_ref(), &known, &mut look)? {
                    return Err(ConfigError::wrong(
                        Location::Flag("--plugin"),
                        format!("`{}` is a second source; there can be one", flag.plugin),
                    )
                    .into());
                }
                source_by_flag = true;
                source = Some(merge(source, flag, "source", &known, &mut look)?);
            } else if known.builder {
                builder = Some(merge(builder, flag, "builder", &known, &mut look)?);
            } else if known.sink {
                place_sink(&mut sinks, flag, &known, &mut look)?;
            } else {
                return Err(ConfigError::wrong(
                    Location::Flag("--plugin"),
                    format!("`{}` is neither a source, a builder nor a sink", flag.plugin),
                )
                .into());
            }
        }
        let Some(mut source) = source else {
            return Err(ConfigError::wrong(
                Location::part(self.path.as_deref(), "[source]"),
                "there is no source; name one with --plugin (such as --plugin pg.wasm) or under [source] in a configuration file",
            )
            .into());
        };
        for (name, text) in &self.source_overrides {
            source.settings.set_text(*name, text);
        }
        source.is_source = true;
        if let Some(builder) = &mut builder {
            builder.is_source = look(builder)?.identity == look(&source)?.identity;
        }
        // A source that cannot be used is said where it is needed.
        let is_builder_default = builder.is_none() && look(&source).is_ok_and(|known| !known.builder);
        if is_builder_default {
            builder = Some(self.default_builder());
        }
        if sinks.is_empty() {
            sinks.push(Sink::Stdout { name: "stdout".to_owned(), pretty: false });
        }
        Ok(Assigned { source, builder, is_builder_default, sinks })
    }

    /// What builds over a source that does not, where no builder is named.
    fn default_builder(&self) -> PluginUse {
        let base = self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        PluginUse {
            plugin: PluginRef::Name(DEFAULT_BUILDER.to_owned()),
            pin: None,
            instance: "builder".to_owned(),
            settings: Settings::new(serde_json::Map::new(), base, "[builder]"),
            limits: Limits::default(),
            allow: Allow::default(),
            trusted: false,
            is_source: false,
        }
    }
}

/// What builds where the source does not and nothing else is named: documents as schema files describe them.
const DEFAULT_BUILDER: &str = "schema-builder";

fn same<E>(
    current: Option<&PluginUse>,
    known: &PluginRoles,
    look: &mut impl FnMut(&PluginUse) -> Result<PluginRoles, E>,
) -> Result<bool, E> {
    Ok(match current {
        Some(current) => look(current)?.identity == known.identity,
        None => false,
    })
}

fn merge<E>(
    current: Option<PluginUse>,
    flag: &PluginUse,
    instance: &str,
    known: &PluginRoles,
    look: &mut impl FnMut(&PluginUse) -> Result<PluginRoles, E>,
) -> Result<PluginUse, E> {
    match current {
        Some(current) if look(&current)?.identity == known.identity => Ok(overlay(current, flag)),
        _ => Ok(PluginUse { instance: instance.to_owned(), ..flag.clone() }),
    }
}

fn overlay(mut current: PluginUse, flag: &PluginUse) -> PluginUse {
    let default = Limits::default();
    let pick = |flag, current, default| if flag == default { current } else { flag };
    current.limits.memory = pick(flag.limits.memory, current.limits.memory, default.memory);
    current.limits.state = pick(flag.limits.state, current.limits.state, default.state);
    current.limits.links = pick(flag.limits.links, current.limits.links, default.links);
    current.limits.compile_memory =
        pick(flag.limits.compile_memory, current.limits.compile_memory, default.compile_memory);
    if flag.limits.call_timeout != default.call_timeout {
        current.limits.call_timeout = flag.limits.call_timeout;
    }
    if flag.limits.handles != default.handles {
        current.limits.handles = flag.limits.handles;
    }
    if flag.limits.compile_time != default.compile_time {
        current.limits.compile_time = flag.limits.compile_time;
    }
    current.allow.network.extend(flag.allow.network.iter().cloned());
    current.allow.http.extend(flag.allow.http.iter().cloned());
    current.allow.filesystem.read.extend(flag.allow.filesystem.read.iter().cloned());
    current.allow.filesystem.write.extend(flag.allow.filesystem.write.iter().cloned());
    current.trusted |= flag.trusted;
    current.settings.overlay(Settings::clone(&flag.settings));
    current
}

fn place_sink<E>(
    sinks: &mut Vec<Sink>,
    flag: &PluginUse,
    known: &PluginRoles,
    look: &mut impl FnMut(&PluginUse) -> Result<PluginRoles, E>,
) -> Result<(), E> {
    let mut alike = Vec::new();
    for (number, sink) in sinks.iter().enumerate() {
        if let Sink::Plugin(plugin) = sink
            && !plugin.settings.part().starts_with("--plugin")
            && look(plugin)?.identity == known.identity
        {
            alike.push(number);
        }
    }
    match alike.as_slice() {
        [only] => {
            if let Some(Sink::Plugin(plugin)) = sinks.get_mut(*only) {
                *plugin = overlay(plugin.clone(), flag);
            }
        }
        _ => {
            let instance = free_name(&known.name, sinks);
            sinks.push(Sink::Plugin(PluginUse { instance, ..flag.clone() }));
        }
    }
    Ok(())
}

fn free_name(wanted: &str, sinks: &[Sink]) -> String {
    let taken = |name: &str| sinks.iter().any(|sink| sink.name() == name);
    let mut name = wanted.to_owned();
    let mut number = 1;
    while taken(&name) {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}
