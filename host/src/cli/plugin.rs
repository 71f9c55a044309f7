//! `plugin list` and `plugin inspect`: what plugins say about themselves. Nothing is compiled.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{Common, Format};
use super::{failed, print};
use crate::app::AppError;
use crate::plugin::locate::Places;
use crate::plugin::manifest::Manifest;
use crate::plugin::settings::{Described, Schema};

pub(super) fn list(common: &Common, format: Format) -> ExitCode {
    let places = Places::new(&common.plugin_dir);
    let found = places.list();
    for shadow in places.shadowed_names() {
        tracing::warn!("{shadow}");
    }
    if format == Format::Json {
        let all = found.iter().map(|(path, manifest)| match manifest {
            Ok(manifest) => described(path, manifest),
            Err(refusal) => json!({ "path": path, "refused": refusal.to_string() }),
        });
        return print(&format!("{:#}", Value::Array(all.collect())));
    }
    let mut rows = vec![["NAME", "VERSION", "ROLES", "PROVIDES", "FILE", ""].map(str::to_owned)];
    for (path, manifest) in &found {
        match manifest {
            Ok(manifest) => rows.push([
                manifest.name.clone(),
                manifest.version.clone(),
                roles(manifest),
                manifest.provides.join(", "),
                path.display().to_string(),
                manifest.description.clone(),
            ]),
            Err(refusal) => tracing::warn!("{refusal}"),
        }
    }
    if rows.len() == 1 {
        let folders: Vec<_> = places.folders().iter().map(|folder| folder.display().to_string()).collect();
        return print(&format!("no plugins in {}; build one with `flusso-host plugin build DIR`", folders.join(", ")));
    }
    print(&table(&rows))
}

pub(super) fn inspect(common: &Common, artifact: &str, format: Format) -> ExitCode {
    let looked = look(common, artifact);
    let (path, manifest, schema) = match looked {
        Ok(looked) => looked,
        Err(error) => return failed(&error),
    };
    if format == Format::Json {
        return print(&format!("{:#}", described(&path, &manifest)));
    }
    let mut text = format!("{} {}", manifest.name, manifest.version);
    let mut say = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("\n{name:<13}{value}"));
        }
    };
    say("", &manifest.description);
    say("file", &path.display().to_string());
    say("roles", &roles(&manifest));
    say("type", &manifest.provides.join(", "));
    say("contract", &manifest.contract);
    say("may ask for", &manifest.capabilities.join(", "));
    let settings: Vec<_> = schema.described().iter().map(setting).collect();
    text.push_str(if settings.is_empty() { "\n\nIt has no settings." } else { "\n\nSettings:\n\n" });
    text.push_str(&settings.join("\n"));
    print(&text)
}

fn look(common: &Common, artifact: &str) -> Result<(std::path::PathBuf, Manifest, Schema), AppError> {
    let found = Places::new(&common.plugin_dir).find(artifact)?;
    let manifest = Manifest::read(&found.path)?;
    let schema =
        Schema::new(&manifest.settings).map_err(|source| AppError::Schema { plugin: manifest.name.clone(), source })?;
    Ok((found.path, manifest, schema))
}

fn described(path: &Path, manifest: &Manifest) -> Value {
    let mut value = serde_json::to_value(manifest).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("path".to_owned(), json!(path));
    }
    value
}

fn roles(manifest: &Manifest) -> String {
    manifest.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `  slot (string, required)  the replication slot; default …; variable …; grants …`
fn setting(described: &Described) -> String {
    let mut notes = vec![described.description.clone()];
    notes.extend(described.default.as_ref().map(|default| format!("default {default}")));
    notes.extend(described.env.as_ref().map(|env| format!("variable {env}")));
    notes.extend(described.grant.as_ref().map(|grant| format!("filling it in grants {grant} to exactly that")));
    if described.secret {
        notes.push("never shown".to_owned());
    }
    notes.retain(|note| !note.is_empty());
    let required = if described.required { ", required" } else { "" };
    format!("  {} ({}{required})\n      {}", described.key, described.kind, notes.join("; "))
}

fn table(rows: &[[String; 6]]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &[String; 6]| {
        let cells: Vec<_> =
            row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column))).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
