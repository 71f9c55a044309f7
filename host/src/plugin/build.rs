//! `flusso-host plugin build`: from a folder with a cargo package, or from a component that another toolchain made and its
//! manifest, to a plugin that this host takes.
//!
//! Cargo does the building; here its prerequisites are seen to, the artifact is found, and what was built goes through the
//! same checks as at a start, so that what passes here runs there.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::manifest::{MANIFEST_SECTION, Manifest, Refusal};
use super::wasm::{Checked, CompileLimits, GuestError, Plugin, PrepareError, Runtime, Setup};
use super::{native, sections};

/// What components are built for.
pub const TARGET: &str = "wasm32-wasip2";
/// Where built plugins go unless the operator says otherwise.
pub const OUT: &str = "plugins-out";

/// Why there is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No package there.
    #[error("{} has no Cargo.toml; give the folder of a plugin's package, or a component that ends in .wasm", folder.display())]
    NoPackage {
        /// The folder.
        folder: PathBuf,
    },
    /// A program that is needed is not there.
    #[error("`{program}` cannot be run: {source}; install Rust from https://rustup.rs")]
    Missing {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The target is not installed and cannot be.
    #[error("the target {TARGET} is not installed and could not be added: {reason}; run `rustup target add {TARGET}`")]
    NoTarget {
        /// What rustup said, or that it is not there.
        reason: String,
    },
    /// The compiler said no; it has said why on standard error.
    #[error("the plugin in {} does not build{}", folder.display(), if *target_missing { "; run `rustup target add wasm32-wasip2`" } else { "" })]
    Failed {
        /// The folder.
        folder: PathBuf,
        /// Whether the standard library for the target was what is missing (E0463).
        target_missing: bool,
    },
    /// It built and made no component.
    #[error("the package in {} makes no component; its Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`", folder.display())]
    NoArtifact {
        /// The folder.
        folder: PathBuf,
    },
    /// It makes several.
    #[error("the package in {} makes several components ({}); one package is one plugin", folder.display(), found.join(", "))]
    Several {
        /// The folder.
        folder: PathBuf,
        /// Their files.
        found: Vec<String>,
    },
    /// The manifest beside a component cannot be read.
    #[error("the manifest {} cannot be read: {source}", path.display())]
    NoManifest {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A manifest was given for a package, which has its own.
    #[error(
        "a package has its manifest inside (`flusso_plugin::plugin!`); `--manifest` is for a component: give its .wasm"
    )]
    ManifestOfPackage,
    /// A component cannot become a native library.
    #[error("`--native` builds a library from the source of a package; give its folder")]
    NativeOfComponent,
    /// What was built is no plugin of this host.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It cannot be run.
    #[error("{0}")]
    Unfit(#[from] PrepareError),
    /// It contradicts itself.
    #[error("{0}")]
    Contradicts(#[from] GuestError),
    /// It cannot be put where it belongs.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A plugin that was built and found fit.
#[derive(Debug, Clone)]
pub struct Built {
    /// Where it was put.
    pub path: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
    /// How many bytes it has.
    pub size: usize,
}

/// Takes a component that another toolchain made (`componentize-py`, `jco`, TinyGo), adds its manifest as a custom section if
/// one is given, and puts it where [`build`] would, after the same checks.
pub async fn adopt(
    runtime: &Runtime,
    component: &Path,
    manifest: Option<&Path>,
    out: Option<&Path>,
) -> Result<Built, BuildError> {
    let unreadable = |source| Refusal::Unreadable { path: component.to_path_buf(), source };
    let mut bytes = std::fs::read(component).map_err(unreadable)?;
    if let Some(path) = manifest {
        let text = std::fs::read(path).map_err(|source| BuildError::NoManifest { path: path.to_path_buf(), source })?;
        bytes.extend(sections::custom_section(MANIFEST_SECTION, &text));
    }
    let checked = checked(runtime, component.to_path_buf(), bytes).await?;
    prove_and_write(runtime, checked, out).await
}

/// Checks a plugin. One without a manifest section is asked for its manifest, and gets the section.
async fn checked(runtime: &Runtime, path: PathBuf, bytes: Vec<u8>) -> Result<Checked, BuildError> {
    match Checked::of_bytes(path.clone(), bytes.clone()) {
        Err(Refusal::NoManifest { .. } | Refusal::NativeNoManifest { .. }) => {}
        answer => return Ok(answer?),
    }
    let is_native = native::is_library(&bytes);
    let with = |bytes: &[u8], manifest: &str| match is_native {
        true => [bytes, &native::trailer(manifest)].concat(),
        false => [bytes, &sections::custom_section(MANIFEST_SECTION, manifest.as_bytes())].concat(),
    };
    let provisional = match is_native {
        true => Manifest::provisional_of(
            &path,
            &native::Library::load(&path, &bytes).map_err(PrepareError::from)?.interfaces(),
        )?,
        false => Manifest::provisional(&path, &bytes)?,
    };
    let asked = with(&bytes, &provisional);
    let prepared =
        runtime.prepare(runtime.compile(Checked::of_bytes(path.clone(), asked)?, CompileLimits::default()).await?)?;
    let said = Plugin::new(prepared, Setup::bare("build")).manifest_text().await?;
    let bytes = with(&bytes, &said);
    Ok(Checked::of_bytes(path, bytes)?)
}

/// What a package becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A WebAssembly component.
    Component,
    /// A native library of this machine.
    Native,
}

impl Kind {
    /// How its file ends.
    fn ending(self) -> &'static str {
        match self {
            Self::Component => "wasm",
            Self::Native => native::ENDING,
        }
    }
}

