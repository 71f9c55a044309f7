//! What a cluster says when it does not do what it was asked, and what can be done about it: the one table of it, for
//! whole requests and for single documents of a bulk request.

use std::time::Duration;

use flusso_plugin::Error;
use serde::Deserialize;

use crate::http::Response;

/// The longest reason that is passed on, in characters.
const MAX_REASON_CHARACTERS: usize = 400;

/// Blocks that a person puts on an index, as the cluster names them, and the setting that lifts each.
const BLOCKS: [(&str, &str); 4] = [
    ("index write (api)", "index.blocks.write"),
    ("index read-only (api)", "index.blocks.read_only"),
    ("index read (api)", "index.blocks.read"),
    ("index metadata (api)", "index.blocks.metadata"),
];

/// What is to be done about an index that is closed.
pub(crate) fn closed(index: &str) -> String {
    format!("index {index} is closed; open it with POST /{index}/_open")
}

/// The cluster's own words about an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Cause {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) reason: Option<String>,
    /// The index that it is about, where the cluster says so apart from the reason.
    pub(crate) index: Option<String>,
    pub(crate) caused_by: Option<Box<Cause>>,
}

/// What can be done about an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Try again.
    Wait,
    /// Try again once a person has opened the index, or lifted the block.
    Lift,
    /// The index, or the name it is written under, is not there any more.
    Gone,
    /// Correct who we say we are, or what we may do.
    Credentials,
    /// Nothing.
    None,
}

impl Cause {
    /// The type, the reason, and the reasons behind it; without what the cluster quotes of a document, which is what stands
    /// behind a document that cannot be read.
    pub(crate) fn text(&self) -> String {
        if let Some(text) = self.lift() {
            return text;
        }
        let quotes = self.kind.ends_with("parsing_exception");
        let mut text = self.kind.clone();
        let mut cause = Some(self);
        while let Some(one) = cause {
            if let Some(reason) = &one.reason
                && !text.contains(reason.as_str())
            {
                text.push_str(": ");
                text.push_str(without_contents(reason));
            }
            cause = one.caused_by.as_deref().filter(|_| !quotes);
        }
        text.chars().map(|one| if one.is_control() { ' ' } else { one }).take(MAX_REASON_CHARACTERS).collect()
    }

    /// What a person has to lift before the index can be used, and how; none: it is something else.
    fn lift(&self) -> Option<String> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let named = || reason.split_once("index [")?.1.split_once(']').map(|(name, _)| name);
        let index = self.index.as_deref().or_else(named)?;
        match self.kind.as_str() {
            "index_closed_exception" => Some(closed(index)),
            "cluster_block_exception" => {
                let (words, setting) = BLOCKS.iter().find(|(words, _)| reason.contains(words))?;
                Some(format!(
                    "index {index} is blocked ({words}); lift the block with PUT /{index}/_settings {{\"{setting}\": null}}"
                ))
            }
            _ => None,
        }
    }

    /// The reasons, the outermost first.
    pub(crate) fn reasons(&self) -> Vec<&str> {
        self.chain().filter_map(|one| one.reason.as_deref()).collect()
    }

    /// Whether it is, or was caused by, an error of this type.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.chain().any(|one| one.kind == kind)
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |one| one.caused_by.as_deref())
    }

    /// What can be done. A block (a full disk, a cluster that is being moved) is lifted one day, whatever its status.
    pub(crate) fn remedy(&self, status: u16) -> Remedy {
        let no_write_index = |reason: &String| reason.starts_with("no write index is defined for alias");
        match (status, self.kind.as_str()) {
            _ if self.lift().is_some() => Remedy::Lift,
            (_, "index_closed_exception") => Remedy::Lift,
            // Another client put a second index behind the alias, or took its index the right to be written to.
            (400, "illegal_argument_exception") if self.reason.as_ref().is_some_and(no_write_index) => Remedy::Gone,
            (_, "cluster_block_exception" | "es_rejected_execution_exception" | "circuit_breaking_exception") => {
                Remedy::Wait
            }
            (404, "index_not_found_exception" | "alias_not_found_exception") => Remedy::Gone,
            (401 | 403, _) => Remedy::Credentials,
            (408 | 429 | 500.., _) => Remedy::Wait,
            _ => Remedy::None,
        }
    }
}

/// Of `Preview of field's value: '…'` and the like only what stands before.
fn without_contents(reason: &str) -> &str {
    let cut = ["Preview of field's value", ". Preview"].iter().filter_map(|sign| reason.find(sign)).min();
    reason.get(..cut.unwrap_or(reason.len())).unwrap_or(reason).trim_end_matches([' ', '.'])
}

/// A whole request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterError {
    pub(crate) status: u16,
    pub(crate) cause: Cause,
    pub(crate) retry_after: Option<Duration>,
}

