//! The response to a bulk request, document by document.
//!
//! Of each document only its status and index are requested, and type and reason of its error: the response has one item a
//! document, in order. The index is what proves that a document is where it belongs, also while others move aliases.

use std::borrow::Cow;

use serde::Deserialize;

use crate::cluster_error::{Cause, Remedy};

/// The part of the response that is requested.
pub(crate) const FILTER: &str = "errors,items.*.status,items.*._index,items.*.error.type,items.*.error.reason,items.*.error.index,items.*.error.caused_by.type,items.*.error.caused_by.reason";

/// The result of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ItemResult {
    /// The index is as the document wants it: written, deleted, never there, or newer already.
    Applied,
    /// The cluster was too busy.
    Busy(Cause),
    /// The index does not exist any more, or cannot be found under its alias.
    Gone(Cause),
    /// It was written to another index: the alias was moved there.
    Astray(String),
    /// The index is closed, or blocked by a person.
    Blocked(Cause),
    /// The credentials do not allow it.
    Forbidden(u16, Cause),
    /// The cluster will never accept the document.
    Refused(Cause),
}

/// A response that is not one of a bulk request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(crate) String);

#[derive(Deserialize)]
struct Body<'a> {
    errors: bool,
    #[serde(borrow, default)]
    items: Option<Vec<Answer<'a>>>,
}

/// An item has one key: what was done.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer<'a> {
    #[serde(borrow)]
    Index(Item<'a>),
    #[serde(borrow)]
    Delete(Item<'a>),
    #[serde(borrow)]
    Create(Item<'a>),
    #[serde(borrow)]
    Update(Item<'a>),
}

#[derive(Deserialize)]
struct Item<'a> {
    status: u16,
    #[serde(borrow, rename = "_index")]
    index: Option<Cow<'a, str>>,
    error: Option<Cause>,
}

/// The results of documents, in order; none: all of them were applied. `indexes` are those that the documents belong to.
pub(crate) fn item_results<'a>(
    body: &[u8],
    indexes: impl ExactSizeIterator<Item = &'a str>,
) -> Result<Option<Vec<ItemResult>>, Nonsense> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| Nonsense(error.to_string()))?;
    let items = match (body.items, body.errors) {
        (Some(items), _) => items,
        (None, false) => return Ok(None),
        (None, true) => Vec::new(),
    };
    if items.len() != indexes.len() {
        return Err(Nonsense(format!("{} documents were sent and {} answered", indexes.len(), items.len())));
    }
    let mut is_fine = !body.errors;
    let item_results = items.into_iter().zip(indexes).map(|(answer, wanted)| {
        let (Answer::Index(item) | Answer::Delete(item) | Answer::Create(item) | Answer::Update(item)) = answer;
        match item.index {
            Some(index) if item.error.is_none() && index != wanted => {
                is_fine = false;
                ItemResult::Astray(index.into_owned())
            }
            _ => item_result(item.status, item.error),
        }
    });
    let item_results: Vec<ItemResult> = item_results.collect();
    Ok(if is_fine { None } else { Some(item_results) })
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
        Remedy::Lift => ItemResult::Blocked(cause),
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

    fn results(body: &str, count: usize) -> Result<Option<Vec<ItemResult>>, Nonsense> {
        item_results(body.as_bytes(), vec!["u_1"; count].into_iter())
    }

    #[test]
    fn nothing_failed_says_so_in_one_word() {
        assert_eq!(results(r#"{"errors":false,"items":[{"index":{"_index":"u_1","status":200}}]}"#, 1), Ok(None));
        assert_eq!(results(r#"{"errors":false}"#, 3), Ok(None));
    }

    #[test]
    fn a_document_in_another_index_is_not_where_it_belongs() {
        let body = r#"{"errors":false,"items":[{"index":{"_index":"u_1","status":200}},{"delete":{"_index":"theirs","status":404}}]}"#;
        let astray = ItemResult::Astray("theirs".into());
        assert_eq!(results(body, 2), Ok(Some(vec![ItemResult::Applied, astray])));
    }

    #[test]
    fn each_document_has_its_verdict_at_its_place() {
        let body = r#"{"errors":true,"items":[
            {"index":{"status":201}},
            {"delete":{"status":404}},
            {"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"r"}}},
            {"index":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"r"}}},
            {"index":{"status":503,"error":{"type":"unavailable_shards_exception","reason":"r"}}},
            {"index":{"status":403,"error":{"type":"cluster_block_exception","reason":"r"}}},
            {"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"r"}}},
            {"index":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [a]"}}},
            {"index":{"status":403,"error":{"type":"security_exception","reason":"r"}}},
            {"index":{"status":400,"error":{"type":"index_closed_exception","reason":"closed","index":"u_1"}}},
            {"index":{"status":400,"error":{"type":"illegal_argument_exception","reason":"no write index is defined for alias [u_1_write]. The"}}}
        ]}"#;
        let found = results(body, 11).ok().flatten().unwrap_or_default();
        let words: Vec<&str> = found
            .iter()
            .map(|one| match one {
                ItemResult::Applied => "applied",
                ItemResult::Busy(_) => "busy",
                ItemResult::Gone(_) => "gone",
                ItemResult::Astray(_) => "astray",
                ItemResult::Blocked(_) => "blocked",
                ItemResult::Forbidden(..) => "forbidden",
                ItemResult::Refused(_) => "refused",
            })
            .collect();
        let expected = [
            "applied",
            "applied",
            "applied",
            "busy",
            "busy",
            "busy",
            "refused",
            "gone",
            "forbidden",
            "blocked",
            "gone",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn an_answer_about_something_else_is_none() {
        for body in [
            r#"{"errors":true,"items":[{"index":{"status":200}}]}"#,
            "<html>",
            "{}",
            r#"{"errors":true,"items":[{},{}]}"#,
        ] {
            assert!(results(body, 2).is_err(), "{body}");
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
