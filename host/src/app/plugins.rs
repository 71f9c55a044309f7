//! From the plugins that a configuration names to plugins that can be opened: found, checked, compiled once each, their
//! settings filled in and checked, their grants counted together.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::error::AppError;
use super::variables;
use crate::config::{PluginRef, PluginRoles, PluginUse};
use crate::plugin::capability::{Access, Grants};
use crate::plugin::links::LinkTable;
use crate::plugin::locate::{Places, shadow};
use crate::plugin::manifest::Role;
use crate::plugin::metrics::Metrics;
use crate::plugin::settings::Schema;
use crate::plugin::state::LateScope;
use crate::plugin::wasm::{Checked, CompileLimits, Limits, LogDedup, Plugin, Prepared, Runtime, Setup};

/// The plugins of one run: each file is read, and each content compiled, once.
pub(super) struct Plugins {
    places: Places,
    checked: HashMap<String, Checked>,
    prepared: HashMap<String, Prepared>,
    metrics: Metrics,
    /// What was found about names that several plugins have.
    shadows: Vec<String>,
    /// What was found about settings.
    notes: Vec<String>,
    /// How many of them were said.
    said: usize,
    /// The settings of each part of the configuration that were taken from variables, with these.
    variables: HashMap<String, Vec<(String, String)>>,
}

impl Plugins {
    pub(super) fn new(places: Places) -> Self {
        Self {
            places,
            checked: HashMap::new(),
            prepared: HashMap::new(),
            metrics: Metrics::default(),
            shadows: Vec::new(),
            notes: Vec::new(),
            said: 0,
            variables: HashMap::new(),
        }
    }

    /// Finds a plugin and reads what it says about itself.
    pub(super) fn check(&mut self, wanted: &PluginRef) -> Result<&Checked, AppError> {
        let key = format!("{wanted:?}");
        let checked = self.checked.entry(key);
        if let std::collections::hash_map::Entry::Occupied(known) = checked {
            return Ok(known.into_mut());
        }
        let found = match wanted {
            PluginRef::Path(path) => self.places.find(&path.to_string_lossy())?,
            PluginRef::Name(name) => self.places.find(name)?,
            PluginRef::Provides(kind) => self.places.find_type(kind)?,
        };
        let checked = checked.or_insert(Checked::read(found.clone())?);
        // A path is what the operator meant.
        if !matches!(wanted, PluginRef::Path(_)) {
            let name = &checked.manifest().name;
            let said = shadow(name, &found.path, &self.places.shadowed(&found.path, name));
            self.shadows.extend(said.filter(|said| !self.shadows.contains(said)));
        }
        Ok(checked)
    }

    /// The names that several plugins have, of the plugins that were looked at; each once.
    pub(super) fn shadows(&mut self) -> Vec<String> {
        std::mem::take(&mut self.shadows)
    }

    /// What was found about settings that were filled in since this was asked last; each once.
    pub(super) fn notes(&mut self) -> Vec<String> {
        let new = self.notes.get(self.said..).unwrap_or_default().to_vec();
        self.said = self.notes.len();
        new
    }

    /// Which settings of a part that was set up come from variables: each setting with its variable.
    pub(super) fn variables(&self, part: &str) -> &[(String, String)] {
        self.variables.get(part).map(Vec::as_slice).unwrap_or_default()
    }

    /// What the configuration has to know of a plugin to give it its role.
    pub(super) fn look(&mut self, plugin: &PluginUse) -> Result<PluginRoles, AppError> {
        let checked = self.check(&plugin.plugin)?;
        let manifest = checked.manifest();
        Ok(PluginRoles {
            identity: checked.digest().to_string(),
            name: manifest.name.clone(),
            source: manifest.has(Role::Source),
            builder: manifest.has(Role::Builder) || manifest.has(Role::TrackedBuilder),
            sink: manifest.has(Role::Sink),
        })
    }

    /// Whether a plugin builds, in one way or the other.
    pub(super) fn require_builder(&mut self, plugin: &PluginUse) -> Result<(), AppError> {
        match self.check(&plugin.plugin)?.manifest().has(Role::TrackedBuilder) {
            true => Ok(()),
            false => self.require(plugin, Role::Builder, "builder"),
        }
    }

    /// Whether a plugin has a role.
    pub(super) fn require(&mut self, plugin: &PluginUse, role: Role, name: &'static str) -> Result<(), AppError> {
        let manifest = self.check(&plugin.plugin)?.manifest();
        if manifest.has(role) {
            return Ok(());
        }
        let roles = manifest.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let part = plugin.settings.part().to_owned();
        Err(AppError::Role { part, plugin: manifest.name.clone(), role: name, roles })
    }

    /// Compiles and links a plugin, unless that was done already.
    pub(super) async fn prepare(&mut self, runtime: &Runtime, plugin: &PluginUse) -> Result<Prepared, AppError> {
        let checked = self.check(&plugin.plugin)?.clone();
        let digest = checked.digest().to_string();
        if let Some(prepared) = self.prepared.get(&digest) {
            return Ok(prepared.clone());
        }
        let limits = CompileLimits { time: plugin.limits.compile_time.0, memory: plugin.limits.compile_memory.0 };
        let prepared = runtime.prepare(runtime.compile(checked, limits).await?)?;
        self.prepared.insert(digest, prepared.clone());
        Ok(prepared)
    }

