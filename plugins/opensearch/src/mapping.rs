//! The body that makes an index: settings, analysers and the mapping, out of the contract's fields.

use std::collections::BTreeSet;

use flusso_plugin::{Error, Field, Mapping, Result};
use serde_json::{Map, Value, json};

use crate::analysis::{self, CODE, LOWERCASE, rank_name};
use crate::bulk::UNINDEXED;
use crate::field_names::FieldNames;
use crate::language::Language;
use crate::names::fold;
use crate::settings::{Settings, TextAnalysis};
use crate::words;

/// Longer values are kept and not indexed in a keyword sub-field, with the analyses that are older than [`TextAnalysis::Words`].
const IGNORE_ABOVE: u32 = 256;
/// A longer keyword is kept and not indexed: a term has at most 32 766 bytes, a character up to four of them.
const KEYWORD_IGNORE_ABOVE: u32 = 8_191;
/// Longer texts are found by their words and not as a whole: names and titles are shorter, and prose as two terms of its own
/// length would make an index more than twice as large.
const TEXT_IGNORE_ABOVE: u32 = 512;
/// Nested objects that one document may have, beside the cluster's 10 000.
const NESTED_OBJECTS: u32 = 1_000_000;
/// Fields that an index may have by the cluster's default; sub-fields count.
const DEFAULT_FIELD_LIMIT: usize = 1_000;
/// The same for nested fields.
const DEFAULT_NESTED_LIMIT: usize = 50;

/// The mapping under a hash that tells its analysis as well: another analysis is another index, which is built anew. The analyses of
/// flusso 0.15 keep the hash that the mapping has.
pub(crate) fn with_analysis(mut mapping: Mapping, settings: &Settings) -> Mapping {
    if settings.text_analysis == TextAnalysis::Words {
        let language = settings.language_of(&mapping.index, &mapping.prefix).map_or("", Language::name);
        mapping.hash = format!("{:08x}", fold(&format!("{} words {} {language}", mapping.hash, words::VERSION)));
    }
    mapping
}

/// What an index is made of: refresh off and no replicas, until it is seeded.
pub(crate) fn body(mapping: &Mapping, settings: &Settings) -> Result<Value> {
    let mut properties = Map::new();
    let mut ranks = Vec::new();
    let mut languages = BTreeSet::new();
    let language = settings.language_of(&mapping.index, &mapping.prefix);
    let names = FieldNames::of(&mapping.fields);
    for (field, path) in mapping.fields.iter().zip(&names.paths) {
        let property = property(field, settings, language, &mut ranks, &mut languages).map_err(|why| {
            Error::fatal(format!("index {:?}: field {:?}: {why}; correct its schema", mapping.index, field.path))
        })?;
        insert(&mut properties, path, property);
    }
    if !settings.strict {
        properties.insert(UNINDEXED.to_owned(), unindexed());
    }
    let mut index = Map::new();
    index.insert("number_of_shards".to_owned(), json!(settings.number_of_shards));
    index.insert("number_of_replicas".to_owned(), json!(0));
    index.insert("refresh_interval".to_owned(), json!("-1"));
    let all = count(&properties);
    if all > DEFAULT_FIELD_LIMIT {
        index.insert("mapping".to_owned(), json!({ "total_fields": { "limit": all + DEFAULT_FIELD_LIMIT / 10 } }));
    }
    let nested = mapping.fields.iter().filter(|field| field.type_ == "nested").count();
    if nested > 0 {
        let limits = index.entry("mapping").or_insert_with(|| json!({}));
        if let Some(limits) = limits.as_object_mut() {
            if nested > DEFAULT_NESTED_LIMIT {
                limits.insert("nested_fields".to_owned(), json!({ "limit": nested }));
            }
            if !settings.strict {
                limits.insert("nested_objects".to_owned(), json!({ "limit": NESTED_OBJECTS }));
            }
        }
    }
    // Without fields the builder does not know them either: the cluster finds out.
    let dynamic = if mapping.fields.is_empty() { json!(true) } else { json!("strict") };
    Ok(json!({
        "settings": { "index": index, "analysis": analysis::definitions(settings.text_analysis, &languages, &ranks) },
        "mappings": {
            "dynamic": dynamic,
            "_meta": { "flusso": { "index": mapping.index, "hash": mapping.hash, "prefix": mapping.prefix } },
            "properties": properties,
        },
    }))
}

