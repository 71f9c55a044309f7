//! Reads what a plugin says about itself, without compiling or running it: the custom section `flusso:manifest` and the
//! names of the exported interfaces. Only headers and these two sections are read, so that listing many large plugins
//! takes milliseconds.
//!
//! Everything here is outside data: nothing is trusted before it is checked, and each refusal says what to do.

use std::fmt;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::native;
use super::sections::{self, Sections};

use crate::limits;

/// The contract that this host speaks.
pub const CONTRACT: &str = "0.2.0";

/// The custom section with the manifest.
pub(super) const MANIFEST_SECTION: &str = "flusso:manifest";
/// The custom section with the JSON Schema of schema files.
const INDEX_SCHEMA: &str = "flusso:index-schema";

/// What a plugin can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Follows a store: live changes and snapshot.
    Source,
    /// Reads rows for builders.
    Reader,
    /// Resolves changes to documents and builds them.
    Builder,
    /// Builds whole ranges of documents.
    RangeBuilder,
    /// Builds documents through reads that the host follows.
    TrackedBuilder,
    /// Writes documents somewhere.
    Sink,
}

impl Role {
    /// Every role.
    const ALL: [Self; 6] =
        [Self::Source, Self::Reader, Self::Builder, Self::RangeBuilder, Self::TrackedBuilder, Self::Sink];

    /// The interfaces that a plugin of this role exports.
    pub fn interfaces(self) -> &'static [&'static str] {
        match self {
            Self::Source => &["source", "snapshot"],
            Self::Reader => &["reader"],
            Self::Builder => &["builder"],
            Self::RangeBuilder => &["range-builder"],
            Self::TrackedBuilder => &["tracked-builder"],
            Self::Sink => &["sink"],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Reader => "reader",
            Self::Builder => "builder",
            Self::RangeBuilder => "range-builder",
            Self::TrackedBuilder => "tracked-builder",
            Self::Sink => "sink",
        })
    }
}

/// What a plugin says about itself. See `wit/plugin.wit`; keys that are not known here are left alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The plugin's name, unique among the plugins of a host.
    pub name: String,
    /// Its version, semantic.
    pub version: String,
    /// One line for `plugin list`.
    #[serde(default)]
    pub description: String,
    /// The version of the contract that it was built against.
    pub contract: String,
    /// What it can do.
    pub roles: Vec<Role>,
    /// Names that `type = "…"` may use for it.
    #[serde(default)]
    pub provides: Vec<String>,
    /// A JSON Schema of its settings.
    #[serde(default = "any_settings")]
    pub settings: serde_json::Value,
    /// What it may ask for beside the grants its settings imply.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

fn any_settings() -> serde_json::Value {
    serde_json::json!({ "type": "object" })
}

/// Why a file is not a plugin that this host can use.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither WebAssembly nor a library.
    #[error("{} is not WebAssembly nor a native library; a plugin is a component, as `flusso-host plugin build DIR` makes it", path.display())]
    NotWasm {
        /// Which file.
        path: PathBuf,
    },
    /// A native library for another machine.
    #[error("{} is a library for another machine ({found}); build it here with `flusso-host plugin build --native DIR`", path.display())]
    OtherMachine {
        /// Which file.
        path: PathBuf,
        /// For which.
        found: String,
    },
    /// A native library that says nothing about itself.
    #[error(
        "{} is a library without a section `flusso_manifest`, so it is no plugin; one written with the flusso-plugin crate has it, \
         and `plugins/abi/include/flusso_plugin.h` says how another gets it", path.display()
    )]
    NativeNoManifest {
        /// Which file.
        path: PathBuf,
    },
    /// A plain module.
    #[error("{} is a WebAssembly module, not a component; build it for wasm32-wasip2, as `flusso-host plugin build DIR` does", path.display())]
    CoreModule {
        /// Which file.
        path: PathBuf,
    },
    /// A component that says nothing about itself.
    #[error(
        "{} is a component without a `flusso:manifest` section, so it is no plugin yet; a plugin written with the \
         flusso-plugin crate has one, a component of another toolchain gets one by `flusso-host plugin build FILE.wasm --manifest \
         manifest.json`", path.display()
    )]
    NoManifest {
        /// Which file.
        path: PathBuf,
    },
    /// Something in the file is broken.
    #[error("{} is damaged: {reason}; build or download it again", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is broken.
        reason: String,
    },
    /// The manifest is there and wrong.
    #[error("the manifest of {} is wrong: {reason}; its author has to mend it", path.display())]
    BadManifest {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It was built for another contract.
    #[error(
        "{} ({name} {version}) was built against version {theirs} of the plugin contract and this host speaks {CONTRACT}; {}",
        path.display(), contract_remedy(theirs)
    )]
    Contract {
        /// Which file.
        path: PathBuf,
        /// The plugin's name.
        name: String,
        /// The plugin's version.
        version: String,
        /// The contract it wants.
        theirs: String,
    },
    /// A role is claimed and not there.
    #[error(
        "{} claims the role `{role}` and does not export `{interface}`{}; its author has to export it or drop the role",
        path.display(), found.as_ref().map(|found| format!(" (it exports `{found}`)")).unwrap_or_default()
    )]
    MissingExport {
        /// Which file.
        path: PathBuf,
        /// The role.
        role: Role,
        /// What it should export.
        interface: String,
        /// The same interface in another version, if it is there.
        found: Option<String>,
    },
}

