//! A builder that renders made-up documents of about 1 KiB from their keys. The same code is called through a component
//! and directly, so that the difference is the border's.

use flusso_plugin::{
    Affected, Builder, Change, DocumentId, IndexRequest, Mapping, Outcome, Result, Scope, Settings, TableInterest,
    TableName, Value,
};
use serde::Serialize;

/// The builder.
pub struct Render;

#[derive(Serialize)]
struct Document<'a> {
    id: i64,
    name: &'a str,
    active: bool,
    score: f64,
    tags: [&'a str; 4],
    lines: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    number: i64,
    title: &'a str,
    amount: i64,
}

/// The body of the document with this key.
pub fn render(id: i64) -> Vec<u8> {
    let line = |number| Line { number, title: "a line of a made-up document", amount: id.wrapping_mul(number) };
    let document = Document {
        id,
        name: "a document with a name",
        active: id % 2 == 0,
        score: id as f64 / 7.0,
        tags: ["first", "second", "third", "fourth"],
        lines: (1..=12).map(line).collect(),
    };
    let mut body = Vec::with_capacity(1_024);
    // Serialising plain values to memory cannot fail.
    let _ = serde_json::to_writer(&mut body, &document);
    body
}

impl Builder for Render {
    fn open(_: Settings, _: Vec<IndexRequest>) -> Result<Self> {
        Ok(Self)
    }

    fn mappings(&mut self) -> Result<Vec<Mapping>> {
        let (index, hash) = ("made-up".to_owned(), "1".to_owned());
        Ok(vec![Mapping { index, hash, fields: Vec::new(), prefix: String::new(), extra: None }])
    }

    fn scopes(&mut self) -> Result<Vec<Scope>> {
        Ok(vec![Scope { index: 0, root: 0, recorded_relations: Vec::new(), extra: None }])
    }

    fn interest(&mut self) -> Result<Vec<TableInterest>> {
        let table = TableName { schema: "public".to_owned(), name: "made_up".to_owned() };
        let (key, links) = (vec!["id".to_owned()], Vec::new());
        Ok(vec![TableInterest { table, key, links, reads: None, wants_changed: false, extra: None }])
    }

    fn resolve(&mut self, changes: Vec<Change>) -> Result<Affected> {
        let ids = changes.into_iter().map(|change| DocumentId { index: 0, key: change.key }).collect();
        Ok(flusso_plugin::affected(ids))
    }

    fn build_many(&mut self, ids: Vec<DocumentId>) -> Result<Vec<Outcome>> {
        let id = |id: &DocumentId| match id.key.first() {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        };
        Ok(ids.iter().map(|it| Outcome::Built(render(id(it)))).collect())
    }
}

flusso_plugin::plugin! { manifest: include_str!("../manifest.json"), builder: Render }