    /// A plugin as one table of the configuration uses it.
    pub(super) fn plugin(
        &mut self,
        prepared: Prepared,
        plugin: &PluginUse,
        state: LateScope,
    ) -> Result<Plugin, AppError> {
        let setup = self.setup(plugin, state)?;
        Ok(Plugin::new(prepared, setup))
    }

    /// A plugin that builds, with the link table that its instances share.
    pub(super) fn builder(
        &mut self,
        prepared: Prepared,
        plugin: &PluginUse,
        state: LateScope,
        links: LinkTable,
    ) -> Result<Plugin, AppError> {
        let setup = Setup { links, ..self.setup(plugin, state)? };
        Ok(Plugin::new(prepared, setup))
    }

    /// Settings with secrets filled in and checked, and everything that is granted.
    pub(super) fn setup(&mut self, plugin: &PluginUse, state: LateScope) -> Result<Setup, AppError> {
        let metrics = self.metrics.clone();
        let manifest = self.check(&plugin.plugin)?.manifest().clone();
        let part = plugin.settings.part();
        let mut schema = Schema::new(&manifest.settings)
            .map_err(|source| AppError::Schema { plugin: manifest.name.clone(), source })?;
        let variable = |name: &str| std::env::var(name).ok();
        let mut written = plugin.settings.clone();
        written.take_types_from(&manifest.settings);
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        // A variable overrides what stands in the file as it is, but not a reference or a flag, which are meant as such.
        for described in schema.described() {
            if written.outranks_variable(&described.key) {
                continue;
            }
            match variables::of_setting(plugin, described).find(|name| is_set(name)) {
                Some(name) => written.set_env(&described.key, &name),
                None => {
                    if let Some(name) = variables::refused(plugin, described).filter(|name| is_set(name)) {
                        let key = &described.key;
                        let refused = format!(
                            "{part}: the plugin asks for the variable {name}, which it is not given; if it shall have it, write \
                             `{key} = {{ env = \"{name}\" }}`"
                        );
                        if !self.notes.contains(&refused) {
                            self.notes.push(refused);
                        }
                    }
                }
            }
        }
        schema.keep_variables(|setting| variables::refused(plugin, setting).is_none());
        let taken = written.variables();
        let mut settings = match written.resolve(variable)?.into_exposed() {
            Value::Object(settings) => settings,
            _ => serde_json::Map::new(),
        };
        schema.read_texts(&mut settings, taken.iter().map(|(key, _)| key.as_str()));
        self.variables.insert(part.to_owned(), taken);
        let secrets = take_secrets(&mut settings);
        for described in schema.described().iter().filter(|it| it.grant.as_deref().is_some_and(is_path)) {
            if let Some(Value::String(path)) = settings.get_mut(&described.key)
                // A text over several lines is what stands in a file, not its path.
                && !path.contains('\n')
                && Path::new(path.as_str()).is_relative()
            {
                *path = written.base().join(path.as_str()).to_string_lossy().into_owned();
            }
        }
        let wrong = |problems| AppError::Settings { part: part.to_owned(), problems };
        schema.fill_url_files(&mut settings, written.base()).map_err(|problem| wrong(vec![problem]))?;
        schema.check(&settings).map_err(wrong)?;
        let mut grants = Grants::none();
        schema.grant(&settings, &mut grants).map_err(|problem| wrong(vec![problem]))?;
        for address in &plugin.allow.network {
            grants
                .allow_network(address)
                .map_err(|source| AppError::Grant { part: format!("{part}, allow.network"), source })?;
        }
        for host in &plugin.allow.http {
            grants
                .allow_http(host)
                .map_err(|source| AppError::Grant { part: format!("{part}, allow.http"), source })?;
        }
        for path in &plugin.allow.filesystem.read {
            grants.allow_folder(path, Access::Read);
        }
        for path in &plugin.allow.filesystem.write {
            grants.allow_folder(path, Access::Write);
        }
        let limits =
            Limits { memory: plugin.limits.memory.0, call_timeout: plugin.limits.call_timeout.0, ..Limits::default() };
        Ok(Setup {
            name: plugin.instance.clone(),
            settings,
            secrets,
            grants,
            limits,
            state,
            links: LinkTable::default(),
            metrics,
            log_dedup: LogDedup::default(),
        })
    }
}

fn is_path(grant: &str) -> bool {
    grant.starts_with("filesystem")
}

/// `secrets.NAME`, which a plugin asks for by name instead of finding it among its settings.
fn take_secrets(settings: &mut serde_json::Map<String, Value>) -> std::collections::BTreeMap<String, String> {
    let Some(Value::Object(secrets)) = settings.remove("secrets") else { return Default::default() };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    secrets.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// The schemas as a builder wants them.
pub(super) fn requests(config: &crate::config::Config) -> Vec<crate::plugin::wasm::Request> {
    let request = |index: &crate::config::Index| crate::plugin::wasm::Request {
        name: index.name.clone(),
        schema: index.schema.as_ref().map(|schema| schema.text.clone()),
        origin: index.schema.as_ref().map(|schema| schema.path.display().to_string()),
    };
    config.indexes.iter().map(request).collect()
}
