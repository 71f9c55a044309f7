//! `check`: everything that can be said about a deployment without starting it.

use std::sync::Arc;
use std::time::Duration;

use super::plugins::Plugins;
use super::{AppError, Deployment, Folders, Reseed, RunOptions, options, state_folder};
use crate::config::{Config, PluginUse, Sink};
use crate::engine::Silent;
use crate::plugin::locate::Places;
use crate::plugin::state::LateScope;
use crate::plugin::wasm::Runtime;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It will work, but not as one might think.
    Warning,
    /// It will not work.
    Error,
}

/// Something that `check` found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What it is about.
    pub subject: String,
    /// What was found, and the remedy.
    pub message: String,
}

/// How long `check` waits for a database that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at everything: plugins, settings, grants, and with `online` also at what the source says. Changes nothing.
///
/// # Errors
///
/// When there is nothing to look at: the configuration gives no source, or a plugin cannot be found.
pub async fn check(config: Config, folders: &Folders, online: bool) -> Result<Vec<Finding>, AppError> {
    let mut findings = Vec::new();
    for note in &config.notes {
        findings.push(Finding { level: Level::Warning, subject: "configuration".to_owned(), message: note.clone() });
    }
    let mut plugins = Plugins::new(Places::new(&folders.plugins));
    let placed = config.place(|plugin| plugins.look(plugin))?;
    let runtime = Runtime::new(folders.cache.clone().or_else(crate::plugin::wasm::default_cache).as_deref())?;
    let sinks = placed.sinks.iter().filter_map(|sink| match sink {
        Sink::Plugin(plugin) => Some(plugin),
        Sink::Stdout { .. } => None,
    });
    let mut usable = true;
    for plugin in std::iter::once(&placed.source).chain(&placed.builder).chain(sinks) {
        let subject = format!("{} ({})", plugin.settings.part(), plugin.plugin);
        let finding = match look(&mut plugins, &runtime, plugin).await {
            Ok(message) => Finding { level: Level::Ok, subject, message },
            Err(error) => Finding { level: Level::Error, subject, message: error.to_string() },
        };
        usable &= finding.level == Level::Ok;
        findings.push(finding);
    }
    for sink in placed.sinks.iter().filter(|sink| matches!(sink, Sink::Stdout { .. })) {
        let message = "documents go to standard output, one line each".to_owned();
        findings.push(Finding { level: Level::Ok, subject: format!("sink {:?}", sink.name()), message });
    }
    if online && usable {
        match ask(&config, folders, &mut Deployment { plugins, runtime, placed, remembered: LateScope::default() })
            .await
        {
            Ok(said) => findings.extend(said),
            Err(error) => {
                let subject = "source".to_owned();
                findings.push(Finding { level: Level::Error, subject, message: error.to_string() });
            }
        }
    }
    Ok(findings)
}

/// Compiles and links a plugin, checks its settings, and says what it was granted.
async fn look(plugins: &mut Plugins, runtime: &Runtime, plugin: &PluginUse) -> Result<String, AppError> {
    let prepared = plugins.prepare(runtime, plugin).await?;
    let setup = plugins.setup(plugin, LateScope::default())?;
    let network = setup.grants.network().map(ToString::to_string);
    let folders = setup.grants.folders().map(|(path, access)| format!("{access} {}", path.display()));
    let granted: Vec<_> = network.chain(folders).collect();
    let granted = if granted.is_empty() { "nothing".to_owned() } else { granted.join(", ") };
    let manifest = prepared.manifest();
    Ok(format!("{} {}; granted: {granted}", manifest.name, manifest.version))
}

/// Opens builder and source, and asks what they find.
async fn ask(config: &Config, folders: &Folders, deployment: &mut Deployment) -> Result<Vec<Finding>, AppError> {
    let run = RunOptions {
        once: true,
        timeout: Some(PATIENCE),
        reseed: Reseed::Nothing,
        skip_backfill: true,
        drain: Duration::ZERO,
    };
    let connected = deployment.connect(config, Arc::new(Silent), options(config, run)).await?;
    let state = state_folder(config, folders, connected.identity())?;
    let mut findings = vec![Finding {
        level: Level::Ok,
        subject: "source".to_owned(),
        message: format!("{} answers; progress is remembered in {}", connected.identity(), state.display()),
    }];
    let description = connected.description();
    for scope in &description.scopes {
        let index = description.mappings.get(scope.index as usize);
        let table = description.interest.get(scope.root as usize);
        if let (Some(index), Some(table)) = (index, table) {
            findings.push(Finding {
                level: Level::Ok,
                subject: format!("index {:?}", index.index),
                message: format!("{} fields from {}, by {}", index.fields.len(), table.table, table.key.join(", ")),
            });
        }
    }
    if description.scopes.is_empty() {
        let message = "no table can be read as an index: the role sees none with a primary key".to_owned();
        findings.push(Finding { level: Level::Warning, subject: "indexes".to_owned(), message });
    }
    Ok(findings)
}
