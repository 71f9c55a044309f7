//! From the plugins that a configuration names to plugins that can be opened: found, checked, compiled once each, their
//! settings filled in and checked, their grants counted together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Folders;
use super::error::AppError;
use super::{open_files, variables};
use crate::config::{Allow, PluginRef, PluginRoles, PluginUse};
use crate::mask;
use crate::plugin::capability::{Access, Grants};
use crate::plugin::links::LinkTable;
use crate::plugin::locate::{Found, LocateError, Places};
use crate::plugin::manifest::{Manifest, Role};
use crate::plugin::metrics::Metrics;
use crate::plugin::settings::Schema;
use crate::plugin::state::LateScope;
use crate::plugin::supply::{Lock, Locked, SupplyError};
use crate::plugin::wasm::{Checked, CompileLimits, Digest, Limits, LogDedup, Plugin, Prepared, Runtime, Setup};

/// The plugins of one run: each file is read, and each content compiled, once.
#[derive(Clone)]
pub(super) struct Plugins {
    places: Places,
    /// Whether every plugin may be a native library.
    allow_native: bool,
    checked: HashMap<String, Checked>,
    prepared: HashMap<String, Prepared>,
    metrics: Metrics,
    lock: Lock,
    /// The lock file is about to be written: what it says now is not looked at.
    locking: bool,
    /// What was found about settings.
    notes: Vec<Note>,
    /// How many of them were said.
    said: usize,
    /// The settings of each part of the configuration that were taken from variables, with these.
    variables: HashMap<String, Vec<(String, String)>>,
}

impl Plugins {
    pub(super) fn new(folders: &Folders, lock: Lock) -> Self {
        Self {
            places: Places::new(&folders.plugins),
            allow_native: folders.allow_native,
            lock,
            locking: false,
            checked: HashMap::new(),
            prepared: HashMap::new(),
            metrics: Metrics::default(),
            notes: Vec::new(),
            said: 0,
            variables: HashMap::new(),
        }
    }

    /// Finds a plugin and reads what it says about itself.
    pub(super) fn check(&mut self, plugin: &PluginUse) -> Result<&Checked, AppError> {
        let checked = self.checked.entry(key(plugin));
        if let std::collections::hash_map::Entry::Occupied(known) = checked {
            return Ok(known.into_mut());
        }
        let (name, files) = match &plugin.plugin {
            // A path is what the operator meant.
            PluginRef::Path(path) => (None, vec![self.places.find(&path.to_string_lossy())?.path]),
            PluginRef::Name(name) => match self.places.named(name) {
                files if files.is_empty() => (None, vec![self.places.find(name)?.path]),
                files => (Some(name.clone()), files),
            },
            PluginRef::Provides(kind) => {
                let found = self.places.find_type(kind)?.path;
                let name = Checked::read(Found { path: found })?.manifest().name.clone();
                (Some(name.clone()), self.places.named(&name))
            }
        };
        let pin = plugin.pin.as_deref().and_then(Digest::parse);
        let chosen = chosen(&plugin.plugin, pin.as_ref(), name.as_deref(), files, &self.lock)?;
        if !self.locking {
            self.lock.check(&chosen, name.as_deref())?;
        }
        if chosen.is_native() && !self.allow_native && !plugin.trusted {
            let part = plugin.settings.part().to_owned();
            return Err(SupplyError::Native { path: chosen.path().to_path_buf(), part }.into());
        }
        Ok(checked.or_insert(chosen))
    }

    /// What plugins count themselves.
    pub(super) fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// A plugin that was found and checked.
    pub(super) fn known(&self, plugin: &PluginUse) -> Option<&Checked> {
        self.checked.get(&key(plugin))
    }

    /// The same plugins, of which these are read again from their files, and held against this lock file.
    pub(super) fn reading_again(&self, plugins: &[PluginUse], lock: Lock) -> Self {
        let mut again = Self { lock, ..self.clone() };
        for plugin in plugins {
            again.checked.remove(&key(plugin));
        }
        // What an earlier file was compiled to goes with its last use.
        let used: Vec<String> = again.checked.values().map(|checked| checked.digest().to_string()).collect();
        again.prepared.retain(|digest, _| used.contains(digest));
        again
    }

    /// The same for writing the lock file.
    pub(super) fn locking(folders: &Folders, lock: Lock) -> Self {
        Self { locking: true, ..Self::new(folders, lock) }
    }

    /// The lock file, and what it would say of every plugin that was looked at.
    pub(super) fn locked(&self) -> (&Lock, Vec<Locked>) {
        (&self.lock, self.checked.values().map(Locked::of).collect())
    }

    /// What was found about settings that were filled in since this was asked last; each once.
    pub(super) fn notes(&mut self) -> Vec<Note> {
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
        let checked = self.check(plugin)?;
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
        match self.check(plugin)?.manifest().has(Role::TrackedBuilder) {
            true => Ok(()),
            false => self.require(plugin, Role::Builder, "builder"),
        }
    }

