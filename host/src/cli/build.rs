//! `plugin new` and `plugin build`: a package to begin with, and from its source to a component that this host takes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::Common;
use super::{Exit, print, say};
use crate::plugin::build::{self, BuildError, Kind};
use crate::plugin::new_plugin::{self, NewPluginError};
use crate::plugin::wasm::{Runtime, default_cache};

/// Makes the folder of a new builder and says what to do next.
pub(super) fn new_builder(name: &str, sdk: Option<PathBuf>) -> ExitCode {
    let sdk = sdk.unwrap_or_else(new_plugin::own_sdk);
    match new_plugin::new_builder(Path::new(""), name, &sdk) {
        Ok(folder) => print(&format!(
            "{folder} is there. Next:\n\n  cd {folder}\n  cargo test\n  flusso-host plugin build .\n  flusso-host --plugin pg --plugin {name} --once",
            folder = folder.display()
        )),
        Err(error) => {
            let exit = if matches!(error, NewPluginError::Write { .. }) { Exit::Failed } else { Exit::Usage };
            say(exit, &error.to_string())
        }
    }
}

pub(super) async fn build(
    common: &Common,
    source: &Path,
    manifest: Option<&Path>,
    native: bool,
    out: &Path,
) -> ExitCode {
    let kind = if native { Kind::Native } else { Kind::Component };
    match built(common, source, manifest, kind, out).await {
        Ok(path) => print(&path.display().to_string()),
        Err(error) => say(exit(&error), &error.to_string()),
    }
}

/// Builds a plugin and says where it is.
pub(super) async fn built(
    common: &Common,
    source: &Path,
    manifest: Option<&Path>,
    kind: Kind,
    out: &Path,
) -> Result<PathBuf, BuildError> {
    let cache = common.cache_dir.clone().or_else(default_cache);
    let runtime = Runtime::new(cache.as_deref())?;
    let built = match source.extension().is_some_and(|ending| ending == "wasm") {
        true if kind == Kind::Native => return Err(BuildError::NativeOfComponent),
        true => build::adopt(&runtime, source, manifest, Some(out)).await?,
        false if manifest.is_some() => return Err(BuildError::ManifestOfPackage),
        false => build::build(&runtime, source, kind, Some(out)).await?,
    };
    Ok(built.path)
}

pub(super) fn exit(error: &BuildError) -> Exit {
    match error {
        BuildError::NoPackage { .. }
        | BuildError::NoManifest { .. }
        | BuildError::ManifestOfPackage
        | BuildError::NativeOfComponent => Exit::Usage,
        BuildError::Refused(_) | BuildError::Unfit(_) | BuildError::Contradicts(_) => Exit::Plugin,
        _ => Exit::Failed,
    }
}