/// Builds the package in `folder` and puts the plugin at `out` if that ends as such a file does, else into that folder (or [`OUT`]) by
/// the name in its manifest. The compiler's messages go to this process's standard error.
pub async fn build(runtime: &Runtime, folder: &Path, kind: Kind, out: Option<&Path>) -> Result<Built, BuildError> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(BuildError::NoPackage { folder: folder.to_path_buf() });
    }
    let building = folder.to_path_buf();
    let built = tokio::task::spawn_blocking(move || {
        if kind == Kind::Component {
            ensure_target(&building)?;
        }
        let path = compile(&building, kind)?;
        let bytes = std::fs::read(&path).map_err(|source| Refusal::Unreadable { path: path.clone(), source })?;
        Ok((path, bytes))
    });
    let failed = |_| BuildError::Failed { folder: folder.to_path_buf(), target_missing: false };
    let (path, bytes) = built.await.unwrap_or_else(|error| Err(failed(error)))?;
    let checked = checked(runtime, path, bytes).await?;
    prove_and_write(runtime, checked, out).await
}

async fn prove_and_write(runtime: &Runtime, checked: Checked, out: Option<&Path>) -> Result<Built, BuildError> {
    let ending = if checked.is_native() { native::ENDING } else { "wasm" };
    let (manifest, size, bytes) = (checked.manifest().clone(), checked.size(), checked.clone());
    // The same way as at a start: imports link, exports have the contract's types, both manifests say the same.
    let prepared = runtime.prepare(runtime.compile(checked, CompileLimits::default()).await?)?;
    Plugin::new(prepared, Setup::bare("build")).prove().await?;
    let path = match out.unwrap_or(Path::new(OUT)) {
        file if file.extension() == Some(OsStr::new(ending)) => file.to_path_buf(),
        folder => folder.join(format!("{}.{ending}", manifest.name)),
    };
    bytes.write(&path).map_err(|source| BuildError::Write { path: path.clone(), source })?;
    Ok(Built { path, manifest, size })
}

/// The standard library for the target, added if rustup can. A cargo without rustup is believed to have it.
fn ensure_target(folder: &Path) -> Result<(), BuildError> {
    let Ok(installed) = output("rustup", ["target", "list", "--installed"], folder) else { return Ok(()) };
    if installed.lines().any(|line| line.trim() == TARGET) {
        return Ok(());
    }
    tracing::info!("adding the target {TARGET}");
    output("rustup", ["target", "add", TARGET], folder).map(drop).map_err(|reason| BuildError::NoTarget { reason })
}

/// What a program printed, or why it did not end well.
fn output<const N: usize>(program: &str, arguments: [&str; N], folder: &Path) -> Result<String, String> {
    let ran = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
    }
}

/// Lets cargo build, and finds the component among what it made.
fn compile(folder: &Path, kind: Kind) -> Result<PathBuf, BuildError> {
    let target: &[&str] = match kind {
        Kind::Component => &["--target", TARGET],
        Kind::Native => &["--lib"],
    };
    let running = Command::new("cargo")
        .args(["build", "--release", "--message-format=json-render-diagnostics"])
        .args(target)
        // A guest is small and runs hot: worth a slower build (measured by the bench `boundary`: an eighth of the time).
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let ran = running.map_err(|source| BuildError::Missing { program: "cargo", source })?;
    let messages: Vec<serde_json::Value> =
        ran.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    if !ran.status.success() {
        let target_missing =
            messages.iter().any(|message| message.pointer("/message/code/code").is_some_and(|code| code == "E0463"));
        return Err(BuildError::Failed { folder: folder.to_path_buf(), target_missing });
    }
    let mut found = artifacts(&messages, folder, kind);
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        (None, _) => Err(BuildError::NoArtifact { folder: folder.to_path_buf() }),
        (Some(last), false) => {
            found.push(last);
            let found = found.iter().map(|path| path.display().to_string()).collect();
            Err(BuildError::Several { folder: folder.to_path_buf(), found })
        }
    }
}

/// The plugins that cargo's messages name for the package in this folder.
fn artifacts(messages: &[serde_json::Value], folder: &Path, kind: Kind) -> Vec<PathBuf> {
    let own = folder.join("Cargo.toml").canonicalize().ok();
    let of_package = |message: &&serde_json::Value| {
        let manifest = message.get("manifest_path").and_then(serde_json::Value::as_str).map(Path::new);
        message.get("reason").is_some_and(|reason| reason == "compiler-artifact")
            && manifest.and_then(|path| path.canonicalize().ok()) == own
    };
    let files = |message: &serde_json::Value| -> Vec<PathBuf> {
        let names = message.get("filenames").and_then(serde_json::Value::as_array).into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(PathBuf::from))
            .filter(|path| path.extension() == Some(OsStr::new(kind.ending())))
            .collect()
    };
    messages.iter().filter(of_package).flat_map(files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_component_is_found_among_what_cargo_made() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let manifest = folder.path().join("Cargo.toml");
        assert!(std::fs::write(&manifest, "").is_ok());
        let artifact = |path: &Path, files: &[&str]| json!({ "reason": "compiler-artifact", "manifest_path": path, "filenames": files });
        let messages = [
            artifact(Path::new("/elsewhere/Cargo.toml"), &["/t/other.wasm"]),
            artifact(&manifest, &["/t/libx.rlib", "/t/x.wasm"]),
            json!({ "reason": "build-finished", "success": true }),
        ];
        assert_eq!(artifacts(&messages, folder.path(), Kind::Component), [PathBuf::from("/t/x.wasm")]);
    }

    #[tokio::test]
    async fn a_folder_without_a_package_is_said() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let runtime = Runtime::new(None).unwrap_or_else(|error| panic!("{error}"));
        let answer = build(&runtime, folder.path(), Kind::Component, None).await;
        assert!(matches!(answer, Err(BuildError::NoPackage { .. })));
    }
}
