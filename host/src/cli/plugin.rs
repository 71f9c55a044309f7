//! `plugin list` and `plugin inspect`: what plugins say about themselves. Nothing is compiled.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{Common, Format};
use super::{Exit, failed, print, say};
use crate::app::{self, AppError, Reloads};
use crate::config::{ConfigError, Location, split_pin};
use crate::limits;
use crate::plugin::locate::{self, Places};
use crate::plugin::manifest::Manifest;
use crate::plugin::plain::plain;
use crate::plugin::settings::{Described, Schema};
use crate::plugin::supply::SupplyError;
use crate::plugin::wasm::{Checked, Digest};

pub(super) fn list(common: &Common, format: Format) -> ExitCode {
    let places = Places::new(&common.plugin_dir);
    let found = places.list();
    for (name, files) in places.ambiguous() {
        let files: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
        tracing::warn!(
            "several files are named `{name}`: {}; unless they are the same, say which by path or digest",
            files.join(", ")
        );
    }
    if format == Format::Json {
        let all = found.iter().map(|(path, manifest)| match manifest {
            Ok(manifest) => described(path, manifest),
            Err(refusal) => json!({ "path": path, "refused": refusal.to_string() }),
        });
        return print(&format!("{:#}", Value::Array(all.collect())));
    }
    let mut rows = vec![["NAME", "VERSION", "ROLES", "PROVIDES", "KIND", "FILE", ""].map(str::to_owned)];
    for (path, manifest) in &found {
        match manifest {
            Ok(manifest) => rows.push([
                shown(&manifest.name),
                shown(&manifest.version),
                roles(manifest),
                shown(&manifest.provides.join(", ")),
                kind(locate::is_library(path)).to_owned(),
                shown(&path.display().to_string()),
                shown(&manifest.description),
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
    let (checked, schema) = match looked {
        Ok(looked) => looked,
        Err(error) => return failed(&error),
    };
    let (path, manifest, digest) = (checked.path(), checked.manifest(), checked.digest());
    if format == Format::Json {
        let mut value = described(path, manifest);
        if let Some(object) = value.as_object_mut() {
            object.insert("sha256".to_owned(), json!(digest));
        }
        return print(&format!("{value:#}"));
    }
    let mut text = format!("{} {}", manifest.name, manifest.version);
    let mut say = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("\n{name:<13}{}", shown(value)));
        }
    };
    say("", &manifest.description);
    say("file", &path.display().to_string());
    say("sha256", &digest.to_string());
    say(
        "kind",
        if checked.is_native() {
            "native library: no sandbox holds it; runs with --allow-native or trusted = true"
        } else {
            "component"
        },
    );
    say("roles", &roles(manifest));
    say("type", &manifest.provides.join(", "));
    say("contract", &manifest.contract);
    say("may ask for", &manifest.capabilities.join(", "));
    let settings: Vec<_> = schema.described().iter().map(setting).collect();
    text.push_str(if settings.is_empty() { "\n\nIt has no settings." } else { "\n\nSettings:\n\n" });
    text.push_str(&settings.join("\n"));
    print(&text)
}

fn look(common: &Common, artifact: &str) -> Result<(Checked, Schema), AppError> {
    let place = Location::Flag("NAME_OR_PATH");
    let (artifact, pin) = split_pin(artifact).map_err(|message| ConfigError::wrong(place, message))?;
    let checked = Checked::read(Places::new(&common.plugin_dir).find(artifact)?)?;
    if let Some(pin) = pin.and_then(|pin| Digest::parse(&pin)).filter(|pin| pin != checked.digest()) {
        let (path, found) = (checked.path().to_path_buf(), checked.digest().clone());
        return Err(SupplyError::Pinned { path, found, wanted: format!("{artifact}@sha256:{pin}") }.into());
    }
    let manifest = checked.manifest();
    let schema =
        Schema::new(&manifest.settings).map_err(|source| AppError::Schema { plugin: manifest.name.clone(), source })?;
    Ok((checked, schema))
}

/// Writes the lock file, and says what is in it.
pub(super) fn lock(common: &Common) -> ExitCode {
    let locked = common.config().and_then(|config| crate::app::lock(&config, &common.folders()));
    match locked {
        Ok((path, locked)) => {
            let lines: Vec<_> = locked.iter().map(ToString::to_string).collect();
            print(&format!("{}\nwritten to {}", lines.join("\n"), path.display()))
        }
        Err(error) => failed(&error),
    }
}

/// Asks the host that is running to run a plugin as its file is now.
pub(super) async fn reload(common: &Common, name: &str) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    match app::reload(&config, &common.folders(), name).await {
        Ok(Reloads::Done(done)) => print(&done),
        Ok(Reloads::NotRunning(folder)) => say(
            Exit::Failed,
            &format!("no host is running on the state in {}; its next start reads the file", folder.display()),
        ),
        Ok(Reloads::Refused(reason)) => say(Exit::Failed, &reason),
        Ok(Reloads::Unknown(reason)) => say(Exit::Usage, &reason),
        Err(error) => failed(&error),
    }
}

fn described(path: &Path, manifest: &Manifest) -> Value {
    let mut value = serde_json::to_value(manifest).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("path".to_owned(), json!(path));
        object.insert("kind".to_owned(), json!(kind(locate::is_library(path))));
    }
    value
}

/// What a plugin's file is.
fn kind(is_native: bool) -> &'static str {
    if is_native { "native" } else { "component" }
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
    let notes: Vec<_> = notes.iter().map(|note| shown(note)).collect();
    let required = if described.required { ", required" } else { "" };
    format!("  {} ({}{required})\n      {}", shown(&described.key), described.kind, notes.join("; "))
}

/// What a plugin says, as a terminal may have it.
fn shown(text: &str) -> String {
    plain(text, limits::artifact::SHOWN_BYTES)
}

fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<_> =
            row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column))).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
