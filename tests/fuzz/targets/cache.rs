//! An entry of the compile cache: only what was stored is ever loaded, whatever is changed in its file.
#![no_main]

use flusso_host::plugin::wasm::fuzzing::CacheEntry;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static ENTRY: (tempfile::TempDir, CacheEntry) = {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let entry = CacheEntry::new(&folder.path().join("cache"));
        (folder, entry)
    };
}

fuzz_target!(|bytes: &[u8]| ENTRY.with(|(_, entry)| entry.try_contents(bytes)));