/// The field that holds what a document's own fields cannot: which fields, and what was in them.
fn unindexed() -> Value {
    json!({ "type": "object", "properties": {
        "fields": { "type": "keyword" },
        "document": { "type": "object", "enabled": false },
    } })
}

/// One field of an index in a language; `ranks` gets the variants of an ordered enum, by the name of its analysis, `languages` the
/// languages that need one.
fn property(
    field: &Field,
    settings: &Settings,
    language: Option<Language>,
    ranks: &mut Vec<(String, Vec<String>)>,
    languages: &mut BTreeSet<Language>,
) -> std::result::Result<Map<String, Value>, String> {
    let object = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err("its options are no JSON object".to_owned()),
    };
    let mut options = object(&field.options)?;
    let language = own_language(&mut options, settings)?.unwrap_or(language);
    let with_words = settings.text_analysis == TextAnalysis::Words;
    let word = field.type_.as_str();
    let above = match type_of(word) {
        _ if !with_words => IGNORE_ABOVE,
        "text" => TEXT_IGNORE_ABOVE,
        _ => KEYWORD_IGNORE_ABOVE,
    };
    let mut property = Map::new();
    property.insert("type".to_owned(), json!(type_of(word)));
    if !settings.strict {
        property.extend(leniency(type_of(word)));
    }
    let mut fields = Map::new();
    let exact = json!({ "type": "keyword", "ignore_above": above });
    let folded = json!({ "type": "keyword", "normalizer": LOWERCASE, "ignore_above": above });
    match type_of(word) {
        "text" if settings.auto_subfields => {
            let analyzer = words::prose(language.filter(|_| with_words && word == "text"));
            if word == "text" {
                languages.extend(language.filter(|_| with_words));
            }
            property.insert("analyzer".to_owned(), json!(analyzer));
            fields.insert("keyword".to_owned(), exact);
            fields.insert("keyword_lowercase".to_owned(), folded);
        }
        "keyword" if settings.auto_subfields => {
            let mut text = json!({ "type": "text", "analyzer": CODE });
            if let Some(text) = text.as_object_mut().filter(|_| with_words) {
                text.insert("search_analyzer".to_owned(), json!(words::search(CODE)));
            }
            fields.insert("text".to_owned(), text);
            fields.insert("keyword_lowercase".to_owned(), folded);
        }
        _ => {}
    }
    if word == "identifier" {
        property.insert("analyzer".to_owned(), json!(CODE));
    }
    if let Some(variants) = &field.variants {
        let name = rank_name(&field.path);
        let sort = json!({ "type": "keyword", "normalizer": name, "ignore_above": IGNORE_ABOVE });
        fields.insert("sort".to_owned(), sort);
        ranks.push((name, variants.clone()));
    }
    if !fields.is_empty() {
        property.insert("fields".to_owned(), Value::Object(fields));
    }
    // A JSON column may hold anything, under any key: it is kept and returned, and searched only where options say how.
    let said = ["type", "dynamic", "properties", "enabled"].iter().any(|name| options.contains_key(*name));
    if word == "json" && !said {
        property.insert("enabled".to_owned(), json!(false));
    }
    // Queries are analysed like the documents: what options say of one of them must not leave the other behind.
    let ours = property.get("analyzer").and_then(Value::as_str).map(words::search);
    let said = ["type", "analyzer", "search_analyzer"].iter().any(|name| options.contains_key(*name));
    if let Some(ours) = ours.filter(|_| with_words && !said) {
        property.insert("search_analyzer".to_owned(), json!(ours));
    }
    property.extend(options);
    Ok(property)
}

/// Takes the option `language` of a field, which is not the cluster's: none, or that it has this language or none.
fn own_language(
    options: &mut Map<String, Value>,
    settings: &Settings,
) -> std::result::Result<Option<Option<Language>>, String> {
    match options.remove("language") {
        None => Ok(None),
        Some(_) if settings.text_analysis != TextAnalysis::Words => {
            Err("its option `language` needs text_analysis = \"words\"".to_owned())
        }
        Some(Value::String(none)) if none == "none" => Ok(Some(None)),
        Some(Value::String(name)) => Language::try_from(name).map(|language| Some(Some(language))),
        Some(_) => Err("its option `language` is no name of a language".to_owned()),
    }
}

