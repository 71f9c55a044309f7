//! `flusso-host plugin new`: a folder with a plugin that builds and tests as it stands.

use std::io;
use std::path::{Path, PathBuf};

/// The files of a builder's folder, with `{name}` and `{sdk}` where the name and the folder of the SDK belong.
const BUILDER: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("builder/Cargo.toml.template")),
    ("README.md", include_str!("builder/README.md.template")),
    ("tables.sql", include_str!("builder/tables.sql.template")),
    ("src/lib.rs", include_str!("builder/lib.rs.template")),
    ("src/tests.rs", include_str!("builder/tests.rs.template")),
    (".gitignore", "/target\n/plugins-out\n"),
];

/// Names that cargo gives another meaning.
const RESERVED: &[&str] = &["test", "core", "std", "alloc", "proc_macro", "build", "deps", "examples", "incremental"];

/// Why there is no new plugin.
#[derive(Debug, thiserror::Error)]
pub enum NewPluginError {
    /// The name cannot be that of a package and of a plugin.
    #[error(
        "{0:?} cannot be a plugin's name; it begins with a small letter, then small letters, digits and hyphens, such as my-orders"
    )]
    Name(String),
    /// Something is there already.
    #[error("{} exists already; give another name, or remove it", .0.display())]
    Exists(PathBuf),
    /// The SDK is not where it is looked for.
    #[error("there is no crate flusso-plugin in {}; give its folder in a checkout of flusso-host: --sdk CHECKOUT/plugins/sdk", .0.display())]
    NoSdk(PathBuf),
    /// A file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where the SDK was when this program was built.
pub fn own_sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/sdk")
}

/// Writes the folder `parent/name`, whose package finds the SDK at `sdk`. Returns the folder.
///
/// # Errors
///
/// A name that is none, something at that place, no SDK there, or what the system says. Nothing that existed is changed.
pub fn new_builder(parent: &Path, name: &str, sdk: &Path) -> Result<PathBuf, NewPluginError> {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if !begins || !name.chars().all(letters) || name.ends_with('-') || name.len() > 60 || RESERVED.contains(&name) {
        return Err(NewPluginError::Name(name.to_owned()));
    }
    let sdk = match sdk.canonicalize() {
        Ok(found) if found.join("Cargo.toml").is_file() => found,
        _ => return Err(NewPluginError::NoSdk(sdk.to_path_buf())),
    };
    let folder = parent.join(name);
    if folder.symlink_metadata().is_ok() {
        return Err(NewPluginError::Exists(folder));
    }
    for (file, template) in BUILDER {
        let path = folder.join(file);
        let text = template.replace("{name}", name).replace("{sdk}", &sdk.display().to_string());
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|source| NewPluginError::Write { path, source })?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_new_plugin_is_refused_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "My", "1st", "a_b", "a.b", "../x", "x/y", "x-", "test", "ö", &"x".repeat(61)] {
            let refused = new_builder(folder.path(), name, &own_sdk());
            assert!(matches!(refused, Err(NewPluginError::Name(_))), "{name}: {refused:?}");
        }
        let refused = new_builder(folder.path(), "fine", Path::new("/nowhere"));
        assert!(matches!(refused, Err(NewPluginError::NoSdk(_))), "{refused:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let made = new_builder(folder.path(), "fine", &own_sdk()).unwrap();
        let refused = new_builder(folder.path(), "fine", &own_sdk());
        assert!(matches!(refused, Err(NewPluginError::Exists(_))), "{refused:?}");
        for (file, _) in BUILDER {
            let text = std::fs::read_to_string(made.join(file)).unwrap();
            assert!(!text.contains("{name}") && !text.contains("{sdk}"), "{file}");
        }
    }
}
