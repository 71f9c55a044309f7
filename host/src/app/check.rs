//! `check`: everything that can be said about a deployment without starting it.

use std::sync::Arc;

use super::deployment::{Deployment, opened_builder};
use super::plugins::{Plugins, requests};
use super::{AppError, Folders, RunOptions, options, state_folder};
use crate::config::{Config, PluginUse, Sink};
use crate::engine::{EngineError, Silent, StageError};
use crate::limits;
use crate::model::Mapping;
use crate::plugin::finding::{Finding, Level, UNREACHABLE};
use crate::plugin::links::LinkTable;
use crate::plugin::manifest::Role;
use crate::plugin::state::LateScope;
use crate::plugin::supply::Lock;
use crate::plugin::wasm::{Plugin, Runtime, TrackedBuilder, examine, examine_sink};

/// Looks at everything: plugins, settings, grants, and what the plugins find; with `online` also at the source, as a start
/// would find it. Changes nothing.
///
/// # Errors
///
/// When there is nothing to look at: the configuration gives no source, or a plugin cannot be found.
pub async fn check(config: Config, folders: &Folders, online: bool) -> Result<Vec<Finding>, AppError> {
    let mut findings = Vec::new();
    for note in &config.notes {
        findings.push(Finding::new(Level::Warning, "configuration", "configuration", note));
    }
    let lock = Lock::read(config.path.as_deref(), folders.locked)?;
    let mut plugins = Plugins::new(folders, lock);
    let assigned = config.assign_roles(|plugin| plugins.look(plugin))?;
    let runtime = Runtime::new(folders.cache.clone().or_else(crate::plugin::wasm::default_cache).as_deref())?;
    let sinks = assigned.sinks.iter().filter_map(|sink| match sink {
        Sink::Plugin(plugin) => Some(plugin),
        Sink::Stdout { .. } => None,
    });
    let mut usable = true;
    for plugin in std::iter::once(&assigned.source).chain(&assigned.builder).chain(sinks) {
        let subject = format!("{} ({})", plugin.settings.part(), plugin.plugin);
        let finding = match look(&mut plugins, &runtime, plugin).await {
            Ok(message) => Finding::new(Level::Ok, "plugin", subject, message),
            Err(error) => Finding::new(Level::Error, "plugin", subject, error.to_string()),
        };
        usable &= finding.level == Level::Ok;
        findings.push(finding);
    }
    for sink in assigned.sinks.iter().filter(|sink| matches!(sink, Sink::Stdout { .. })) {
        let message = "documents go to standard output, one line each";
        findings.push(Finding::new(Level::Ok, "standard-output", format!("sink {:?}", sink.name()), message));
    }
    for note in plugins.notes() {
        findings.push(Finding::new(Level::Warning, note.code, "plugins", note.text));
    }
    if !usable {
        return Ok(findings);
    }
    let (remembered, links) = (LateScope::default(), LinkTable::default());
    let mut deployment = Deployment { plugins, runtime: Arc::new(runtime), assigned, remembered, links };
    findings.extend(diagnose(&config, &mut deployment, online).await?);
    if !online {
        return Ok(findings);
    }
    // What a start would stumble over was said by the plugins, and more of it than a start would say.
    let mut mappings = Vec::new();
    if findings.iter().all(|finding| finding.level != Level::Error) {
        match ask(&config, folders, &mut deployment).await {
            Ok((said, offered)) => {
                findings.extend(said);
                mappings = offered;
            }
            Err(error) => {
                let away = matches!(&error, AppError::Engine(EngineError::Unreachable { .. }));
                let code = if away { UNREACHABLE } else { "not-opened" };
                findings.push(Finding::new(Level::Error, code, "source", error.to_string()));
            }
        }
    }
    for sink in deployment.assigned.sinks.clone() {
        let Sink::Plugin(used) = &sink else { continue };
        let sink = plugin(&mut deployment, used).await?;
        findings.extend(found(examine_sink(&sink, &mappings).await, used.settings.part()));
    }
    Ok(findings)
}

