//! `schema config` and `schema index`: the JSON Schemas of the files that people write.

use std::process::ExitCode;

use super::args::{Common, Schema};
use super::{Exit, failed, print, say};
use crate::app::AppError;
use crate::config::{KnownPlugin, PluginRef, json_schema};
use crate::plugin::locate::Places;
use crate::plugin::manifest::Manifest;

pub(super) fn schema(common: &Common, which: Schema) -> ExitCode {
    let places = Places::new(&common.plugin_dir);
    match which {
        Schema::Config => print(&format!("{:#}", json_schema(&plugins(&places)))),
        Schema::Index => match index(common, &places) {
            Ok(Some(schema)) => print(&format!("{schema:#}")),
            Ok(None) => say(
                Exit::Plugin,
                "none of the plugins in use or in the plugin folders reads schema files; name one that does with \
                 --plugin, or build one: `flusso-host plugin build plugins/pg`",
            ),
            Err(error) => failed(&error),
        },
    }
}

/// Those that are refused are named by `plugin list`.
fn plugins(places: &Places) -> Vec<KnownPlugin> {
    let mut known: Vec<KnownPlugin> = Vec::new();
    for (_, manifest) in places.list() {
        let Ok(Manifest { name, provides, settings, .. }) = manifest else { continue };
        if known.iter().all(|other| other.name != name) {
            known.push(KnownPlugin { name, provides, settings });
        }
    }
    known
}

/// Of the first plugin that reads schema files: named on the command line, in the file, or found in a folder.
fn index(common: &Common, places: &Places) -> Result<Option<serde_json::Value>, AppError> {
    for flag in &common.plugin {
        if let Some(schema) = Manifest::index_schema(&places.find(&flag.plugin)?.path)? {
            return Ok(Some(schema));
        }
    }
    // A file that is being written may well be wrong; what it names is asked if it can be read.
    let config = common.config().ok();
    for plugin in config.iter().flat_map(|config| config.builder.iter().chain(&config.source)) {
        let found = match &plugin.plugin {
            PluginRef::Path(path) => places.find(&path.to_string_lossy())?,
            PluginRef::Name(name) => places.find(name)?,
            PluginRef::Provides(kind) => places.find_type(kind)?,
        };
        if let Some(schema) = Manifest::index_schema(&found.path)? {
            return Ok(Some(schema));
        }
    }
    for (path, manifest) in places.list() {
        if manifest.is_ok()
            && let Some(schema) = Manifest::index_schema(&path)?
        {
            return Ok(Some(schema));
        }
    }
    Ok(None)
}
