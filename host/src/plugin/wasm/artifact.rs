//! A plugin that was read and found to be one, not yet compiled.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::plugin::locate::Found;
use crate::plugin::manifest::{Manifest, Refusal};
use crate::plugin::native;

/// The SHA-256 of a plugin's bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest(pub(super) [u8; Self::LENGTH]);

impl Digest {
    /// Its length in bytes.
    pub const LENGTH: usize = 32;

    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits, in lower or upper case.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH];
        if hex.len() != 2 * Self::LENGTH || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a digest has 64 hexadecimal digits"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A plugin's bytes with its checked manifest.
#[derive(Clone)]
pub struct Checked {
    path: PathBuf,
    bytes: Arc<[u8]>,
    manifest: Manifest,
    digest: Digest,
}

impl Checked {
    /// Reads the whole file once, so that what was checked is what is compiled.
    pub fn read(found: Found) -> Result<Self, Refusal> {
        let Found { path } = found;
        let unreadable = |source| Refusal::Unreadable { path: path.clone(), source };
        // A pipe would be waited for.
        if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
            return Err(unreadable(std::io::Error::other("it is no file")));
        }
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        Self::of_bytes(path, bytes)
    }

    /// Checks bytes that stand, or will stand, at `path`.
    pub(in crate::plugin) fn of_bytes(path: PathBuf, bytes: Vec<u8>) -> Result<Self, Refusal> {
        let manifest = Manifest::of_bytes(&path, &bytes)?;
        let digest = Digest::of(&bytes);
        Ok(Self { path, bytes: bytes.into(), manifest, digest })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the bytes that were checked to a temporary file and renames it; folders are made as needed.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, &self.bytes)?;
        std::fs::rename(&temporary, path)
    }

    /// Whether it is a native library, which no sandbox holds.
    pub fn is_native(&self) -> bool {
        native::is_library(&self.bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is still needed once it is compiled.
    pub(super) fn into_parts(self) -> (Manifest, Digest) {
        (self.manifest, self.digest)
    }

    /// Name and version, for messages.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.manifest.name, self.manifest.version)
    }
}