/// What makes the cluster keep a value that it cannot index, in the document and out of the index, instead of refusing the whole
/// document: `infinity` among dates, `NaN` among numbers, a latitude of 91, a keyword longer than a term may be.
fn leniency(type_: &str) -> Option<(String, Value)> {
    match type_ {
        "keyword" => Some(("ignore_above".to_owned(), json!(KEYWORD_IGNORE_ABOVE))),
        "long" | "integer" | "short" | "byte" | "double" | "float" | "half_float" | "scaled_float"
        | "unsigned_long" | "date" | "date_nanos" | "geo_point" | "ip" => {
            Some(("ignore_malformed".to_owned(), json!(true)))
        }
        _ => None,
    }
}

/// The cluster's type for a word of the schema language; any other word is the cluster's own.
fn type_of(word: &str) -> &str {
    match word {
        "text" | "identifier" => "text",
        "keyword" | "enum" | "uuid" => "keyword",
        "decimal" => "double",
        "date" | "timestamp" => "date",
        "json" | "map" | "object" => "object",
        other => other,
    }
}

/// Puts a property at its place among those of its parents.
fn insert(properties: &mut Map<String, Value>, path: &str, property: Map<String, Value>) {
    match path.split_once('.') {
        None => {
            properties.insert(path.to_owned(), Value::Object(property));
        }
        Some((parent, rest)) => {
            let parent = properties.entry(parent).or_insert_with(|| json!({ "type": "object" }));
            let Some(parent) = parent.as_object_mut() else { return };
            let children = parent.entry("properties").or_insert_with(|| json!({}));
            if let Some(children) = children.as_object_mut() {
                insert(children, rest, property);
            }
        }
    }
}

