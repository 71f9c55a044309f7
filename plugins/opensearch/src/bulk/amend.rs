//! What a document that the cluster refuses is sent again as. Each refusal says what to mend, or which field the mapping does not
//! take; where it says neither, more and more of the document goes where nothing is indexed. Each step does more than the one
//! before, so there is an end.

use std::collections::BTreeSet;

use flusso_plugin::Failure;

use super::item_result::class;
use super::rewrite::{Change, Rules, members, rewrite};
use crate::cluster_error::Cause;

/// Fields that are put aside one by one, before every object and list is.
const MAX_FIELDS: usize = 8;

/// A document that was refused, on its way again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amended {
    /// As it was first sent.
    original: Vec<u8>,
    /// Why it was first refused: its reason, should nothing help.
    class: String,
    reason: String,
    mended: bool,
    flatten: bool,
    aside: Aside,
    pub(super) changes: Vec<(Change, String)>,
}

/// Which fields of a document are kept unindexed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aside {
    Fields(BTreeSet<Vec<u8>>),
    /// Every object and list whose fields the mapping does not name.
    Dynamic,
    /// Every object and list.
    Containers,
    All,
}

impl Amended {
    /// What to send instead of a body that was refused for this cause, after `before` if it is not the first time; none: nothing
    /// would help. `objects`: the keys of those whose fields the mapping names.
    pub(super) fn of(
        body: &[u8],
        before: Option<&Self>,
        cause: &Cause,
        objects: &BTreeSet<Vec<u8>>,
    ) -> Option<(Self, Vec<u8>)> {
        if !is_about_contents(cause) {
            return None;
        }
        let mut next = match before {
            Some(before) => before.clone(),
            None => Self {
                original: body.to_vec(),
                class: class(cause),
                reason: cause.text(),
                mended: false,
                flatten: false,
                aside: Aside::Fields(BTreeSet::new()),
                changes: Vec::new(),
            },
        };
        // Whatever was wrong, twice the same body has no use.
        let mut sent = body.to_vec();
        loop {
            if !next.step(cause) {
                return None;
            }
            let keys = next.keys(objects);
            let rules = Rules { names: None, mend: true, flatten: next.flatten, unindexed: keys };
            let (again, changes) = rewrite(&next.original, &rules)?;
            if !changes.is_empty() && again != sent {
                next.changes = changes;
                return Some((next, again));
            }
            sent = again;
        }
    }

    pub(super) fn failure(&self) -> Failure {
        Failure { class: self.class.clone(), reason: self.reason.clone(), extra: None }
    }

    /// Goes one step further; none is left: false.
    fn step(&mut self, cause: &Cause) -> bool {
        let reasons = cause.reasons();
        let says = |word: &str| reasons.iter().any(|reason| reason.to_ascii_lowercase().contains(word));
        if !self.flatten && says("depth") {
            self.flatten = true;
            return true;
        }
        // Keys and numbers are mended at every step; where that is all that is wrong, it is a step of its own.
        if !self.mended && (says("duplicate field") || says("maximum allowed")) {
            self.mended = true;
            return true;
        }
        let next = match &self.aside {
            Aside::Fields(known) if known.len() < MAX_FIELDS => match self.named(&reasons, known) {
                Some(key) => Aside::Fields(known.iter().cloned().chain([key]).collect()),
                None => Aside::Dynamic,
            },
            Aside::Fields(_) => Aside::Dynamic,
            Aside::Dynamic => Aside::Containers,
            Aside::Containers => Aside::All,
            Aside::All => return false,
        };
        self.aside = next;
        true
    }

    /// The keys of the document that are put aside.
    fn keys(&self, objects: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
        let all = members(&self.original).into_iter();
        let wanted = |key: &Vec<u8>, container: bool| match &self.aside {
            Aside::Fields(keys) => keys.contains(key),
            Aside::Dynamic => container && !objects.contains(key),
            Aside::Containers => container,
            Aside::All => true,
        };
        all.filter(|(key, container)| wanted(key, *container)).map(|(key, _)| key).collect()
    }

