//! From the mapping of an index to fields, and from a document to their values. Objects and lists are flattened: the values of
//! `items.product.title` are those of all items, side by side, so a query cannot ask that two of them are of one item.
//!
//! | types of the mapping | field |
//! |---|---|
//! | `text`, `identifier` | words in lower case, without accents |
//! | `long`, `integer`, `short`, `byte` | whole number |
//! | `double`, `float`, `decimal` and their like | number |
//! | `boolean` | `true` or `false` |
//! | `date`, `timestamp` | moment |
//! | `json`, `map` | its values by their paths |
//! | everything else (`keyword`, `uuid`, an enum, …) | the text as it is |
//!
//! A value that does not fit its field is in the body, and not found by that field.

use std::collections::HashMap;
use std::path::Path;

use flusso_plugin::Mapping;
use serde_json::Value;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::time::OffsetDateTime;
use tantivy::time::format_description::well_known::Rfc3339;
use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer};
use tantivy::{DateTime, Index, TantivyDocument};

/// The document's id.
pub(crate) const ID: &str = "_id";
/// Its body, as it came.
pub(crate) const BODY: &str = "_body";
/// All of it, where the mapping says nothing of the fields.
pub(crate) const WHOLE: &str = "document";
/// All texts in it, for words that are looked for in no field.
pub(crate) const TEXTS: &str = "_texts";

/// The tokenizer of texts.
const WORDS: &str = "words";

/// The index of a folder, with its tokenizer.
pub(crate) fn open(path: &Path) -> tantivy::Result<Index> {
    let index = Index::open_in_dir(path)?;
    let words = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build();
    index.tokenizers().register(WORDS, words);
    Ok(index)
}

/// Bytes of a word; a longer one is not indexed.
const WORD_BYTES: usize = 255;

fn words() -> TextFieldIndexing {
    TextFieldIndexing::default().set_tokenizer(WORDS).set_index_option(IndexRecordOption::WithFreqsAndPositions)
}

/// What the mapping's type becomes.
fn add(schema: &mut tantivy::schema::SchemaBuilder, path: &str, kind: &str) {
    match kind {
        "object" | "nested" => {}
        "text" | "identifier" => {
            schema.add_text_field(path, TextOptions::default().set_indexing_options(words()));
        }
        "long" | "integer" | "short" | "byte" => {
            schema.add_i64_field(path, INDEXED | FAST);
        }
        "double" | "float" | "decimal" | "half_float" | "scaled_float" => {
            schema.add_f64_field(path, INDEXED | FAST);
        }
        "boolean" => {
            schema.add_bool_field(path, INDEXED | FAST);
        }
        "date" | "timestamp" => {
            schema.add_date_field(path, INDEXED | FAST);
        }
        "json" | "map" => {
            let options = JsonObjectOptions::default().set_indexing_options(words()).set_expand_dots_enabled();
            schema.add_json_field(path, options);
        }
        _ => {
            schema.add_text_field(path, STRING);
        }
    }
}

/// The fields of an index.
pub(crate) fn schema(mapping: &Mapping) -> Schema {
    let mut schema = Schema::builder();
    schema.add_text_field(ID, STRING | STORED);
    schema.add_bytes_field(BODY, STORED);
    for field in mapping.fields.iter().filter(|field| !field.path.starts_with('_')) {
        add(&mut schema, &field.path, if field.map_values.is_some() { "map" } else { &field.type_ });
    }
    if mapping.fields.is_empty() {
        // Whatever the documents hold.
        add(&mut schema, WHOLE, "json");
        add(&mut schema, TEXTS, "text");
    }
    schema.build()
}

/// The fields of a schema, for making documents.
pub(crate) struct Fields {
    schema: Schema,
    id: Option<Field>,
    body: Option<Field>,
    /// The whole document, where the mapping says nothing of its fields.
    whole: Option<Field>,
    texts: Option<Field>,
    paths: HashMap<String, Field>,
}

