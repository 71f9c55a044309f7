//! A plugin's file: whatever it holds, it is a manifest or is refused with a reason, and the settings that a manifest describes
//! can be checked.
#![no_main]

use std::path::Path;

use flusso_host::plugin::capability::Grants;
use flusso_host::plugin::manifest::Manifest;
use flusso_host::plugin::settings::Schema;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// A component that is nothing but a custom section with the manifest.
fn component(manifest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let payload = [&[15], &b"flusso:manifest"[..], manifest].concat();
    bytes.push(0);
    let mut length = payload.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or(0));
    bytes.extend(payload);
    bytes
}

fn check_settings(settings: &Value, given: &Map<String, Value>) {
    let Ok(schema) = Schema::new(settings) else { return };
    let mut given = given.clone();
    let _ = schema.fill_url_files(&mut given, Path::new("/nowhere"));
    let _ = schema.check(&given).map_err(|problems| problems.iter().map(ToString::to_string).collect::<String>());
    let mut grants = Grants::none();
    let _ = schema.grant(&given, &mut grants);
    schema.secret_texts(&given).for_each(drop);
    let _ = schema.redacted(&given);
}

fuzz_target!(|bytes: &[u8]| {
    for file in [bytes.to_vec(), component(bytes)] {
        match Manifest::of_bytes(Path::new("x.wasm"), &file) {
            Ok(manifest) => {
                let defaults = manifest.settings.pointer("/properties").and_then(Value::as_object);
                let defaults = defaults.into_iter().flatten().filter_map(|(key, it)| Some((key.clone(), it.get("default")?.clone())));
                check_settings(&manifest.settings, &defaults.collect());
            }
            Err(refusal) => drop(refusal.to_string()),
        }
    }
    // The schema and the settings of a plugin alone: most manifests are refused before.
    if let Ok(Value::Array(both)) = serde_json::from_slice(bytes)
        && let [schema, Value::Object(given)] = both.as_slice()
    {
        check_settings(schema, given);
    }
});
