//! Searching a generation, in tantivy's query language: `ada AND country:GB`, `total:[10 TO 20]`, `title:"a phrase"`, `-archived:true`.
//! Words without a field are looked for in every field of texts.

use std::path::Path;

use flusso_plugin::{Error, Found, Highlight, Hit, Result};
use tantivy::collector::{Count, TopDocs};
use tantivy::query::{QueryParser, QueryParserError};
use tantivy::schema::{Field, FieldType, Schema, Value as _};
use tantivy::snippet::{Snippet, SnippetGenerator};
use tantivy::{ReloadPolicy, TantivyDocument};

use crate::failed;
use crate::fields::{self, BODY, ID, TEXTS, WHOLE};

/// Characters of a highlight.
const HIGHLIGHT: usize = 150;

/// The best documents of a query.
pub(crate) fn search(path: &Path, text: &str, limit: u32, offset: u32) -> Result<Found> {
    let wrong = |error: tantivy::TantivyError| failed(path, error);
    let index = fields::open(path).map_err(wrong)?;
    let schema = index.schema();
    let is_text = |kind: &FieldType| matches!(kind, FieldType::Str(_));
    let texts: Vec<Field> =
        schema.fields().filter(|(_, entry)| is_text(entry.field_type())).map(|(field, _)| field).collect();
    // Every name that is no field would be a path in a JSON field, so one of those is among them only where there is nothing else.
    let own = schema.fields().filter(|(_, entry)| !entry.name().starts_with('_')).count();
    let whole = schema.get_field(WHOLE).ok().filter(|_| own == 1);
    let sought: Vec<Field> = texts.iter().copied().chain(whole).collect();
    let parser = QueryParser::for_index(&index, sought);
    let query = parser.parse_query(text).map_err(|error| {
        let fields = match error {
            QueryParserError::FieldDoesNotExist(_) => format!("; there are: {}", names(&schema).join(", ")),
            _ => String::new(),
        };
        Error::configuration("query", format!("{text:?}: {error}{fields}"))
    })?;
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(wrong)?;
    let searcher = reader.searcher();
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let best = TopDocs::with_limit(place(limit).max(1)).and_offset(place(offset)).order_by_score();
    let (total, best) = searcher.search(&query, &(Count, best)).map_err(wrong)?;
    let generators: Vec<(String, SnippetGenerator)> = texts
        .iter()
        .filter(|field| matches!(schema.get_field_entry(**field).field_type(), FieldType::Str(_)))
        .filter_map(|field| {
            let mut generator = SnippetGenerator::create(&searcher, &query, *field).ok()?;
            generator.set_max_num_chars(HIGHLIGHT);
            Some((schema.get_field_entry(*field).name().to_owned(), generator))
        })
        .collect();
    let (id, body) = (schema.get_field(ID).map_err(wrong)?, schema.get_field(BODY).map_err(wrong)?);
    let mut hits = Vec::new();
    for (score, address) in best.into_iter().take(place(limit)) {
        let stored: TantivyDocument = searcher.doc(address).map_err(wrong)?;
        let id = stored.get_first(id).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let body = stored.get_first(body).and_then(|value| value.as_bytes()).unwrap_or_default().to_vec();
        let document = serde_json::from_slice(&body).unwrap_or_default();
        let highlights =
            generators.iter().filter_map(|(field, generator)| highlight(field, generator, &document)).collect();
        hits.push(Hit { id, score: score.into(), body, highlights, extra: None });
    }
    Ok(Found { total: u64::try_from(total).unwrap_or(u64::MAX), hits, extra: None })
}

/// The names of the fields that can be asked for.
fn names(schema: &Schema) -> Vec<&str> {
    let mut names: Vec<&str> = schema.fields().map(|(_, entry)| entry.name()).filter(|name| *name != BODY).collect();
    names.sort_unstable_by_key(|name| (name.starts_with('_'), *name));
    names
}

/// The first value of a field in which the query is found; of a field that holds all texts, the first place of the document.
fn highlight(field: &str, generator: &SnippetGenerator, document: &serde_json::Value) -> Option<Highlight> {
    if field == TEXTS {
        return highlight_anywhere("", generator, document);
    }
    let snippets = texts(document, field).into_iter().map(|text| generator.snippet(text));
    let found: Snippet = snippets.into_iter().find(|snippet| !snippet.is_empty())?;
    Some(Highlight { field: field.to_owned(), text: found.to_html() })
}

fn highlight_anywhere(path: &str, generator: &SnippetGenerator, value: &serde_json::Value) -> Option<Highlight> {
    match value {
        serde_json::Value::String(text) => {
            let found = generator.snippet(text);
            (!found.is_empty()).then(|| Highlight { field: path.to_owned(), text: found.to_html() })
        }
        serde_json::Value::Array(values) => values.iter().find_map(|value| highlight_anywhere(path, generator, value)),
        serde_json::Value::Object(object) => object.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            highlight_anywhere(&path, generator, value)
        }),
        _ => None,
    }
}

/// The texts at a path of a document; of lists all.
fn texts<'a>(value: &'a serde_json::Value, path: &str) -> Vec<&'a str> {
    match value {
        serde_json::Value::Array(values) => values.iter().flat_map(|value| texts(value, path)).collect(),
        serde_json::Value::String(text) if path.is_empty() => vec![text],
        serde_json::Value::Object(object) => {
            let (key, rest) = path.split_once('.').unwrap_or((path, ""));
            object.get(key).map(|value| texts(value, rest)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
