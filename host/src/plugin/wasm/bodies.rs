//! The bodies of documents, as builders return them: bytes that the host passes on, checked to be one JSON object. Nothing is
//! built of what is read.

use serde::de::{Deserialize as _, IgnoredAny};

use crate::model::{Failure, Outcome};

/// The class of a document whose body is something else.
const NOT_JSON: &str = "not-json";

/// The body, or the document's fault.
pub(super) fn checked(body: Vec<u8>) -> Outcome {
    match fault(&body) {
        None => Outcome::Built(body),
        Some((at, what)) => {
            let reason = format!("the builder returned a body that is not one JSON object: {what}, at byte {at}");
            Outcome::Failed(Failure { class: NOT_JSON.to_owned(), reason })
        }
    }
}

/// Where a body stops being one JSON object, counted from 0, and why.
fn fault(body: &[u8]) -> Option<(usize, String)> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => return Some((error.valid_up_to(), "invalid UTF-8".to_owned())),
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    if let Err(error) = IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end()) {
        let words = error.to_string();
        let what = words.split(" at line ").next().unwrap_or_default().to_owned();
        return Some((offset(body, &error), what));
    }
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(body.len());
    (body.get(start) != Some(&b'{')).then(|| (start, "a value that is no object".to_owned()))
}

/// The place of an error as a number of bytes; the parser counts lines, and bytes in a line.
fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    let lines = body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    (before + error.column().saturating_sub(1)).min(body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_json_object_and_a_fault_has_its_place() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(2_000), "]".repeat(2_000));
        for body in ["{}", " {\"a\":[1,{\"b\":null}]}\n", "{\"a\":1e400,\"a\":\"\\u00e9é\"}", deep.as_str()] {
            assert_eq!(checked(body.into()), Outcome::Built(body.into()), "{body:?}");
        }
        for (body, at) in [
            (&b""[..], 0),
            (b"null", 0),
            (b" [1]", 1),
            (b"{}{}", 2),
            (b"{\"a\":1,}", 7),
            (b"{\n\"a\":\n x}", 8),
            (b"{\"a\":nul}", 8),
            (b"{\"a\":\"\xff\"}", 6),
            (b"{\"a\":NaN}", 5),
            (b"\xef\xbb\xbf{}", 0),
        ] {
            match checked(body.to_vec()) {
                Outcome::Failed(Failure { class, reason }) => {
                    assert!(class == "not-json" && reason.ends_with(&format!(", at byte {at}")), "{body:?}: {reason}");
                }
                other => panic!("{body:?}: {other:?}"),
            }
        }
    }
}