    /// Whether a plugin has a role.
    pub(super) fn require(&mut self, plugin: &PluginUse, role: Role, name: &'static str) -> Result<(), AppError> {
        let manifest = self.check(plugin)?.manifest();
        if manifest.has(role) {
            return Ok(());
        }
        let roles = manifest.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let part = plugin.settings.part().to_owned();
        Err(AppError::Role { part, plugin: manifest.name.clone(), role: name, roles })
    }

    /// Compiles and links a plugin, unless that was done already.
    pub(super) async fn prepare(&mut self, runtime: &Runtime, plugin: &PluginUse) -> Result<Prepared, AppError> {
        let checked = self.check(plugin)?.clone();
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
        let manifest = self.check(plugin)?.manifest().clone();
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
                        self.note("variable-refused", refused);
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
        secrets.values().for_each(|secret| mask::hide(secret));
        schema.secret_texts(&settings).for_each(mask::hide);
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
        self.allow(plugin, &manifest, &mut grants)?;
        let limits = Limits {
            memory: plugin.limits.memory.0,
            call_timeout: plugin.limits.call_timeout.0,
            handles: plugin.limits.handles.min(open_files::share()),
            ..Limits::default()
        };
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

    /// Adds what the operator wrote under `allow`, of that what the plugin asks for.
    fn allow(&mut self, plugin: &PluginUse, manifest: &Manifest, grants: &mut Grants) -> Result<(), AppError> {
        let Allow { network, http, filesystem } = &plugin.allow;
        let part = plugin.settings.part();
        let wrong = |key: &str| {
            let part = format!("{part}, {key}");
            move |source| AppError::Grant { part, source }
        };
        if !network.is_empty() && self.is_asked_for(part, "allow.network", manifest, &["network"]) {
            grants.because("`allow.network`");
            for address in network {
                grants.allow_network(address).map_err(wrong("allow.network"))?;
            }
        }
        // Who may connect may send requests.
        if !http.is_empty() && self.is_asked_for(part, "allow.http", manifest, &["http", "network"]) {
            grants.because("`allow.http`");
            for host in http {
                grants.allow_http(host).map_err(wrong("allow.http"))?;
            }
        }
        for (key, paths, access) in [
            ("allow.filesystem.read", &filesystem.read, Access::Read),
            ("allow.filesystem.write", &filesystem.write, Access::Write),
        ] {
            if !paths.is_empty() && self.is_asked_for(part, key, manifest, &["filesystem"]) {
                grants.because(format!("`{key}`"));
                paths.iter().for_each(|path| grants.allow_folder(path, access));
            }
        }
        Ok(())
    }

    /// Whether a manifest names one of these capabilities; where not, a key of `allow` that would grant it is noted.
    fn is_asked_for(&mut self, part: &str, key: &str, manifest: &Manifest, capabilities: &[&str]) -> bool {
        let is_asked_for = manifest.capabilities.iter().any(|asked| capabilities.contains(&asked.as_str()));
        if !is_asked_for {
            let (name, capability) = (&manifest.name, capabilities.first().copied().unwrap_or_default());
            let text = format!(
                "{part}: `{key}` grants what plugin {name:?} does not ask for, so it is not given: its manifest does not name the capability `{capability}`"
            );
            self.note("grant-not-asked-for", text);
        }
        is_asked_for
    }

    /// Keeps what was found, each once.
    fn note(&mut self, code: &'static str, text: String) {
        let note = Note { code, text };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// By what a plugin is found.
fn key(plugin: &PluginUse) -> String {
    format!("{:?} {:?}", plugin.plugin, plugin.pin)
}

/// Something that was found about the settings of a plugin.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// The word for `check`.
    pub(super) code: &'static str,
    /// A sentence.
    pub(super) text: String,
}

/// The one of several files of a name that is meant: by the digest that the operator wrote, else by the lock file. Without either,
/// all of them must be the same.
fn chosen(
    wanted: &PluginRef,
    pin: Option<&Digest>,
    name: Option<&str>,
    files: Vec<PathBuf>,
    lock: &Lock,
) -> Result<Checked, AppError> {
    let all: Vec<Checked> =
        files.iter().map(|path| Checked::read(Found { path: path.clone() })).collect::<Result<_, _>>()?;
    let locked = name.and_then(|name| lock.digest(name));
    let has = |digest: &Digest| all.iter().find(|one| one.digest() == digest);
    if let Some(pin) = pin {
        let pinned = |one: &Checked| SupplyError::Pinned {
            path: one.path().to_path_buf(),
            found: one.digest().clone(),
            wanted: format!("{wanted}@sha256:{pin}"),
        };
        return match (has(pin), all.first()) {
            (Some(one), _) => Ok(one.clone()),
            (None, Some(one)) => Err(pinned(one).into()),
            (None, None) => Err(LocateError::Several { name: wanted.to_string(), files }.into()),
        };
    }
    if let Some(one) = locked.and_then(has) {
        return Ok(one.clone());
    }
    let mut each = all.into_iter();
    match each.next() {
        Some(first) if each.all(|other| other.digest() == first.digest()) => Ok(first),
        _ => Err(LocateError::Several { name: name.map_or_else(|| wanted.to_string(), str::to_owned), files }.into()),
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
