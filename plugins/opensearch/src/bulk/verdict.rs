//! The answer to a bulk request, document by document.
//!
//! Of each document only its status is asked for, and of its error the words: the answer keeps one item a document, so that
//! its place says which one is meant, at about 26 bytes each. When nothing failed it is not even read.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::refusal::{Cause, Remedy};

/// What is asked for of the answer.
pub(crate) const FILTER: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.type,items.*.error.caused_by.reason";

/// What became of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is as it should be: written, deleted, not there in the first place, or already newer.
    Applied,
    /// The cluster was too busy for it.
    Busy(Cause),
    /// Its index is not there any more.
    Gone(Cause),
    /// We may not.
    Forbidden(u16, Cause),
    /// It will never be taken.
    Refused(Cause),
}

/// An answer that says nothing about what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(crate) String);

#[derive(Deserialize)]
struct Head {
    errors: bool,
    #[serde(default, rename = "items")]
    _items: IgnoredAny,
}

#[derive(Deserialize)]
struct Body {
    items: Vec<HashMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<Cause>,
}

/// What became of each of so many documents, in their order; none: all is well.
pub(crate) fn verdicts(body: &[u8], count: usize) -> Result<Option<Vec<Verdict>>, Nonsense> {
    let nonsense = |error: serde_json::Error| Nonsense(error.to_string());
    if !serde_json::from_slice::<Head>(body).map_err(nonsense)?.errors {
        return Ok(None);
    }
    let items = serde_json::from_slice::<Body>(body).map_err(nonsense)?.items;
    if items.len() != count {
        return Err(Nonsense(format!("{} documents were sent and {} answered", count, items.len())));
    }
    let verdicts = items.into_iter().map(|item| {
        let item = item.into_values().next().ok_or_else(|| Nonsense("a document has no answer".to_owned()))?;
        Ok(verdict(item.status, item.error))
    });
    verdicts.collect::<Result<_, _>>().map(Some)
}

fn verdict(status: u16, error: Option<Cause>) -> Verdict {
    let Some(cause) = error else {
        // Not found is what a deletion of nothing answers.
        return match status {
            200..300 | 404 | 409 => Verdict::Applied,
            _ => verdict(status, Some(Cause { kind: format!("status {status}"), ..Cause::default() })),
        };
    };
    if status == 409 {
        // A newer one is there, of a write whose answer was lost or that was sent beside this one.
        return Verdict::Applied;
    }
    match cause.remedy(status) {
        Remedy::Wait => Verdict::Busy(cause),
        Remedy::Gone => Verdict::Gone(cause),
        Remedy::Credentials => Verdict::Forbidden(status, cause),
        // With `require_alias` this is how a missing index shows.
        Remedy::None if status == 404 => Verdict::Gone(cause),
        Remedy::None => Verdict::Refused(cause),
    }
}

/// A short, stable word for a refusal.
pub(crate) fn class(cause: &Cause) -> String {
    match cause.kind.as_str() {
        "mapper_parsing_exception" | "document_parsing_exception" | "strict_dynamic_mapping_exception" => {
            "mapping".to_owned()
        }
        other => other.strip_suffix("_exception").unwrap_or(other).replace('_', "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_failed_says_so_in_one_word() {
        assert_eq!(verdicts(br#"{"errors":false,"items":[{"index":{"status":200}}]}"#, 1), Ok(None));
        assert_eq!(verdicts(br#"{"errors":false}"#, 3), Ok(None));
    }

    #[test]
    fn each_document_has_its_verdict_at_its_place() {
        let body = br#"{"errors":true,"items":[
            {"index":{"status":201}},
            {"delete":{"status":404}},
            {"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"r"}}},
            {"index":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"r"}}},
            {"index":{"status":503,"error":{"type":"unavailable_shards_exception","reason":"r"}}},
            {"index":{"status":403,"error":{"type":"cluster_block_exception","reason":"r"}}},
            {"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"r"}}},
            {"index":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [a]"}}},
            {"index":{"status":403,"error":{"type":"security_exception","reason":"r"}}}
        ]}"#;
        let found = verdicts(body, 9).ok().flatten().unwrap_or_default();
        let words: Vec<&str> = found
            .iter()
            .map(|one| match one {
                Verdict::Applied => "applied",
                Verdict::Busy(_) => "busy",
                Verdict::Gone(_) => "gone",
                Verdict::Forbidden(..) => "forbidden",
                Verdict::Refused(_) => "refused",
            })
            .collect();
        assert_eq!(words, ["applied", "applied", "applied", "busy", "busy", "busy", "refused", "gone", "forbidden"]);
    }

    #[test]
    fn an_answer_about_something_else_is_none() {
        for body in [
            r#"{"errors":true,"items":[{"index":{"status":200}}]}"#,
            "<html>",
            "{}",
            r#"{"errors":true,"items":[{},{}]}"#,
        ] {
            assert!(verdicts(body.as_bytes(), 2).is_err(), "{body}");
        }
    }

    #[test]
    fn refusals_are_counted_by_a_stable_word() {
        let class = |kind: &str| class(&Cause { kind: kind.to_owned(), ..Cause::default() });
        assert_eq!(
            (class("mapper_parsing_exception"), class("illegal_argument_exception")),
            ("mapping".into(), "illegal-argument".into())
        );
    }
}
