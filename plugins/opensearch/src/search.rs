//! What `flusso-host search` asks the cluster, in the language of `query_string`: `ada AND country:GB`, `total:[10 TO 20]`. A list of
//! objects is nested in the index, so a query is asked of the document and of each of its lists, and fits where all of it fits one of
//! them.

use flusso_plugin::{Error, Found, Highlight, Hit, Result, Search, Settings as Given};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::OpenSearch;
use crate::cluster;
use crate::cluster_error::ClusterError;
use crate::inventory::opened;
use crate::names::accepted;
use crate::url::encode;

/// Characters of a highlight.
const HIGHLIGHT: usize = 150;

/// The answer of the cluster, as far as it is shown.
#[derive(Deserialize)]
struct Answer {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    total: Total,
    hits: Vec<One>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct One {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_score")]
    score: Option<f64>,
    #[serde(rename = "_source")]
    source: Box<RawValue>,
    #[serde(default)]
    highlight: Map<String, Value>,
    #[serde(default)]
    inner_hits: Map<String, Value>,
}

impl Search for OpenSearch {
    fn query(settings: Given, index: String, query: String, limit: u32, offset: u32) -> Result<Found> {
        let (mut client, _) = opened(&settings)?;
        let name = encode(&accepted(&index));
        let answer = client.ask("GET", &format!("/{name}/_mapping"), None)?;
        if answer.status == 404 {
            let there = cluster::indexes(&mut client, "")?;
            let mut names: Vec<String> =
                there.into_values().filter_map(|found| found.origin).map(|origin| origin.index).collect();
            names.sort();
            names.dedup();
            let there = if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
            return Err(Error::configuration(
                "index",
                format!("the cluster at {} has no index {index:?}; there are: {there}", client.address()),
            ));
        }
        if !(200..300).contains(&answer.status) {
            return Err(client.refused(&answer, "reading the mapping"));
        }
        let mapping: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let asked = request(&query, &nested(&mapping), limit, offset);
        let answer = client.ask("POST", &format!("/{name}/_search"), Some(&asked))?;
        if answer.status == 400 {
            let reason = ClusterError::of(&answer).cause_text();
            return Err(Error::configuration("query", format!("{query:?}: {reason}")));
        }
        if !(200..300).contains(&answer.status) {
            return Err(client.refused(&answer, "searching"));
        }
        let Answer { hits } = serde_json::from_slice(&answer.body).map_err(|error| {
            Error::transient(format!("searching: the answer of {} makes no sense: {error}", client.address()))
        })?;
        Ok(Found { total: hits.total.value, hits: hits.hits.into_iter().map(hit).collect(), extra: None })
    }
}

/// The fields of a mapping that hold lists of objects.
fn nested(mapping: &Value) -> Vec<String> {
    fn collect(properties: Option<&Value>, before: &str, found: &mut Vec<String>) {
        for (name, field) in properties.and_then(Value::as_object).into_iter().flatten() {
            let path = format!("{before}{name}");
            collect(field.get("properties"), &format!("{path}."), found);
            if field.get("type").and_then(Value::as_str) == Some("nested") && !found.contains(&path) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for index in mapping.as_object().into_iter().flat_map(Map::values) {
        collect(index.pointer("/mappings/properties"), "", &mut found);
    }
    found
}

/// The body of a search.
fn request(query: &str, nested: &[String], limit: u32, offset: u32) -> Value {
    let highlight = |of: &str| {
        json!({
            "pre_tags": ["<b>"], "post_tags": ["</b>"], "encoder": "html", "fragment_size": HIGHLIGHT, "number_of_fragments": 1,
            "require_field_match": false, "fields": { of: {} },
        })
    };
    let words = json!({ "query_string": { "query": query, "lenient": true } });
    let inside = |path: &String| {
        let inner = json!({ "size": 1, "_source": false, "highlight": highlight(&format!("{path}.*")) });
        // A word without a field is looked for in the list's own fields.
        let words =
            json!({ "query_string": { "query": query, "lenient": true, "default_field": format!("{path}.*") } });
        json!({ "nested": { "path": path, "query": words, "inner_hits": inner } })
    };
    let any: Vec<Value> = std::iter::once(words).chain(nested.iter().map(inside)).collect();
    json!({
        "from": offset, "size": limit, "track_total_hits": true, "highlight": highlight("*"),
        "query": { "bool": { "should": any, "minimum_should_match": 1 } },
    })
}

fn hit(one: One) -> Hit {
    let inner = one.inner_hits.values().flat_map(|inner| {
        let first = inner.pointer("/hits/hits/0/highlight").and_then(Value::as_object);
        first.into_iter().flatten()
    });
    let place = |(field, texts): (&String, &Value)| {
        let text = texts.get(0).and_then(Value::as_str)?.to_owned();
        Some(Highlight { field: field.clone(), text })
    };
    let highlights = one.highlight.iter().chain(inner).filter_map(place).collect();
    let body = one.source.get().as_bytes().to_vec();
    Hit { id: one.id, score: one.score.unwrap_or_default(), body, highlights, extra: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_asked_of_every_list_of_objects() {
        let mapping = json!({ "orders_1": { "mappings": { "properties": {
            "name": { "type": "text" },
            "customer": { "properties": { "pets": { "type": "nested", "properties": { "name": { "type": "text" } } } } },
            "items": { "type": "nested", "properties": { "parts": { "type": "nested" } } },
        } } } });
        let mut paths = nested(&mapping);
        paths.sort();
        assert_eq!(paths, ["customer.pets", "items", "items.parts"]);
        let asked = request("ada", &paths, 5, 10);
        assert_eq!(asked.pointer("/query/bool/should/1/nested/path"), Some(&json!("customer.pets")));
        assert_eq!(asked.pointer("/from"), Some(&json!(10)));
    }
}
