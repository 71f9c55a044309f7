//! `demo`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Common, Demo};
use super::{Exit, build, say, signal};
use crate::demo::{self, DemoError};
use crate::plugin::build::{Kind, OUT};
use crate::plugin::locate::Places;

/// The plugin that follows PostgreSQL.
const PLUGIN: &str = "pg";

pub(super) async fn demo(common: &Common, demo: Demo) -> ExitCode {
    let stop = match signal::listen() {
        Ok(stop) => stop,
        Err(error) => return say(Exit::Failed, &format!("signals cannot be heard: {error}")),
    };
    let plugin = match plugin(common).await {
        Ok(plugin) => plugin,
        Err((exit, message)) => return say(exit, &message),
    };
    let options = demo::Options {
        install: demo.install,
        plugin,
        cache: common.cache_dir.clone(),
        database_url: std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()),
    };
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
async fn plugin(common: &Common) -> Result<PathBuf, (Exit, String)> {
    if let Ok(found) = Places::new(&common.plugin_dir).find(PLUGIN) {
        return Ok(found.path);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(PLUGIN);
    if !source.is_dir() {
        let message = format!("the plugin `{PLUGIN}` is not in the plugin folders; name its folder with --plugin-dir");
        return Err((Exit::Plugin, message));
    }
    tracing::info!("building the plugin `{PLUGIN}`");
    build::built(common, &source, None, Kind::Component, Path::new(OUT))
        .await
        .map_err(|error| (build::exit(&error), error.to_string()))
}
