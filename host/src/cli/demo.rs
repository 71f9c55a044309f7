//! `demo`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Common, Demo};
use super::{Exit, build, say, signal};
use crate::demo::{self, DemoError};
use crate::plugin::build::{Kind, OUT};
use crate::plugin::locate::Places;

pub(super) async fn demo(common: &Common, wanted: Demo) -> ExitCode {
    let stop = match signal::listen() {
        Ok(stop) => stop,
        Err(error) => return say(Exit::Failed, &format!("signals cannot be heard: {error}")),
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if wanted.opensearch && variable("OPENSEARCH_URL").is_none() {
        return say(Exit::Usage, "--opensearch needs a cluster: set OPENSEARCH_URL, such as http://127.0.0.1:9200");
    }
    let database = wanted.postgres.then(|| demo::Database { install: wanted.install, url: variable("DATABASE_URL") });
    let mut plugins = Vec::new();
    for (name, is_native) in demo::Options::wanted(database.is_some(), wanted.opensearch) {
        match plugin(common, name, is_native).await {
            Ok(path) => plugins.push((name, path)),
            Err((exit, message)) => return say(exit, &message),
        }
    }
    let options = demo::Options { database, opensearch: wanted.opensearch, plugins, cache: common.cache_dir.clone() };
    let shown = tokio::task::spawn_blocking(move || demo::run(&options, &|| *stop.borrow())).await;
    match shown {
        Ok(Ok(())) => Exit::Done.into(),
        Ok(Err(DemoError::Stopped)) => {
            tracing::info!("stopped; everything the demo made is gone");
            Exit::Done.into()
        }
        Ok(Err(error @ (DemoError::NotInstalled { .. } | DemoError::NoPackageManager))) => {
            say(Exit::Usage, &error.to_string())
        }
        Ok(Err(error)) => say(Exit::Failed, &error.to_string()),
        Err(error) => say(Exit::Failed, &format!("the demo ended early: {error}")),
    }
}

/// The plugin as it is found, or built from the source that this program was built from.
async fn plugin(common: &Common, name: &str, is_native: bool) -> Result<PathBuf, (Exit, String)> {
    if let Ok(found) = Places::new(&common.plugin_dir).find(name) {
        return Ok(found.path);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(name);
    if !source.is_dir() {
        let message = format!("the plugin `{name}` is not in the plugin folders; name its folder with --plugin-dir");
        return Err((Exit::Plugin, message));
    }
    tracing::info!("building the plugin `{name}`");
    let kind = if is_native { Kind::Native } else { Kind::Component };
    build::built(common, &source, None, kind, Path::new(OUT))
        .await
        .map_err(|error| (build::exit(&error), error.to_string()))
}
