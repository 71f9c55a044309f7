//! What `tests/fuzz` calls.

use std::path::Path;

use wasmtime::Engine;

use super::artifact::Digest;
use super::cache::Cache;

/// An entry of a compile cache in a folder of its own.
pub struct CacheEntry {
    cache: Cache,
    digest: Digest,
}

impl CacheEntry {
    /// Stores one in a folder.
    ///
    /// # Panics
    ///
    /// If there is no place for it.
    #[allow(clippy::expect_used, reason = "a fuzzer ends where it cannot begin")]
    pub fn new(folder: &Path) -> Self {
        let cache = Cache::open(folder, &Engine::default()).expect("a cache");
        let digest = Digest::of(b"component");
        cache.store(&digest, b"native code").expect("an entry");
        Self { cache, digest }
    }

    /// Puts other contents in its place, or changes what is there at the places that the bytes say.
    ///
    /// # Panics
    ///
    /// If something is loaded that was not stored.
    #[allow(clippy::expect_used, reason = "see above")]
    pub fn try_contents(&self, bytes: &[u8]) {
        let stored = std::fs::read(self.cache.path(&self.digest)).expect("an entry");
        let mut changed = stored.clone();
        for pair in bytes.chunks_exact(2) {
            let [place, with] = pair else { continue };
            let length = changed.len();
            changed.iter_mut().skip(usize::from(*place) % length).take(1).for_each(|byte| *byte ^= with);
        }
        for contents in [bytes, &changed] {
            std::fs::write(self.cache.path(&self.digest), contents).expect("a file");
            let loaded = self.cache.load(&self.digest).is_some();
            assert_eq!(loaded, contents == stored, "an entry that was not stored is loaded, or the stored one is not");
            std::fs::write(self.cache.path(&self.digest), &stored).expect("a file");
        }
    }
}
