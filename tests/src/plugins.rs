//! Plugins that a test builds from their packages.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::given;

/// The plugin of the package in a folder of this repository, such as `tests/guests/tracked`: built once a process.
pub fn plugin(package: &str) -> String {
    variant(package, &[])
}

/// The same as a native library.
pub fn native(package: &str) -> String {
    built(package, &["--native"], std::env::consts::DLL_EXTENSION, &[])
}

/// The same, built with some variables that its source reads.
pub fn variant(package: &str, variables: &[(&str, &str)]) -> String {
    built(package, &[], "wasm", variables)
}

fn built(package: &str, words: &[&str], ending: &str, variables: &[(&str, &str)]) -> String {
    static BUILT: Mutex<Option<(tempfile::TempDir, HashMap<String, PathBuf>)>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || (tempfile::tempdir().unwrap_or_else(|error| panic!("{error}")), HashMap::new());
    let (folder, plugins) = built.get_or_insert_with(new);
    let name = format!("{package} {words:?} {variables:?}");
    if let Some(path) = plugins.get(&name) {
        return path.display().to_string();
    }
    let package_name = Path::new(package).file_name().unwrap_or_default();
    let path = folder.path().join(plugins.len().to_string()).join(package_name).with_extension(ending);
    // With the real environment: cargo and rustup find their folders by it.
    let ended = Command::new(given("FLUSSO_TEST_HOST"))
        .args(["plugin", "build"])
        .args(words)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package))
        .arg("-o")
        .arg(&path)
        .envs(variables.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(ended.status.success(), "{package}: {}", String::from_utf8_lossy(&ended.stderr));
    plugins.insert(name, path.clone());
    path.display().to_string()
}
