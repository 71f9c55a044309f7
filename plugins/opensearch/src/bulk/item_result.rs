//! The response to a bulk request, document by document.
//!
//! Of each document only its status is requested, and type and reason of its error: the response has one item a document, in
//! order, at about 26 bytes each. Where nothing failed the items are not read.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cluster_error::{Cause, Remedy};

/// The part of the response that is requested.
pub(crate) const FILTER: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.type,items.*.error.caused_by.reason";

/// The result of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ItemResult {
    /// The index is as the document wants it: written, deleted, never there, or newer already.
    Applied,
    /// The cluster was too busy.
    Busy(Cause),
    /// The index does not exist any more.
    Gone(Cause),
    /// The credentials do not allow it.
    Forbidden(u16, Cause),
    /// The cluster will never accept the document.
    Refused(Cause),
}

/// A response that is not one of a bulk request.
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

/// The results of `count` documents, in order; none: all of them were applied.
pub(crate) fn item_results(body: &[u8], count: usize) -> Result<Option<Vec<ItemResult>>, Nonsense> {
    let nonsense = |error: serde_json::Error| Nonsense(error.to_string());
    if !serde_json::from_slice::<Head>(body).map_err(nonsense)?.errors {
        return Ok(None);
    }
    let items = serde_json::from_slice::<Body>(body).map_err(nonsense)?.items;
    if items.len() != count {
        return Err(Nonsense(format!("{} documents were sent and {} answered", count, items.len())));
    }
    let item_results = items.into_iter().map(|item| {
        let item = item.into_values().next().ok_or_else(|| Nonsense("a document has no answer".to_owned()))?;
        Ok(item_result(item.status, item.error))
    });
    item_results.collect::<Result<_, _>>().map(Some)
}

fn item_result(status: u16, error: Option<Cause>) -> ItemResult {
    let Some(cause) = error else {
        // Not found is what a deletion of nothing answers.
        return match status {
            200..300 | 404 | 409 => ItemResult::Applied,
            _ => item_result(status, Some(Cause { kind: format!("status {status}"), ..Cause::default() })),
        };
    };
    if status == 409 {
        // The index holds a newer version, of a write whose response was lost or that was in flight beside this one.
        return ItemResult::Applied;
    }
    match cause.remedy(status) {
        Remedy::Wait => ItemResult::Busy(cause),
        Remedy::Gone => ItemResult::Gone(cause),
        Remedy::Credentials => ItemResult::Forbidden(status, cause),
        // With `require_alias` this is how a missing index shows.
        Remedy::None if status == 404 => ItemResult::Gone(cause),
        Remedy::None => ItemResult::Refused(cause),
    }
}

/// A short, stable word for a error.
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
        assert_eq!(item_results(br#"{"errors":false,"items":[{"index":{"status":200}}]}"#, 1), Ok(None));
        assert_eq!(item_results(br#"{"errors":false}"#, 3), Ok(None));
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
        let found = item_results(body, 9).ok().flatten().unwrap_or_default();
        let words: Vec<&str> = found
            .iter()
            .map(|one| match one {
                ItemResult::Applied => "applied",
                ItemResult::Busy(_) => "busy",
                ItemResult::Gone(_) => "gone",
                ItemResult::Forbidden(..) => "forbidden",
                ItemResult::Refused(_) => "refused",
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
            assert!(item_results(body.as_bytes(), 2).is_err(), "{body}");
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
