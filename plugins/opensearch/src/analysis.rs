//! How texts are cut into terms: one analyser for prose, one for codes (`C-01234` is found as `c`, `01234`, `c01234` and
//! `c-01234`), a normaliser that folds case and accents, and for each ordered enum one that puts its rank in its place.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::language::Language;
use crate::names::fold;
use crate::settings::TextAnalysis;
use crate::words;

/// The analyser for prose.
pub(crate) const PROSE: &str = "flusso_text";
/// The analyser for codes.
pub(crate) const CODE: &str = "flusso_code";
/// The normaliser.
pub(crate) const LOWERCASE: &str = "flusso_lowercase";

/// What the ranks of the enum at a path are called.
pub(crate) fn rank_name(path: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let plain: String = path.chars().map(|one| if is_plain(one) { one } else { '_' }).collect();
    // Two paths never share a name: `a.b` is not `a_b`.
    if path.chars().all(is_plain) {
        format!("flusso_enumsort__{plain}")
    } else {
        format!("flusso_enumsort__{plain}_{:08x}", fold(path))
    }
}

/// The part `analysis` of an index's settings. All of it is always there, so that a field's options may name any of it.
pub(crate) fn definitions(
    analysis: TextAnalysis,
    languages: &BTreeSet<Language>,
    ranks: &[(String, Vec<String>)],
) -> Value {
    let (fold, prose, normal) = match analysis {
        TextAnalysis::Builtin | TextAnalysis::Words => (
            "asciifolding",
            json!({ "type": "custom", "tokenizer": "standard", "filter": ["lowercase", "asciifolding"] }),
            json!(["lowercase", "asciifolding"]),
        ),
        TextAnalysis::Icu => (
            "icu_folding",
            json!({ "type": "custom", "tokenizer": "icu_tokenizer", "filter": ["icu_normalizer", "icu_folding"] }),
            json!(["icu_normalizer"]),
        ),
    };
    let code = json!({
        "type": "custom",
        "tokenizer": "whitespace",
        // The delimiter makes a graph, which an index cannot hold.
        "filter": ["flusso_word_delimiter", "flatten_graph", "lowercase", fold],
    });
    let mut normalizers = Map::new();
    normalizers.insert(LOWERCASE.to_owned(), json!({ "type": "custom", "filter": normal }));
    let mut char_filters = Map::new();
    for (name, variants) in ranks {
        char_filters.insert(name.clone(), json!({ "type": "mapping", "mappings": rules(variants) }));
        normalizers.insert(name.clone(), json!({ "type": "custom", "char_filter": [name], "filter": [] }));
    }
    let own = json!({
        "filter": {
            "flusso_word_delimiter": { "type": "word_delimiter_graph", "catenate_all": true, "preserve_original": true },
        },
        "analyzer": { CODE: code, PROSE: prose },
    });
    let mut all = if analysis == TextAnalysis::Words { words::definitions(languages) } else { own };
    if let Some(all) = all.as_object_mut() {
        all.insert("normalizer".to_owned(), Value::Object(normalizers));
        if !char_filters.is_empty() {
            let known = all.entry("char_filter").or_insert_with(|| json!({}));
            if let Some(known) = known.as_object_mut() {
                known.extend(char_filters);
            }
        }
    }
    all
}

/// A rule a variant, whose rank has as many digits as the last one's.
fn rules(variants: &[String]) -> Vec<String> {
    let width = variants.len().saturating_sub(1).to_string().len();
    let ranked = variants.iter().enumerate().filter(|(_, variant)| !variant.is_empty());
    ranked.map(|(rank, variant)| format!("{} => {rank:0width$}", escape(variant))).collect()
}

/// A variant as the left side of a rule, whose ends are trimmed and whose backslashes mean something.
fn escape(variant: &str) -> String {
    let mut out = String::with_capacity(variant.len());
    for unit in variant.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(one) if one.is_alphanumeric() || "-_./+:".contains(one) => out.push(one),
            _ => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_sort_as_texts_do() {
        let variants: Vec<String> = (0..12).map(|number| format!("v{number}")).collect();
        let rules = rules(&variants);
        assert_eq!(
            (rules.first().map(String::as_str), rules.last().map(String::as_str)),
            (Some("v0 => 00"), Some("v11 => 11"))
        );
    }

    #[test]
    fn a_variant_cannot_break_its_rule() {
        let variants = [" a => b\\n".to_owned(), String::new(), "in progress".to_owned()];
        assert_eq!(rules(&variants), ["\\u0020a\\u0020\\u003d\\u003e\\u0020b\\u005cn => 0", "in\\u0020progress => 2"]);
    }

    #[test]
    fn names_of_ranks_hold_nothing_that_means_something() {
        assert_eq!(rank_name("orders_tier"), "flusso_enumsort__orders_tier");
        let dotted = rank_name("orders.tier");
        assert!(
            dotted.starts_with("flusso_enumsort__orders_tier_") && dotted.bytes().all(|byte| byte != b'.'),
            "{dotted}"
        );
    }
}
