//! `plugin build`: from a package's source to a component that this host will take.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use super::args::Common;
use super::{Exit, failed, print, say};
use crate::app;

/// The target of a component.
const TARGET: &str = "wasm32-wasip2";

pub(super) async fn build(common: &Common, dir: &Path, out: &Path) -> ExitCode {
    let component = match compile(dir) {
        Ok(component) => component,
        Err((exit, message)) => return say(exit, &message),
    };
    // It is what a host would take, or it is not put there.
    let manifest = match app::prove(&component, &common.folders()).await {
        Ok(manifest) => manifest,
        Err(error) => return failed(&error),
    };
    match place(&component, out, &manifest.name) {
        Ok(path) => print(&path.display().to_string()),
        Err(error) => say(Exit::Failed, &format!("the component cannot be put in {}: {error}", out.display())),
    }
}

/// Builds the package and says where its component is.
pub(super) fn compile(dir: &Path) -> Result<PathBuf, (Exit, String)> {
    let package = dir.join("Cargo.toml");
    if !package.is_file() {
        let message = format!("there is no {}; name the folder of a plugin's package", package.display());
        return Err((Exit::Usage, message));
    }
    add_target()?;
    let output = cargo()
        .args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(&package)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            (Exit::Failed, format!("cargo cannot be started: {error}; install Rust from https://rustup.rs"))
        })?;
    if !output.status.success() {
        return Err((Exit::Failed, format!("{} does not build; what cargo said stands above", dir.display())));
    }
    let wanted = std::fs::canonicalize(&package).unwrap_or(package);
    artifact(&String::from_utf8_lossy(&output.stdout), &wanted).ok_or_else(|| {
        let message = format!(
            "{} makes no component; its Cargo.toml wants `crate-type = [\"cdylib\"]` under [lib]",
            dir.display()
        );
        (Exit::Failed, message)
    })
}

/// The component among what cargo says it made for a package.
fn artifact(messages: &str, package: &Path) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.get("manifest_path").and_then(Value::as_str).map(Path::new) == Some(package))
        .flat_map(|message| message.get("filenames").and_then(Value::as_array).cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .find(|path| path.extension().is_some_and(|ending| ending == "wasm"))
}

fn add_target() -> Result<(), (Exit, String)> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    tracing::info!("adding the target {TARGET}");
    let added = Command::new("rustup").args(["target", "add", TARGET]).stdout(Stdio::null()).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => Err((Exit::Failed, format!("the target {TARGET} is missing; add it with: rustup target add {TARGET}"))),
    }
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Set when this program was started by `cargo run` or a test; they are about another package.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Puts it in place in one step, so that a host that starts meanwhile sees the old one or the new one.
fn place(component: &Path, out: &Path, name: &str) -> std::io::Result<PathBuf> {
    let path = match out.extension() {
        Some(ending) if ending == "wasm" => out.to_path_buf(),
        _ => out.join(format!("{name}.wasm")),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let half = path.with_extension("wasm.new");
    let mut file = std::fs::File::create(&half)?;
    file.write_all(&std::fs::read(component)?)?;
    file.sync_all()?;
    std::fs::rename(&half, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_of_the_package_is_found_among_those_of_others() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/a/Cargo.toml","filenames":["/t/liba.rlib"]}"#,
            "\n",
            "not json\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/b/Cargo.toml","filenames":["/t/libb.rlib","/t/b.wasm"]}"#,
            "\n",
        );
        assert_eq!(artifact(messages, Path::new("/b/Cargo.toml")), Some(PathBuf::from("/t/b.wasm")));
        assert_eq!(artifact(messages, Path::new("/a/Cargo.toml")), None);
    }
}
