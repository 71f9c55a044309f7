//! A configuration file: it is read, or refused with a reason.
#![no_main]

use flusso_host::config::{Config, Overrides};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder");
}

fuzz_target!(|text: &str| {
    FOLDER.with(|folder| {
        let path = folder.path().join("flusso.toml");
        std::fs::write(&path, text).expect("a file in a temporary folder");
        match Config::load(Some(&path), Overrides::default(), |_| Some("value".to_owned())) {
            Ok(config) => drop(format!("{config:?}")),
            Err(error) => drop(error.to_string()),
        }
    });
});