/// Fields, with their sub-fields, as the cluster counts them.
fn count(properties: &Map<String, Value>) -> usize {
    let below = |one: &Value, name: &str| one.get(name).and_then(Value::as_object).map_or(0, count);
    properties.values().map(|one| 1 + below(one, "fields") + below(one, "properties")).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TextAnalysis;

    fn field(path: &str, word: &str, options: &str, variants: Option<&[&str]>) -> Field {
        Field {
            path: path.to_owned(),
            type_: word.to_owned(),
            nullable: true,
            array: false,
            options: options.to_owned(),
            variants: variants.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
            map_values: None,
            extra: None,
        }
    }

    fn made(fields: Vec<Field>, settings: &Settings) -> Value {
        let mapping =
            Mapping { index: "users".into(), hash: "1a2b3c4d5e".into(), fields, prefix: String::new(), extra: None };
        body(&mapping, settings).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Without what makes the cluster lenient, to look at types alone.
    fn strict() -> Settings {
        Settings { strict: true, ..Settings::default() }
    }

    fn one(word: &str, options: &str, variants: Option<&[&str]>) -> Value {
        made(vec![field("a", word, options, variants)], &strict())
            .pointer("/mappings/properties/a")
            .cloned()
            .unwrap_or_default()
    }

    #[test]
    fn an_index_is_strict_and_made_for_seeding() {
        let body = made(vec![field("a", "long", "{}", None)], &Settings { number_of_shards: 3, ..Settings::default() });
        assert_eq!(body.pointer("/mappings/dynamic"), Some(&json!("strict")));
        assert_eq!(
            body.pointer("/settings/index"),
            Some(&json!({ "number_of_shards": 3, "number_of_replicas": 0, "refresh_interval": "-1" }))
        );
        assert_eq!(body.pointer("/mappings/_meta/flusso/hash"), Some(&json!("1a2b3c4d5e")));
        assert_eq!(made(Vec::new(), &Settings::default()).pointer("/mappings/dynamic"), Some(&json!(true)));
    }

    #[test]
    fn every_word_of_the_language_has_its_type() {
        for (word, expected) in [
            ("boolean", "boolean"),
            ("short", "short"),
            ("integer", "integer"),
            ("long", "long"),
            ("float", "float"),
            ("double", "double"),
            ("decimal", "double"),
            ("date", "date"),
            ("timestamp", "date"),
            ("binary", "binary"),
            ("geo_point", "geo_point"),
            ("nested", "nested"),
            ("object", "object"),
            ("scaled_float", "scaled_float"),
        ] {
            assert_eq!(one(word, "{}", None), json!({ "type": expected }), "{word}");
        }
    }

    #[test]
    fn texts_and_keywords_have_sub_fields_unless_told_not_to() {
        // The analysis of flusso 0.15, and the default: longer exact values, and an analyser of queries.
        for (text_analysis, of_text, of_keyword) in
            [(TextAnalysis::Builtin, 256, 256), (TextAnalysis::Words, 512, 8_191)]
        {
            let settings = Settings { text_analysis, ..strict() };
            let one =
                |word| made(vec![field("a", word, "{}", None)], &settings).pointer("/mappings/properties/a").cloned();
            let analysed = |name: &str| match text_analysis {
                TextAnalysis::Words => {
                    json!({ "type": "text", "analyzer": name, "search_analyzer": format!("{name}_search") })
                }
                _ => json!({ "type": "text", "analyzer": name }),
            };
            let folded = |above| json!({ "type": "keyword", "normalizer": "flusso_lowercase", "ignore_above": above });
            for (word, analyzer) in [("text", "flusso_text"), ("identifier", "flusso_code")] {
                let mut text = analysed(analyzer);
                text["fields"] = json!({ "keyword": { "type": "keyword", "ignore_above": of_text }, "keyword_lowercase": folded(of_text) });
                assert_eq!(one(word), Some(text), "{word}");
            }
            let fields = json!({ "text": analysed("flusso_code"), "keyword_lowercase": folded(of_keyword) });
            for word in ["keyword", "uuid", "enum"] {
                assert_eq!(one(word), Some(json!({ "type": "keyword", "fields": fields })), "{word}");
            }
        }
        let plain = Settings { auto_subfields: false, ..strict() };
        let plain = |word| made(vec![field("a", word, "{}", None)], &plain).pointer("/mappings/properties/a").cloned();
        assert_eq!(plain("text"), Some(json!({ "type": "text" })));
        assert_eq!(
            plain("identifier"),
            Some(json!({ "type": "text", "analyzer": "flusso_code", "search_analyzer": "flusso_code_search" }))
        );
        assert_eq!(plain("keyword"), Some(json!({ "type": "keyword" })));
    }

    #[test]
    fn another_analysis_is_another_generation() {
        let hash = |settings: &Settings| {
            let mapping = Mapping {
                index: "dev_users".into(),
                hash: "1a2b3c4d5e".into(),
                fields: Vec::new(),
                prefix: "dev_".into(),
                extra: None,
            };
            with_analysis(mapping, settings).hash
        };
        let language = |name: &str| Settings { language: Some(name.to_owned()), ..Settings::default() };
        for text_analysis in [TextAnalysis::Builtin, TextAnalysis::Icu] {
            assert_eq!(hash(&Settings { text_analysis, ..Settings::default() }), "1a2b3c4d5e", "as it was");
        }
        let words = hash(&Settings::default());
        assert!(words != "1a2b3c4d5e" && words != hash(&language("german")));
        let languages = [("users".to_owned(), "german".to_owned())].into();
        assert_eq!(hash(&language("german")), hash(&Settings { languages, ..Settings::default() }));
    }

    #[test]
    fn a_field_has_a_language_of_its_own() {
        let settings = Settings { language: Some("english".to_owned()), ..strict() };
        for (options, analyzer, search) in [
            ("{}", "flusso_text_english", Some("flusso_text_english_search")),
            (r#"{"language":"french"}"#, "flusso_text_french", Some("flusso_text_french_search")),
            (r#"{"language":"none"}"#, "flusso_text", Some("flusso_text_search")),
            (r#"{"analyzer":"simple"}"#, "simple", None),
        ] {
            let body = made(vec![field("a", "text", options, None)], &settings);
            let property = body.pointer("/mappings/properties/a").cloned().unwrap_or_default();
            let found = (property["analyzer"].as_str(), property["search_analyzer"].as_str());
            assert_eq!((found, property.get("language")), ((Some(analyzer), search), None), "{options}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_indexed_is_kept_unless_strict() {
        let lenient = |word: &str, options: &str| {
            let body = made(vec![field("a", word, options, None)], &Settings::default());
            body.pointer("/mappings/properties/a").cloned().unwrap_or_default()
        };
        for word in ["long", "decimal", "date", "timestamp", "geo_point", "float"] {
            assert_eq!(lenient(word, "{}")["ignore_malformed"], json!(true), "{word}");
            assert_eq!(one(word, "{}", None).get("ignore_malformed"), None, "{word}");
        }
        for word in ["keyword", "uuid", "enum"] {
            assert_eq!(lenient(word, "{}")["ignore_above"], json!(8_191), "{word}");
        }
        assert_eq!(lenient("date", r#"{"ignore_malformed":false}"#)["ignore_malformed"], json!(false));
        assert_eq!(lenient("boolean", "{}").get("ignore_malformed"), None, "the cluster has no such option");
        let body = made(vec![field("a", "nested", "{}", None)], &Settings::default());
        assert_eq!(body.pointer("/settings/index/mapping/nested_objects/limit"), Some(&json!(1_000_000)));
    }

    #[test]
    fn options_have_the_last_word() {
        let text = one("text", r#"{"analyzer":"english","fields":{}}"#, None);
        assert_eq!(text, json!({ "type": "text", "analyzer": "english", "fields": {} }));
        assert_eq!(one("json", "{}", None), json!({ "type": "object", "enabled": false }));
        assert_eq!(one("json", r#"{"dynamic":true}"#, None), json!({ "type": "object", "dynamic": true }));
        assert_eq!(one("json", r#"{"type":"flat_object"}"#, None), json!({ "type": "flat_object" }));
        assert_eq!(one("object", r#"{"dynamic":true}"#, None), json!({ "type": "object", "dynamic": true }));
    }

    #[test]
    fn an_ordered_enum_sorts_by_its_rank() {
        let fields = vec![field("o", "nested", "{}", None), field("o.tier", "enum", "{}", Some(&["free", "paid"]))];
        let body = made(fields, &Settings { auto_subfields: false, ..strict() });
        let name = rank_name("o.tier");
        let sort = json!({ "type": "keyword", "normalizer": name, "ignore_above": 256 });
        assert_eq!(body.pointer("/mappings/properties/o/properties/tier/fields/sort"), Some(&sort));
        assert_eq!(
            body.pointer(&format!("/settings/analysis/char_filter/{name}/mappings")),
            Some(&json!(["free => 0", "paid => 1"]))
        );
    }

    #[test]
    fn children_stand_inside_their_parents() {
        let fields = vec![
            field("company", "object", "{}", None),
            field("company.name", "long", "{}", None),
            field("orders", "nested", r#"{"include_in_root":true}"#, None),
            field("orders.items", "nested", "{}", None),
            field("orders.items.sku", "long", "{}", None),
        ];
        let expected = json!({
            "company": { "type": "object", "properties": { "name": { "type": "long" } } },
            "orders": { "type": "nested", "include_in_root": true, "properties": {
                "items": { "type": "nested", "properties": { "sku": { "type": "long" } } } } },
        });
        assert_eq!(made(fields, &strict()).pointer("/mappings/properties"), Some(&expected));
    }

    #[test]
    fn many_fields_get_room() {
        let fields: Vec<_> = (0..400).map(|number| field(&format!("f{number}"), "text", "{}", None)).collect();
        let limit = |body: &Value, what: &str| {
            body.pointer(&format!("/settings/index/mapping/{what}/limit")).and_then(Value::as_u64)
        };
        let body = made(fields, &Settings::default());
        assert_eq!((limit(&body, "total_fields"), limit(&body, "nested_fields")), (Some(1_303), None));
        let nested: Vec<_> = (0..60).map(|number| field(&format!("f{number}"), "nested", "{}", None)).collect();
        assert_eq!(limit(&made(nested, &Settings::default()), "nested_fields"), Some(60));
    }

    #[test]
    fn icu_takes_the_place_of_what_is_built_in() {
        let settings = Settings { text_analysis: TextAnalysis::Icu, ..Settings::default() };
        let body = made(Vec::new(), &settings);
        assert_eq!(body.pointer("/settings/analysis/analyzer/flusso_text/tokenizer"), Some(&json!("icu_tokenizer")));
        assert_eq!(
            body.pointer("/settings/analysis/normalizer/flusso_lowercase/filter"),
            Some(&json!(["icu_normalizer"]))
        );
    }

    #[test]
    fn options_that_are_none_are_an_error_that_names_the_field() {
        let mapping = Mapping {
            index: "users".into(),
            hash: "h".into(),
            fields: vec![field("a.b", "long", "[", None)],
            prefix: String::new(),
            extra: None,
        };
        assert!(body(&mapping, &Settings::default()).is_err_and(|error| format!("{error:?}").contains("a.b")));
    }
}
