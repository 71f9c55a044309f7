//! Compiled plugins on disk, so that a second start compiles nothing. An entry is named by the digest of the component
//! and of everything about the engine that native code depends on, and begins with the digest of its own contents. What
//! does not fit is not there: the caller compiles again. Nothing here fails a start; a cache that cannot be used is said
//! once and done without.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use super::artifact::Digest;

use crate::limits;

/// A folder of compiled plugins, open to this user only.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: PathBuf,
    engine: String,
}

/// The contents of an entry whose digest matched.
pub(super) struct Verified(Vec<u8>);

impl Verified {
    pub(super) fn code(&self) -> &[u8] {
        self.0.get(Digest::LENGTH..).unwrap_or_default()
    }
}

impl Cache {
    /// Opens a folder, creating it if need be, and shuts it to everybody else.
    pub(super) fn open(folder: &Path, engine: &Engine) -> std::io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if fs::metadata(folder)?.permissions().mode() & 0o077 != 0 {
            // Fails unless this user owns the folder, so another user's folder is not used.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        let mut hasher = Hashed(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = hasher.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { folder: folder.to_path_buf(), engine })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}-{}.cwasm", self.engine))
    }

    /// Whether there is an entry, good or not.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// The entry of a component, if there is one and its digest matches.
    pub(super) fn load(&self, digest: &Digest) -> Option<Verified> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let (head, code) = bytes.split_at_checked(Digest::LENGTH)?;
        if Digest::of(code).0.as_slice() != head {
            tracing::warn!(path = %path.display(), "a compiled plugin in the cache is damaged; compiling it again");
            return None;
        }
        // Marks it as used; losing that is harmless.
        let _ = fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(Verified(bytes))
    }

    /// Writes an entry to a temporary file and renames it, so that readers see all of it or nothing.
    pub(super) fn store(&self, digest: &Digest, code: &[u8]) -> std::io::Result<()> {
        let path = self.path(digest);
        let temporary = self.folder.join(format!("{digest}-{}.{}.tmp", self.engine, std::process::id()));
        let written = (|| {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&Digest::of(code).0)?;
            file.write_all(code)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        self.prune();
        written
    }

    /// Removes an entry that wasmtime would not take.
    pub(super) fn remove(&self, digest: &Digest) {
        let _ = fs::remove_file(self.path(digest));
    }

    fn prune(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut entries: Vec<_> =
            entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
        entries.sort_unstable_by(|a, b| b.cmp(a));
        for (_, path) in entries.iter().skip(limits::guest::CACHE_ENTRIES) {
            let _ = fs::remove_file(path);
        }
    }
}

/// A hasher that keeps all of it.
struct Hashed(Sha256);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let cache = Cache::open(&folder.path().join("deep/er"), &Engine::default());
        (folder, cache.unwrap_or_else(|error| panic!("{error}")))
    }

    #[test]
    fn a_damaged_or_cut_entry_is_not_there() {
        let (_folder, cache) = cache();
        let digest = Digest::of(b"component");
        assert!(cache.load(&digest).is_none());
        assert!(cache.store(&digest, b"native code").is_ok());
        assert_eq!(cache.load(&digest).map(|entry| entry.code().to_vec()).as_deref(), Some(b"native code".as_slice()));
        let whole = fs::read(cache.path(&digest)).unwrap_or_default();
        for cut in 0..whole.len() {
            assert!(fs::write(cache.path(&digest), whole.get(..cut).unwrap_or_default()).is_ok());
            assert!(cache.load(&digest).is_none(), "cut at {cut}");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1);
            assert!(fs::write(cache.path(&digest), &changed).is_ok());
            assert!(cache.load(&digest).is_none(), "changed at {place}");
        }
    }

    #[test]
    fn the_folder_is_shut_to_others() {
        let (_folder, cache) = cache();
        assert!(fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o777)).is_ok());
        assert!(Cache::open(&cache.folder, &Engine::default()).is_ok());
        let mode = fs::metadata(&cache.folder).map(|data| data.permissions().mode() & 0o777).ok();
        assert_eq!(mode, Some(0o700));
    }

    #[test]
    fn another_engine_has_other_entries() {
        let (_folder, cache) = cache();
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).unwrap_or_else(|error| panic!("{error}"));
        let other = Cache::open(&cache.folder, &engine).unwrap_or_else(|error| panic!("{error}"));
        let digest = Digest::of(b"component");
        assert!(cache.store(&digest, b"x").is_ok());
        assert!(cache.has(&digest) && !other.has(&digest));
    }
}
