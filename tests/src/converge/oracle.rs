//! What the documents should be: written by hand in plain SQL, and compared value by value.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde_json::Value;

use super::Builder;
use super::index::{Body, Indexes};
use crate::Session;

/// How many differences are described.
const DESCRIBED: usize = 12;

/// What came of a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Documents compared.
    pub(super) documents: u64,
    /// How many are not as they should be.
    pub(super) differing: u64,
    /// The first of them.
    pub(super) first: Vec<Difference>,
}

/// A document that is not as it should be.
#[derive(Debug)]
pub(super) struct Difference {
    index: String,
    id: String,
    what: String,
    history: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}: {}", self.index, self.id, self.what)?;
        self.history.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// Builds every document from scratch and compares. Nothing may write meanwhile.
pub(super) fn compare(session: &mut Session, builder: Builder, indexes: &Indexes) -> io::Result<Comparison> {
    let mut comparison = Comparison::default();
    for index in builder.indexes() {
        let mut expected = BTreeMap::new();
        for row in session.rows(index.oracle)? {
            let mut row = row.into_iter().flatten();
            let (Some(id), Some(body)) = (row.next(), row.next()) else {
                return Err(io::Error::other(format!("the query of {} gives a null", index.name)));
            };
            if expected.insert(id, body).is_some() {
                return Err(io::Error::other(format!("the query of {} gives an id twice", index.name)));
            }
        }
        let state = indexes.lock();
        let none = BTreeMap::new();
        let found = state.documents.get(index.name).unwrap_or(&none);
        let ids = expected.keys().chain(found.keys().filter(|id| !expected.contains_key(*id)));
        for id in ids {
            let document = found.get(id);
            let body = document.and_then(|document| document.body.as_ref());
            let wanted = expected.get(id).map(String::as_str);
            if wanted.is_none() && body.is_none() {
                continue;
            }
            comparison.documents += 1;
            let Some(what) = difference(wanted, body) else { continue };
            comparison.differing += 1;
            if comparison.first.len() < DESCRIBED {
                let history = document.map(|document| document.history.iter().cloned().collect()).unwrap_or_default();
                comparison.first.push(Difference { index: index.name.to_owned(), id: id.clone(), what, history });
            }
        }
    }
    Ok(comparison)
}

fn difference(wanted: Option<&str>, found: Option<&Body>) -> Option<String> {
    match (wanted, found) {
        (None, None) => None,
        (Some(_), None) => Some("is missing".to_owned()),
        (None, Some(body)) => Some(format!("should not be there: {}", short(&body.to_string()))),
        (Some(wanted), Some(found)) => match (serde_json::from_str(wanted), found.value()) {
            (Ok(wanted), Ok(found)) => {
                let mut places = Vec::new();
                places_that_differ("", &wanted, &found, &mut places);
                (!places.is_empty()).then(|| places.join("; "))
            }
            (wanted, found) => Some(format!("is no JSON: expected {wanted:?}, found {found:?}")),
        },
    }
}

fn places_that_differ(path: &str, wanted: &Value, found: &Value, places: &mut Vec<String>) {
    if places.len() >= 4 {
        return;
    }
    match (wanted, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => places_that_differ(&path, a, b, places),
                    (a, _) => places
                        .push(format!("{path} is only in what was {}", if a.is_some() { "expected" } else { "found" })),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                places_that_differ(&format!("{path}[{at}]"), a, b, places);
            }
        }
        (Value::Number(a), Value::Number(b)) if a == b || a.as_f64() == b.as_f64() => {}
        (a, b) if a == b => {}
        (a, b) => places.push(format!("{path}: expected {}, found {}", short(&a.to_string()), short(&b.to_string()))),
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
