//! Compiled plugins on disk, so that a second start compiles nothing. An entry is named by the digest of the component
//! and of everything about the engine that native code depends on, and begins with a code over these and its contents (HMAC-SHA256)
//! under a key that lies in the same folder. What does not fit is not there: the caller compiles again. Nothing here fails a start;
//! a cache that cannot be used is said once and done without.
//!
//! An entry is native code that runs with the host's rights, so whoever can make one is the host. The folder and the key belong to
//! this user alone, or they are not used: a folder that was open to others gets a new key, and nothing in it counts any more.

use std::fmt;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use super::artifact::Digest;

use crate::limits;

/// The length of the code that an entry begins with.
const CODE_BYTES: usize = 32;
/// The file with the key.
const KEY: &str = "key";
/// The ending of an entry.
const ENTRY: &str = "cwasm";

type Code = Hmac<Sha256>;

/// A folder of compiled plugins, open to this user only.
#[derive(Clone)]
pub(super) struct Cache {
    folder: PathBuf,
    engine: String,
    key: [u8; 32],
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("folder", &self.folder).field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// Native code that this host made: of an entry whose code matched, or compiled just now.
pub(super) struct OwnCode {
    bytes: Vec<u8>,
    /// Where it begins.
    from: usize,
}

impl OwnCode {
    /// What the compiler said.
    pub(super) fn compiled(bytes: Vec<u8>) -> Self {
        Self { bytes, from: 0 }
    }

    pub(super) fn code(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }
}

impl Cache {
    /// Opens a folder, creating it if need be, and shuts it to everybody else.
    pub(super) fn open(folder: &Path, engine: &Engine) -> std::io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let user = this_user(folder)?;
        let found = fs::metadata(folder)?;
        if found.uid() != user {
            return Err(std::io::Error::other("the folder belongs to another user; name one of your own"));
        }
        if found.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
            if fs::remove_file(folder.join(KEY)).is_ok() {
                let folder = folder.display();
                tracing::warn!(%folder, "the cache was open to other users; plugins are compiled again");
            }
        }
        let key = key(folder, user)?;
        let mut hasher = Hashed(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = hasher.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { folder: folder.to_path_buf(), engine, key })
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}-{}.{ENTRY}", self.engine))
    }

    /// The code over an entry: of this component, for this engine, with these contents.
    fn code(&self, digest: &Digest, contents: &[u8]) -> Code {
        // As long as a block, the rest zeros: what HMAC makes of a shorter key.
        let mut block = hmac::digest::Key::<Code>::default();
        block.iter_mut().zip(self.key).for_each(|(to, from)| *to = from);
        let mut code = Code::new(&block);
        code.update(&digest.0);
        code.update(self.engine.as_bytes());
        code.update(contents);
        code
    }

    /// Whether there is an entry, good or not.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// The entry of a component, if there is one that this user's host made for it.
    pub(super) fn load(&self, digest: &Digest) -> Option<OwnCode> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let (head, contents) = bytes.split_at_checked(CODE_BYTES)?;
        if self.code(digest, contents).verify_slice(head).is_err() {
            tracing::warn!(path = %path.display(), "a compiled plugin in the cache is damaged or not of this host; compiling it again");
            return None;
        }
        // Marks it as used; losing that is harmless.
        let _ = fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(OwnCode { bytes, from: CODE_BYTES })
    }

    /// Writes an entry to a temporary file and renames it, so that readers see all of it or nothing.
    pub(super) fn store(&self, digest: &Digest, code: &[u8]) -> std::io::Result<()> {
        let path = self.path(digest);
        let temporary = self.folder.join(format!("{digest}-{}.{}.tmp", self.engine, std::process::id()));
        let written = (|| {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&self.code(digest, code).finalize().into_bytes())?;
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
        let entries = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == ENTRY));
        let mut entries: Vec<_> =
            entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
        entries.sort_unstable_by(|a, b| b.cmp(a));
        for (_, path) in entries.iter().skip(limits::guest::CACHE_ENTRIES) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The user that files made now belong to.
fn this_user(folder: &Path) -> std::io::Result<u32> {
    let path = folder.join(format!("{}.tmp", std::process::id()));
    let made = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let user = made.metadata().map(|found| found.uid());
    fs::remove_file(&path)?;
    user
}

/// The key in a folder; a new one where there is none that only this user could have made and can read.
fn key(folder: &Path, user: u32) -> std::io::Result<[u8; 32]> {
    let path = folder.join(KEY);
    let own = |path: &Path| {
        let found = fs::symlink_metadata(path).ok()?;
        (found.is_file() && found.uid() == user && found.permissions().mode() & 0o077 == 0).then_some(())?;
        fs::read(path).ok()?.try_into().ok()
    };
    if let Some(key) = own(&path) {
        return Ok(key);
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
    let temporary = folder.join(format!("{KEY}.{}.tmp", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // Of two hosts that start together the first one's key counts, for both.
    let linked = fs::hard_link(&temporary, &path);
    fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => own(&path).ok_or_else(|| std::io::Error::other("the key in it is not this user's own")),
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
    fn what_others_planted_is_not_there() {
        let (_folder, cache) = cache();
        let open = || Cache::open(&cache.folder, &Engine::default()).unwrap_or_else(|error| panic!("{error}"));
        let (digest, other) = (Digest::of(b"component"), Digest::of(b"another"));
        // Forged without the key: with the digest of its contents, and with the code under a key of the forger's.
        let forger = Cache { key: [7; 32], ..cache.clone() };
        for head in [Digest::of(b"evil").0.to_vec(), forger.code(&digest, b"evil").finalize().into_bytes().to_vec()] {
            assert!(fs::write(cache.path(&digest), [head.as_slice(), b"evil"].concat()).is_ok());
            assert!(cache.load(&digest).is_none());
        }
        // Taken from another component.
        assert!(cache.store(&other, b"native code").is_ok() && open().load(&other).is_some());
        assert!(fs::copy(cache.path(&other), cache.path(&digest)).is_ok());
        assert!(cache.load(&digest).is_none());
        // Made while the folder, or the key, was open to others.
        assert!(fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o770)).is_ok());
        assert!(open().load(&other).is_none());
        assert!(open().store(&other, b"native code").is_ok() && open().load(&other).is_some());
        assert!(fs::set_permissions(cache.folder.join(KEY), fs::Permissions::from_mode(0o644)).is_ok());
        assert!(open().load(&other).is_none());
        // A key that is a link to what somebody else knows.
        assert!(open().store(&other, b"native code").is_ok());
        let known = cache.folder.join("known");
        assert!(fs::copy(cache.folder.join(KEY), &known).is_ok() && fs::remove_file(cache.folder.join(KEY)).is_ok());
        assert!(std::os::unix::fs::symlink(&known, cache.folder.join(KEY)).is_ok());
        assert!(open().load(&other).is_none());
    }

    #[test]
    fn the_key_outlives_the_pruning_of_entries() {
        let (_folder, cache) = cache();
        for number in 0..limits::guest::CACHE_ENTRIES + 3 {
            assert!(cache.store(&Digest::of(&number.to_be_bytes()), b"x").is_ok());
        }
        let again = Cache::open(&cache.folder, &Engine::default()).unwrap_or_else(|error| panic!("{error}"));
        assert!(again.key == cache.key);
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