impl ClusterError {
    /// Reads the answer; something in front of the cluster may have said it in any form.
    pub(crate) fn of(answer: &Response) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: Said,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Said {
            Cause(Cause),
            Text(String),
        }
        let cause = match serde_json::from_slice::<Body>(&answer.body) {
            Ok(Body { error: Said::Cause(cause) }) => cause,
            Ok(Body { error: Said::Text(text) }) => Cause { kind: text, ..Cause::default() },
            Err(_) => {
                let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
                Cause { kind: text.trim().to_owned(), ..Cause::default() }
            }
        };
        Self { status: answer.status, cause, retry_after: answer.retry_after }
    }

    /// What the cluster said.
    pub(crate) fn cause_text(&self) -> String {
        self.cause.text()
    }

    /// As the host's error. `doing` is what was asked for; `setting` the credentials' name in the configuration.
    pub(crate) fn error(&self, doing: &str, setting: &str) -> Error {
        let text = format!("{doing}: the cluster answered {} {}", self.status, self.cause.text());
        match self.cause.remedy(self.status) {
            Remedy::Wait | Remedy::Lift => match self.retry_after {
                Some(wait) => Error::transient_after(text, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                None => Error::transient(text),
            },
            Remedy::Gone => Error::transient(format!("{text}; it is looked for again")),
            Remedy::Credentials => {
                let remedy =
                    if self.status == 401 { "correct the credentials" } else { "give the user the right to do it" };
                Error::configuration(setting, format!("{text}; {remedy}"))
            }
            Remedy::None => Error::fatal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> ClusterError {
        ClusterError::of(&Response { status, body: body.as_bytes().to_vec(), ..Response::default() })
    }

    fn word(error: &Error) -> &'static str {
        match error {
            Error::Transient(_) => "transient",
            Error::Configuration(_) => "configuration",
            Error::Fatal(_) => "fatal",
            _ => "other",
        }
    }

    #[test]
    fn every_answer_has_its_remedy() {
        let block =
            r#"{"error":{"type":"cluster_block_exception","reason":"index [a] blocked by: [read-only]"},"status":403}"#;
        for (status, body, expected) in [
            (429, "", "transient"),
            (503, "<html>down</html>", "transient"),
            (502, "", "transient"),
            (408, "", "transient"),
            (403, block, "transient"),
            (401, r#"{"error":"Unauthorized"}"#, "configuration"),
            (403, r#"{"error":{"type":"security_exception","reason":"no permissions"}}"#, "configuration"),
            (400, r#"{"error":{"type":"illegal_argument_exception","reason":"x"}}"#, "fatal"),
            (404, r#"{"error":{"type":"index_not_found_exception","reason":"no such index [a]"}}"#, "transient"),
            (400, r#"{"error":{"type":"index_closed_exception","reason":"closed","index":"a"}}"#, "transient"),
            (
                400,
                r#"{"error":{"type":"illegal_argument_exception","reason":"no write index is defined for alias [a]. The"}}"#,
                "transient",
            ),
        ] {
            assert_eq!(word(&error(status, body).error("writing", "password")), expected, "{status} {body}");
        }
    }

    #[test]
    fn what_a_person_has_to_lift_is_named_with_the_request_that_does_it() {
        let blocked = |block: &str| {
            let body = format!(
                r#"{{"error":{{"type":"cluster_block_exception","reason":"index [a] blocked by: [FORBIDDEN/8/{block}];"}}}}"#
            );
            let error = error(403, &body);
            (error.cause.remedy(403), error.cause.text())
        };
        let (remedy, text) = blocked("index write (api)");
        assert_eq!(remedy, Remedy::Lift);
        assert!(
            text.contains("index a is blocked") && text.contains("PUT /a/_settings {\"index.blocks.write\": null}"),
            "{text}"
        );
        assert_eq!(blocked("index read-only (api)").0, Remedy::Lift);
        // A full disk is the cluster's to end.
        assert_eq!(
            blocked("disk usage exceeded flood-stage watermark, index has read-only-allow-delete block").0,
            Remedy::Wait
        );
        let closed = error(400, r#"{"error":{"type":"index_closed_exception","reason":"closed","index":"a"}}"#);
        assert_eq!(closed.cause.text(), "index a is closed; open it with POST /a/_open");
    }

    #[test]
    fn the_server_says_how_long_to_wait() {
        let mut busy = error(429, "");
        busy.retry_after = Some(Duration::from_secs(3));
        let Error::Transient(transient) = busy.error("writing", "") else { panic!("not transient") };
        assert_eq!(transient.retry_after_ms, Some(3_000));
    }

    #[test]
    fn what_a_document_holds_is_not_passed_on() {
        let body = r#"{"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [a] of type [long] in document with id '1'. Preview of field's value: 'SECRET'","caused_by":{"type":"x","reason":"For input string: SECRET"}}}"#;
        let text = error(400, body).cause.text();
        assert_eq!(text, "mapper_parsing_exception: failed to parse field [a] of type [long] in document with id '1'");
        let deep =
            r#"{"error":{"type":"illegal_argument_exception","reason":"no","caused_by":{"type":"x","reason":"why"}}}"#;
        assert_eq!(error(400, deep).cause.text(), "illegal_argument_exception: no: why");
    }
}