fn contract_remedy(theirs: &str) -> &'static str {
    match (semver_parts(theirs), semver_parts(CONTRACT)) {
        (Some(theirs), Some(ours)) if theirs > ours => "use a newer flusso-host, or an older release of the plugin",
        _ => "build it again from its source with `flusso-host plugin build DIR`, or use a newer release of the plugin",
    }
}

/// Major and minor version.
fn semver_parts(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split(['-', '+']).next()?.split('.');
    let (major, minor, _patch) =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse::<u64>().ok()?);
    parts.next().is_none().then_some((major, minor))
}

fn refused(error: sections::Error, path: &Path) -> Refusal {
    let path = path.to_path_buf();
    match error {
        sections::Error::Io(source) => Refusal::Unreadable { path, source },
        sections::Error::NotWasm => Refusal::NotWasm { path },
        sections::Error::CoreModule => Refusal::CoreModule { path },
        sections::Error::Damaged(reason) => Refusal::Damaged { path, reason },
    }
}

impl Manifest {
    /// Reads and checks the manifest of a file.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let unreadable = |source| Refusal::Unreadable { path: path.to_path_buf(), source };
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut start = [0; 4];
        if file.read_exact(&mut start).is_ok() && native::is_library(&start) {
            return Self::of_library(path, &std::fs::read(path).map_err(unreadable)?);
        }
        file.rewind().map_err(unreadable)?;
        Self::read_from(path, std::io::BufReader::with_capacity(512, file), length)
    }

    /// The same over bytes that are already in memory.
    pub fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Refusal> {
        if native::is_library(bytes) {
            return Self::of_library(path, bytes);
        }
        Self::read_from(path, std::io::Cursor::new(bytes), u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    /// The JSON Schema of the schema files that a plugin's builder reads, if the plugin has one.
    pub fn index_schema(path: &Path) -> Result<Option<serde_json::Value>, Refusal> {
        let own = || path.to_path_buf();
        let unreadable = |source| Refusal::Unreadable { path: own(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let sections =
            sections::read(std::io::BufReader::new(file), length, INDEX_SCHEMA, limits::artifact::MANIFEST_BYTES)
                .map_err(|error| refused(error, path))?;
        let parsed = sections.custom.as_deref().map(serde_json::from_slice).transpose();
        parsed
            .map_err(|error| Refusal::Damaged { path: own(), reason: format!("its section `{INDEX_SCHEMA}`: {error}") })
    }

    fn read_from<R: Read + Seek>(path: &Path, input: R, length: u64) -> Result<Self, Refusal> {
        let own = || path.to_path_buf();
        let sections = sections::read(input, length, MANIFEST_SECTION, limits::artifact::MANIFEST_BYTES)
            .map_err(|error| refused(error, path))?;
        let text = sections.custom.as_deref().ok_or_else(|| Refusal::NoManifest { path: own() })?;
        let manifest: Self = serde_json::from_slice(text)
            .map_err(|error| Refusal::BadManifest { path: own(), reason: error.to_string() })?;
        manifest.check(path, &sections)?;
        Ok(manifest)
    }

    /// The manifest of a native library, which is not loaded for it. That its code exports what its roles want is seen when it is.
    fn of_library(path: &Path, bytes: &[u8]) -> Result<Self, Refusal> {
        let text = native::manifest(path, bytes)?;
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| Refusal::BadManifest { path: path.to_path_buf(), reason: error.to_string() })?;
        manifest.check_fields(path)?;
        Ok(manifest)
    }

    fn check(&self, path: &Path, sections: &Sections) -> Result<(), Refusal> {
        self.check_fields(path)?;
        let ours = semver_parts(CONTRACT);
        let wanted = self.roles.iter().flat_map(|role| role.interfaces().iter().map(move |name| (*role, *name)));
        for (role, name) in wanted {
            let interface = format!("flusso:connector/{name}@{CONTRACT}");
            if sections.exports.contains(&interface) {
                continue;
            }
            let start = format!("flusso:connector/{name}@");
            let found = sections.exports.iter().find(|export| export.starts_with(&start));
            // Another patch version of the contract is the same contract.
            if found.and_then(|found| semver_parts(found.strip_prefix(&start)?)) == ours {
                continue;
            }
            return Err(Refusal::MissingExport { path: path.to_path_buf(), role, interface, found: found.cloned() });
        }
        Ok(())
    }

    fn check_fields(&self, path: &Path) -> Result<(), Refusal> {
        let bad = |reason: &str| Refusal::BadManifest { path: path.to_path_buf(), reason: reason.to_owned() };
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if self.name.is_empty() || self.name.len() > 64 || !plain(&self.name) {
            return Err(bad("`name` is 1 to 64 letters, digits, `-` and `_`"));
        }
        if semver_parts(&self.version).is_none() {
            return Err(bad("`version` is not a semantic version such as 1.2.3"));
        }
        let (Some(theirs), ours) = (semver_parts(&self.contract), semver_parts(CONTRACT)) else {
            return Err(bad("`contract` is not a version such as 0.2.0"));
        };
        if Some(theirs) != ours {
            return Err(Refusal::Contract {
                path: path.to_path_buf(),
                name: self.name.clone(),
                version: self.version.clone(),
                theirs: self.contract.clone(),
            });
        }
        if self.roles.is_empty() {
            return Err(bad("`roles` is empty"));
        }
        Ok(())
    }

    /// A manifest to run a component with that has none yet, for nothing else than to ask it for its own: its roles are those
    /// whose interfaces it exports.
    pub(super) fn provisional(path: &Path, bytes: &[u8]) -> Result<String, Refusal> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let cursor = std::io::Cursor::new(bytes);
        let sections = sections::read(cursor, length, MANIFEST_SECTION, limits::artifact::MANIFEST_BYTES)
            .map_err(|error| refused(error, path))?;
        let ending = format!("@{CONTRACT}");
        let name = |export: &String| Some(export.strip_prefix("flusso:connector/")?.strip_suffix(&ending)?.to_owned());
        let interfaces: Vec<String> = sections.exports.iter().filter_map(name).collect();
        Self::provisional_of(path, &interfaces)
    }

    /// The same, of the interfaces themselves.
    pub(super) fn provisional_of(path: &Path, interfaces: &[String]) -> Result<String, Refusal> {
        let has = |role: &Role| role.interfaces().iter().all(|name| interfaces.iter().any(|has| has == name));
        let roles: Vec<Role> = Role::ALL.into_iter().filter(has).collect();
        if roles.is_empty() {
            return Err(Refusal::NoManifest { path: path.to_path_buf() });
        }
        let manifest =
            serde_json::json!({ "name": "unnamed", "version": "0.0.0", "contract": CONTRACT, "roles": roles });
        Ok(manifest.to_string())
    }

    /// Whether it has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::sections::tests::component;

    const GOOD: &str = r#"{"name":"x","version":"1.2.3","contract":"0.2.7","roles":["sink"],"later":1}"#;

    fn read(manifest: Option<&str>, exports: &[&str]) -> Result<Manifest, String> {
        let bytes = component(manifest, exports);
        Manifest::of_bytes(Path::new("x.wasm"), &bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_a_manifest_and_leaves_unknown_keys_alone() {
        let manifest = read(Some(GOOD), &["flusso:connector/sink@0.2.0"]);
        assert_eq!(manifest.map(|m| (m.name, m.version, m.roles)), Ok(("x".into(), "1.2.3".into(), vec![Role::Sink])));
    }

    #[test]
    fn refuses_with_a_remedy() {
        let of = |bytes: &[u8]| Manifest::of_bytes(Path::new("x.wasm"), bytes).map_err(|error| error.to_string());
        let has = |answer: Result<Manifest, String>, words: &str| match answer {
            Err(text) => assert!(text.contains(words), "{text}"),
            Ok(_) => panic!("taken: {words}"),
        };
        has(of(b"#!/bin/sh"), "is not WebAssembly");
        has(of(b""), "is not WebAssembly");
        has(of(b"\0asm\x01\0\0\0"), "is a WebAssembly module, not a component");
        has(read(None, &[]), "without a `flusso:manifest` section");
        has(read(Some("{"), &[]), "is wrong: EOF");
        has(read(Some(&GOOD.replace("0.2.7", "0.3.0")), &[]), "use a newer flusso-host");
        // As the plugins of the first contract are.
        let old = read(Some(&GOOD.replace("0.2.7", "0.1.0")), &["flusso:connector/sink@0.1.0"]);
        has(
            old,
            "built against version 0.1.0 of the plugin contract and this host speaks 0.2.0; build it again from its source with",
        );
        has(read(Some(&GOOD.replace("\"x\"", "\"../x\"")), &[]), "`name` is");
        has(read(Some(GOOD), &["flusso:connector/source@0.2.0"]), "does not export `flusso:connector/sink@0.2.0`");
        has(read(Some(GOOD), &["flusso:connector/sink@0.1.0"]), "it exports `flusso:connector/sink@0.1.0`");
    }

    #[test]
    fn a_cut_file_is_refused_at_every_length() {
        let bytes = component(Some(GOOD), &["flusso:connector/sink@0.2.0"]);
        for length in 0..bytes.len() {
            let cut = bytes.get(..length).unwrap_or_default();
            assert!(Manifest::of_bytes(Path::new("x.wasm"), cut).is_err(), "{length}");
        }
    }
}
