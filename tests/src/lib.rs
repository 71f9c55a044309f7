//! What the black-box tests need: a database of their own on the server that `tests/run` starts, and the built program.
//!
//! Nothing here knows the inside of the host. A test that needs the server fails without it; it is never skipped.

mod ancestor;
pub mod converge;
pub mod deployment;
mod host;
mod plugins;
mod postgres;
pub mod search;
mod server;
mod session;

pub use ancestor::Ancestor;
pub use host::{Ended, Host, Running};
pub use plugins::{native, plugin, variant};
pub use postgres::Postgres;
pub use server::Server;
pub use session::{Answer, Session};

/// A variable that `tests/run` sets.
///
/// # Panics
/// Without it: these tests are not run by hand.
pub fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run these tests with tests/run"))
}

/// One document line, as it was printed.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// `upsert`, `delete`, or `clear` for all documents of an index.
    pub op: String,
    /// The index.
    pub index: String,
    /// The document's id; empty of a clear.
    pub id: String,
    /// The document, of an upsert.
    pub document: serde_json::Value,
}

impl Line {
    /// Reads a line.
    ///
    /// # Panics
    /// If it is none.
    pub fn parse(text: &str) -> Self {
        let value: serde_json::Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in line {text:?}"));
        let word = |name: &str| {
            value
                .get(name)
                .and_then(|value| value.as_str())
                .unwrap_or_else(|| panic!("no {name} in line {text:?}"))
                .to_owned()
        };
        let document = value.get("document").cloned().unwrap_or_default();
        let op = word("op");
        let id = if op == "clear" { String::new() } else { word("id") };
        let line = Self { index: word("index"), id, document, op };
        assert_eq!(
            line.op == "upsert",
            line.document.is_object(),
            "an upsert has a document, others have none: {text}"
        );
        line
    }
}
