//! The default analysis: what people type into a search box, with plain `match` queries. `Wi-Fi` is found as `wifi`, `wi fi` and
//! `wi-fi`, `L'Oréal` as `loreal` and `oreal`, `AB-00042` as `42`, `C++` as `c++` and not as `c`.
//!
//! The analyser of documents makes more terms of a word than the one of queries: a query asks for the word as a whole or for all its
//! parts in their order, so that `wi-fi` does not find every `fi`, and `00042` does not find every `42`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::analysis::{CODE, PROSE};
use crate::language::Language;

/// To be raised with every change of what is below: the generations of an index are told apart by it, so a new number rebuilds.
pub(crate) const VERSION: u32 = 2;

/// White space, which ends a word.
const SPACE: &str = " \t\n\r\u{b}\u{c}\u{85}\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
/// Scripts that have no spaces between words: each character is a word, as in the cluster's `standard` tokenizer.
const UNSPACED: &str = "\u{3041}-\u{309f}\u{2e80}-\u{2fdf}\u{3005}-\u{3007}\u{3400}-\u{4dbf}\u{4e00}-\u{9fff}\u{f900}-\u{faff}\u{20000}-\u{3fffd}";

/// The analyser of documents in a language.
pub(crate) fn prose(language: Option<Language>) -> String {
    language.map_or_else(|| PROSE.to_owned(), |language| format!("{PROSE}_{}", language.name()))
}

/// The analyser of queries that goes with one of documents.
pub(crate) fn search(analyzer: &str) -> String {
    format!("{analyzer}_search")
}

/// Tokenizer, character filters, filters and analysers, for these languages beside the one without stems.
pub(crate) fn definitions(languages: &BTreeSet<Language>) -> Value {
    // A query needs the graph of a word's parts. An index cannot hold one: there the filter that makes none takes a third less
    // time than one that does and `flatten_graph` after it.
    let delimiter = |type_: &str| json!({ "type": type_, "catenate_all": true, "preserve_original": true });
    // `Levi's` is found as `levis`, so its `s` is a part like others; `iPhone15` as `iphone`, so words are joined without a number.
    let parts = |type_: &str| json!({ "type": type_, "catenate_words": true, "catenate_all": true, "stem_english_possessive": false });
    let mut filters = json!({
        "flusso_word_delimiter": delimiter("word_delimiter"),
        "flusso_word_delimiter_search": delimiter("word_delimiter_graph"),
        "flusso_word_parts": parts("word_delimiter"),
        "flusso_word_parts_search": parts("word_delimiter_graph"),
        "flusso_number": { "type": "pattern_capture", "preserve_original": true, "patterns": ["^0+([1-9][0-9]*)$"] },
    });
    let mut analyzers = Map::new();
    let mut add = |name: String, indexed: &[&str], searched: &[&str]| {
        for (name, filter) in [(search(&name), searched), (name, indexed)] {
            let symbols = ["flusso_plusplus", "flusso_sharp", "flusso_dot"];
            let one =
                json!({ "type": "custom", "char_filter": symbols, "tokenizer": "flusso_words", "filter": filter });
            analyzers.insert(name, one);
        }
    };
    add(
        CODE.to_owned(),
        &["flusso_word_delimiter", "flusso_number", "lowercase", "asciifolding"],
        &["flusso_word_delimiter_search", "lowercase", "asciifolding"],
    );
    add(
        PROSE.to_owned(),
        &["flusso_word_parts", "flusso_number", "lowercase", "asciifolding"],
        &["flusso_word_parts_search", "lowercase", "asciifolding"],
    );
    for language in languages {
        let name = language.name();
        let own = |what: &str| format!("flusso_{what}_{name}");
        let (stems, lowercase, elision) = (own("stems"), own("lowercase"), own("elision"));
        let mut add_filter = |key: &str, filter: Value| {
            if let Some(filters) = filters.as_object_mut() {
                filters.insert(key.to_owned(), filter);
            }
        };
        add_filter(&stems, json!({ "type": "stemmer", "language": language.stemmer }));
        let lowercase = match name {
            "greek" | "irish" | "turkish" => {
                add_filter(&lowercase, json!({ "type": "lowercase", "language": name }));
                lowercase.as_str()
            }
            _ => "lowercase",
        };
        let ends = [lowercase, stems.as_str(), "asciifolding"];
        let mut indexed = vec!["flusso_word_parts", "flusso_number"];
        indexed.extend(ends);
        let mut searched = Vec::new();
        if !language.articles().is_empty() {
            let filter = json!({ "type": "elision", "articles_case": true, "articles": language.articles() });
            add_filter(&elision, filter);
            searched.push(elision.as_str());
        }
        searched.push("flusso_word_parts_search");
        searched.extend(ends);
        add(prose(Some(*language)), &indexed, &searched);
    }
    let letter = "(?<![\\p{L}\\p{N}])\\p{L}";
    // Each pattern begins with its symbol, so that almost every place of a text is passed over after one comparison.
    let symbol =
        |pattern: String, word: &str| json!({ "type": "pattern_replace", "pattern": pattern, "replacement": word });
    json!({
        "char_filter": {
            // Names that are one letter and a symbol, or a word behind a dot; elsewhere symbols are what separates words.
            "flusso_plusplus": symbol(format!("\\+\\+(?<={letter}\\+\\+)(?![\\p{{L}}\\p{{N}}])"), "plusplus"),
            "flusso_sharp": symbol(format!("#(?<={letter}#)(?![\\p{{L}}\\p{{N}}])"), "sharp"),
            "flusso_dot": symbol("\\.(?<![\\p{L}\\p{N}.]\\.)(?=\\p{L})".to_owned(), "dot"),
        },
        // At most 255 characters, as with the cluster's own: a longer term could be refused.
        "tokenizer": {
            "flusso_words": { "type": "simple_pattern", "pattern": format!("[{UNSPACED}]|[^{SPACE}{UNSPACED}]{{1,255}}") },
        },
        "filter": filters,
        "analyzer": analyzers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::fold;

    /// Keys in order, whatever order the map type of the build keeps them in.
    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let members: std::collections::BTreeMap<_, _> =
                    members.into_iter().map(|(key, value)| (key, sorted(value))).collect();
                members.into_iter().collect()
            }
            Value::Array(items) => items.into_iter().map(sorted).collect(),
            scalar => scalar,
        }
    }

    /// A change here needs another [`VERSION`], and then another number in this test.
    #[test]
    fn a_change_of_the_analysis_has_a_version() {
        let german = Language::try_from("german".to_owned()).unwrap_or_else(|why| panic!("{why}"));
        let text = sorted(definitions(&BTreeSet::from([german]))).to_string();
        assert_eq!((VERSION, fold(&text)), (2, 1_069_019_891));
    }
}
