//! What the macros refuse, and what they then say.
#![allow(clippy::unwrap_used, reason = "a test")]

use syn::{DeriveInput, ItemFn};

use crate::{document, index, row};

fn refused_row(text: &str) -> String {
    row::derive(&syn::parse_str::<DeriveInput>(text).unwrap()).unwrap_err().to_string()
}

fn refused_document(text: &str) -> String {
    document::derive(&syn::parse_str::<DeriveInput>(text).unwrap()).unwrap_err().to_string()
}

fn refused_builder(arguments: &str, function: &str) -> String {
    match syn::parse_str::<index::Arguments>(arguments) {
        Ok(arguments) => {
            index::expand(&arguments, &syn::parse_str::<ItemFn>(function).unwrap()).unwrap_err().to_string()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn rows() {
    for (text, words) in [
        ("struct Order { id: i64 }", "which table? add #[table(\"schema.table\")]"),
        ("#[table(\"a.b.c\")] struct Order { id: i64 }", "with other dots: schema = …, name = …"),
        ("#[table(schema = \"a\")] struct Order { id: i64 }", "`name` is missing"),
        ("#[table(scheme = \"a\")] struct Order { id: i64 }", "known here: schema, name"),
        ("#[table(\"a\")] struct Order {}", "at least one column"),
        ("#[table(\"a\")] struct Order(i64);", "a row is a struct with named fields"),
        ("#[table(\"a\")] struct Order<T> { id: T }", "a row cannot be generic"),
        ("#[table(\"a\")] struct Order { #[column(id)] id: i64 }", "expected string literal"),
    ] {
        let said = refused_row(text);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn documents() {
    for (text, words) in [
        ("struct Order<T> { id: T }", "a document cannot be generic"),
        ("struct Order(i64, i64);", "a document is a struct with named fields"),
        ("enum State { Open, Closed(i64) }", "whose variants hold nothing"),
        ("struct Order { #[field(keyward)] id: i64 }", "known here: options"),
        ("#[serde(rename_all = \"camel\")] struct Order { id: i64 }", "no rule of serde's `rename_all`"),
        ("#[serde(into = \"String\")] struct Order { id: i64 }", "the type that is written"),
        ("#[serde(tag = \"kind\")] struct Order { id: i64 }", "the type that is written"),
        ("struct Order { #[serde(serialize_with = \"hex\")] id: i64 }", "such as #[field(keyword)]"),
        ("struct Order { #[serde(with = \"hex\")] id: i64 }", "such as #[field(keyword)]"),
    ] {
        let said = refused_document(text);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn builders() {
    let good = "async fn orders(order: Order, db: &Reads) -> Result<Option<OrderDocument>> { Ok(None) }";
    for (arguments, function, words) in [
        ("", good, "which index? add index = \"…\""),
        ("index = \"orders\", read(Item by id)", good, "known here: index = \"…\", reads(…), version = 1"),
        ("index = \"orders\", reads(Item)", good, "by which column? `Item by order_id`, or `Item all`"),
        ("index = \"orders\", reads(Item on id)", good, "`by` and a column, or `all`"),
        ("index = \"orders\"", &good.replace("async ", ""), "a builder is an async function"),
        ("index = \"orders\"", &good.replace(", db: &Reads", ""), "takes the root row, `&Reads`"),
        ("index = \"orders\"", &good.replace("order: Order", "self"), "a builder is no method"),
        ("index = \"orders\"", &good.replace("Option<OrderDocument>", "OrderDocument"), "`Result<Option<…>>`"),
        ("index = \"orders\"", &good.replace("-> Result<Option<OrderDocument>>", ""), "`Result<Option<…>>`"),
    ] {
        let said = refused_builder(arguments, function);
        assert!(said.contains(words), "{arguments}: {said}");
    }
}