impl Fields {
    pub(crate) fn of(schema: Schema) -> Self {
        let of = |name: &str| schema.get_field(name).ok();
        let paths: HashMap<_, _> = schema
            .fields()
            .filter(|(_, entry)| !entry.name().starts_with('_'))
            .map(|(field, entry)| (entry.name().to_owned(), field))
            .collect();
        let whole = of(WHOLE).filter(|_| paths.len() == 1);
        Self { id: of(ID), body: of(BODY), whole, texts: of(TEXTS), paths, schema }
    }

    /// The field of the id.
    pub(crate) fn id(&self) -> Option<Field> {
        self.id
    }

    /// A document.
    pub(crate) fn document(&self, id: &str, body: &[u8]) -> Result<TantivyDocument, serde_json::Error> {
        let mut document = TantivyDocument::default();
        if let (Some(own), Some(bytes)) = (self.id, self.body) {
            document.add_text(own, id);
            document.add_bytes(bytes, body);
        }
        let value: Value = serde_json::from_slice(body)?;
        match (self.whole, value) {
            (Some(whole), Value::Object(object)) => {
                if let Some(field) = self.texts {
                    each_text(&object, &mut |text| document.add_text(field, text));
                }
                document.add_object(whole, object.into_iter().map(|(key, value)| (key, value.into())).collect());
            }
            (_, value) => self.add(&mut document, &mut String::new(), value),
        }
        Ok(document)
    }

    /// Adds a value that stands at a path, and what is in it.
    fn add(&self, document: &mut TantivyDocument, path: &mut String, value: Value) {
        let field = self.paths.get(path.as_str()).copied();
        match (field, value) {
            (_, Value::Null) => {}
            (_, Value::Array(values)) => values.into_iter().for_each(|value| self.add(document, path, value)),
            (Some(field), value) => add_value(document, field, self.schema.get_field_entry(field).field_type(), value),
            (None, Value::Object(object)) => {
                let before = path.len();
                for (key, value) in object {
                    if before > 0 {
                        path.push('.');
                    }
                    path.push_str(&key);
                    self.add(document, path, value);
                    path.truncate(before);
                }
            }
            (None, _) => {}
        }
    }
}

/// Every text of a document, however deep it stands.
fn each_text(object: &serde_json::Map<String, Value>, take: &mut dyn FnMut(&str)) {
    fn of(value: &Value, take: &mut dyn FnMut(&str)) {
        match value {
            Value::String(text) => take(text),
            Value::Array(values) => values.iter().for_each(|value| of(value, take)),
            Value::Object(object) => each_text(object, take),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    object.values().for_each(|value| of(value, take));
}

fn add_value(document: &mut TantivyDocument, field: Field, kind: &tantivy::schema::FieldType, value: Value) {
    use tantivy::schema::FieldType;
    match (kind, value) {
        (FieldType::Str(_), Value::String(text)) => document.add_text(field, text),
        (FieldType::Str(_), value) => document.add_text(field, value.to_string()),
        (FieldType::I64(_), Value::Number(number)) => {
            if let Some(number) = number.as_i64() {
                document.add_i64(field, number);
            }
        }
        (FieldType::F64(_), Value::Number(number)) => {
            if let Some(number) = number.as_f64() {
                document.add_f64(field, number);
            }
        }
        (FieldType::F64(_), Value::String(text)) => {
            if let Ok(number) = text.parse() {
                document.add_f64(field, number);
            }
        }
        (FieldType::Bool(_), Value::Bool(truth)) => document.add_bool(field, truth),
        (FieldType::Date(_), Value::String(text)) => {
            if let Some(moment) = moment(&text) {
                document.add_date(field, moment);
            }
        }
        (FieldType::JsonObject(_), Value::Object(object)) => {
            document.add_object(field, object.into_iter().map(|(key, value)| (key, value.into())).collect());
        }
        _ => {}
    }
}

/// A moment, or the beginning of a day.
fn moment(text: &str) -> Option<DateTime> {
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok().map(DateTime::from_utc);
    parse(text).or_else(|| parse(&format!("{text}Z"))).or_else(|| parse(&format!("{text}T00:00:00Z")))
}
