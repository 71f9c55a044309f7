//! The hash of a schema: the same for files that say the same, another as soon as documents or their mapping could differ.
//!
//! It is taken of the validated form, where defaults are filled in, not of the text: comments, formatting, the order of
//! keys in a map, and whether a default is written out change nothing. The order of lists does, that of `fields` too: it is
//! the order in the bytes of a document.

use crate::model::Schema;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Stands before what is hashed. A change of it rebuilds every index there is: only for a change of meaning.
const FORM: &str = "flusso-schema 1\n";

impl Schema {
    /// 16 hexadecimal digits. Says nothing about the renderer: a builder adds the version of its renderer.
    pub fn hash(&self) -> String {
        let mut text = String::from(FORM);
        // The model is made of enums, structs and texts, which always have a JSON form.
        canonical(&serde_json::to_value(self).unwrap_or_default(), &mut text);
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(8).fold(String::with_capacity(16), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    }
}

/// JSON with the keys of every object in order, whatever order the map type of the build keeps them in.
fn canonical(value: &Json, out: &mut String) {
    match value {
        Json::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (key, value) in members {
                let _ = write!(out, "{}:", Json::String(key.clone()));
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}