/// What the plugins find that can look for themselves.
async fn diagnose(config: &Config, deployment: &mut Deployment, online: bool) -> Result<Vec<Finding>, AppError> {
    let source = plugin(deployment, &deployment.assigned.source.clone()).await?;
    let Some(builder) = deployment.assigned.builder.clone() else {
        return Ok(found(examine(&source, Some(requests(config)), &[], online).await, "source"));
    };
    let builder = plugin(deployment, &builder).await?;
    let mut findings = found(examine(&builder, Some(requests(config)), &[], online).await, "builder");
    if online && builder.manifest().has(Role::TrackedBuilder) {
        // What keeps it from being opened is said below.
        findings.extend(
            TrackedBuilder::new(builder.clone(), source.clone(), requests(config), 1).wakes().await.unwrap_or_default(),
        );
    }
    let building = opened_builder(builder, source.clone(), config, 1);
    let tables = match online {
        true => building.describe().await.map(|description| description.interest),
        false => Ok(Vec::new()),
    };
    match tables {
        Ok(tables) => findings.extend(found(examine(&source, None, &tables, online).await, "source")),
        Err(error) => findings.extend(found(Err(error), "builder")),
    }
    Ok(findings)
}

async fn plugin(deployment: &mut Deployment, plugin: &PluginUse) -> Result<Plugin, AppError> {
    let prepared = deployment.plugins.prepare(&deployment.runtime, plugin).await?;
    deployment.plugins.plugin(prepared, plugin, LateScope::default())
}

fn found(examined: Result<Option<Vec<Finding>>, StageError>, subject: &str) -> Vec<Finding> {
    match examined {
        Ok(findings) => findings.unwrap_or_default(),
        Err(error) => {
            let code = if matches!(error, StageError::Transient { .. }) { UNREACHABLE } else { "not-opened" };
            vec![Finding::new(Level::Error, code, subject, error.to_string())]
        }
    }
}

/// Compiles and links a plugin, checks its settings, and says what it was granted.
async fn look(plugins: &mut Plugins, runtime: &Runtime, plugin: &PluginUse) -> Result<String, AppError> {
    let prepared = plugins.prepare(runtime, plugin).await?;
    let setup = plugins.setup(plugin, LateScope::default())?;
    let granted: Vec<_> = setup.grants.reasons().map(|(granted, wrote)| format!("{granted} (by {wrote})")).collect();
    let granted = if granted.is_empty() { "nothing".to_owned() } else { granted.join(", ") };
    let manifest = prepared.manifest();
    let asks = if manifest.capabilities.is_empty() {
        String::new()
    } else {
        format!("; asks for: {}", manifest.capabilities.join(", "))
    };
    let variables = plugins.variables(plugin.settings.part());
    let variables: Vec<_> = variables.iter().map(|(setting, variable)| format!("{setting} from {variable}")).collect();
    let variables = if variables.is_empty() { String::new() } else { format!("; variables: {}", variables.join(", ")) };
    let kind = if prepared.is_native() { " (native: no sandbox holds it)" } else { "" };
    Ok(format!("{} {}{kind}; granted: {granted}{asks}{variables}", manifest.name, manifest.version))
}

/// Opens builder and source, and asks what they find. Also the mappings, as the sinks get them.
async fn ask(
    config: &Config,
    folders: &Folders,
    deployment: &mut Deployment,
) -> Result<(Vec<Finding>, Vec<Mapping>), AppError> {
    let options = options(config, RunOptions::looking(Some(limits::program::CHECK_TIMEOUT)));
    let connected = deployment.connect(config, Arc::new(Silent), options.clone()).await?;
    let state = state_folder(config, folders, connected.identity())?;
    let answers = format!("{} answers; progress is remembered in {}", connected.identity(), state.display());
    let mut findings = vec![Finding::new(Level::Ok, "source", "source", answers)];
    let description = connected.description();
    for scope in &description.scopes {
        let index = description.mappings.get(scope.index as usize);
        let table = description.interest.get(scope.root as usize);
        if let (Some(index), Some(table)) = (index, table) {
            let message = format!("{} fields from {}, by {}", index.fields.len(), table.table, table.key.join(", "));
            findings.push(Finding::new(Level::Ok, "documents", format!("index {}", index.index), message));
        }
    }
    if description.scopes.is_empty() {
        let message = "no table can be read as an index: the role sees none with a primary key";
        findings.push(Finding::new(Level::Warning, "no-index", "indexes", message));
    }
    let mappings = description.mappings.iter().map(|mapping| options.at_sinks(mapping)).collect();
    Ok((findings, mappings))
}