    /// The first field that the reasons name, of those that the document has and that are not known.
    fn named(&self, reasons: &[&str], known: &BTreeSet<Vec<u8>>) -> Option<Vec<u8>> {
        let keys: Vec<Vec<u8>> = members(&self.original).into_iter().map(|(key, _)| key).collect();
        let names = reasons.iter().flat_map(|reason| bracketed(reason));
        let mut found = names.filter_map(|name| {
            let name = name.as_bytes();
            let holds = |key: &&Vec<u8>| {
                name.strip_prefix(key.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
            };
            keys.iter().filter(holds).max_by_key(|key| key.len())
        });
        found.find(|key| !known.contains(*key)).cloned()
    }
}

/// What stands in brackets or double quotes, as the names of fields do in reasons, up to where they speak of types and ids.
fn bracketed(reason: &str) -> impl Iterator<Item = &str> {
    let end =
        [" of type [", " in document with id", "Preview of field"].iter().filter_map(|sign| reason.find(sign)).min();
    let parts = reason.get(..end.unwrap_or(reason.len())).unwrap_or(reason).split(['[', ']', '"']);
    parts.skip(1).step_by(2).map(|name| name.trim_matches('\''))
}

/// Whether a refusal is about what the document holds, so that another form of it may do. A mapping that says `strict` itself, a
/// pipeline that refuses and the like are meant to refuse.
fn is_about_contents(cause: &Cause) -> bool {
    let kinds = ["mapper_parsing_exception", "document_parsing_exception", "stream_constraints_exception"];
    let words = [
        "immense term",
        "total fields",
        "field name",
        "object field",
        "object mapping",
        "nested documents",
        "field data structures",
        "depth",
    ];
    match cause.kind.as_str() {
        kind if kinds.contains(&kind) => !cause.is("strict_dynamic_mapping_exception"),
        "illegal_argument_exception" => {
            cause.reasons().iter().any(|reason| words.iter().any(|word| reason.contains(word)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(kind: &str, reason: &str, below: Option<Cause>) -> Cause {
        Cause { kind: kind.to_owned(), reason: Some(reason.to_owned()), index: None, caused_by: below.map(Box::new) }
    }

    fn parsing(reason: &str) -> Cause {
        cause("mapper_parsing_exception", "failed to parse", Some(cause("x", reason, None)))
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    #[test]
    fn each_refusal_has_its_remedy() {
        let objects = BTreeSet::from([b"lines".to_vec()]);
        for (body, refusal, expected, change) in [
            (r#"{"a":1,"a":2}"#, parsing("Duplicate field 'a'"), r#"{"a":2}"#, Change::DuplicateKey),
            (
                r#"{"id":1,"a":{"b":[]}}"#,
                cause(
                    "mapper_parsing_exception",
                    "failed to parse field [a.b] of type [long] in document with id 'id'",
                    None,
                ),
                r#"{"id":1,"flusso_unindexed":{"fields":["a"],"document":{"a":{"b":[]}}}}"#,
                Change::Unindexed,
            ),
            (
                r#"{"id":1,"a":{"":1},"b":[1],"c":[],"lines":[{}]}"#,
                parsing("field name cannot be an empty string"),
                r#"{"id":1,"c":[],"lines":[{}],"flusso_unindexed":{"fields":["a","b"],"document":{"a":{"":1},"b":[1]}}}"#,
                Change::Unindexed,
            ),
            (
                r#"{"ff":{"x":1}}"#,
                cause("illegal_argument_exception", "at least one immense term in field=\"ff._value\"", None),
                r#"{"flusso_unindexed":{"fields":["ff"],"document":{"ff":{"x":1}}}}"#,
                Change::Unindexed,
            ),
        ] {
            let (amended, again) = Amended::of(body.as_bytes(), None, &refusal, &objects).expect(body);
            assert_eq!((text(&again), amended.changes[0].0), (expected, change));
        }
    }

    #[test]
    fn steps_come_to_an_end_and_the_first_reason_stays() {
        let body = format!(r#"{{"a":{}1{},"b":1,"c":1}}"#, "[".repeat(30), "]".repeat(30));
        let refusals = [
            parsing("The depth of the nested array field has exceeded the allowed limit"),
            cause("mapper_parsing_exception", "failed to parse field [b] of type [long]", None),
            parsing("who knows"),
            parsing("who knows"),
        ];
        let (mut before, mut sent, mut seen) = (None, body.clone().into_bytes(), Vec::new());
        for refusal in &refusals {
            let (amended, again) =
                Amended::of(&sent, before.as_ref(), refusal, &BTreeSet::new()).expect("another step");
            assert!(again != sent);
            seen.push(text(&again).to_owned());
            (before, sent) = (Some(amended), again);
        }
        assert!(seen[0].contains("\"[[[["), "{}", seen[0]);
        assert!(seen[1].contains(r#""fields":["b"]"#) && seen[2].contains(r#""fields":["a"]"#), "{seen:?}");
        assert!(seen[3].starts_with(r#"{"flusso_unindexed":{"fields":["a","b","c"]"#), "{seen:?}");
        let before = before.expect("steps");
        assert!(Amended::of(&sent, Some(&before), &refusals[3], &BTreeSet::new()).is_none());
        assert!(before.failure().reason.contains("mapper_parsing_exception"));
    }

    #[test]
    fn what_is_meant_to_refuse_refuses() {
        for refusal in [
            cause("strict_dynamic_mapping_exception", "dynamic introduction of [a] within [_doc] is not allowed", None),
            cause("illegal_argument_exception", "pipeline says no", None),
            cause("fail_processor_exception", "no", None),
        ] {
            assert!(Amended::of(br#"{"a":1}"#, None, &refusal, &BTreeSet::new()).is_none(), "{refusal:?}");
        }
        assert!(Amended::of(b"{\"a\":", None, &parsing("Duplicate field"), &BTreeSet::new()).is_none(), "no JSON");
    }
}
