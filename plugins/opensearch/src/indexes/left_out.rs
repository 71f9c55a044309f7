//! What the index lacks of its documents: values that the mapping leaves out, and fields that are kept unindexed, counted by the
//! cluster when an index is marked seeded, and now and then while it is written to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flusso_plugin::{Target, log};
use serde_json::{Map, Value, json};

use super::Indexes;
use crate::bulk::UNINDEXED;
use crate::client::Client;
use crate::cluster;

/// How long after a count the next one is made, at least.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// Fields that are counted in one request.
const MAX_FIELDS: usize = 500;
/// Fields that are named for an index; the others are one number.
const MAX_NAMED: usize = 20;

/// What was counted last of one index.
#[derive(Default)]
pub(super) struct LeftOut {
    at: Option<Instant>,
    /// By a field and why it is left out.
    counts: BTreeMap<(String, &'static str), u64>,
}

impl Indexes {
    /// Counts what is left out of an index and says what is new since the last count. Nothing depends on it, so it fails nothing.
    pub(crate) fn say_left_out(&mut self, client: &mut Client, target: Target) {
        let Ok(generation) = self.get(target) else { return };
        let (name, index) = (generation.name.clone(), generation.index().to_owned());
        let counts = counts(client, &name).unwrap_or_default();
        let known = self.left_out.entry(target).or_default();
        known.at = Some(Instant::now());
        let new = counts.iter().filter(|(field, count)| known.counts.get(field) != Some(count));
        for (place, ((field, why), count)) in new.enumerate() {
            if place == MAX_NAMED {
                log::warn("more fields of this index are left out of it in some documents", &[("index", &index)]);
                break;
            }
            let message = format!("field {field:?} is left out of the index in {count} documents: {why}");
            log::warn(&message, &[("index", &index)]);
        }
        known.counts = counts;
    }

    /// The same for indexes that were counted an hour ago or earlier, of those that are marked seeded.
    pub(crate) fn say_left_out_again(&mut self, client: &mut Client, targets: &[Target]) {
        for target in targets {
            let known = self.left_out.entry(*target).or_default();
            let at = *known.at.get_or_insert_with(Instant::now);
            if at.elapsed() >= INTERVAL {
                self.say_left_out(client, *target);
            }
        }
    }
}

/// Documents by field and reason; none: the cluster does not say.
fn counts(client: &mut Client, name: &str) -> Option<BTreeMap<(String, &'static str), u64>> {
    let mapping = cluster::mapping(client, name)?;
    let mut filters = Vec::new();
    fields(mapping.get("properties")?.as_object()?, "", &mut filters);
    let mut counts = BTreeMap::new();
    for some in filters.chunks(MAX_FIELDS) {
        let numbered = some.iter().enumerate().map(|(place, one)| (place.to_string(), one.query.clone()));
        let filters: Map<String, Value> = numbered.collect();
        let body = json!({ "size": 0, "track_total_hits": false, "aggs": { "left_out": { "filters": { "filters": filters } } } });
        let answer = cluster::aggregations(client, name, &body)?;
        for (place, one) in some.iter().enumerate() {
            let count = answer.pointer(&format!("/left_out/buckets/{place}/doc_count")).and_then(Value::as_u64);
            if let Some(count) = count.filter(|count| *count > 0) {
                counts.insert((one.field.clone(), one.why), count);
            }
        }
    }
    let body = json!({ "size": 0, "aggs": { "fields": { "terms": { "field": format!("{UNINDEXED}.fields"), "size": MAX_FIELDS } } } });
    let answer = cluster::aggregations(client, name, &body)?;
    for bucket in answer.pointer("/fields/buckets").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(field), Some(count)) = (bucket["key"].as_str(), bucket["doc_count"].as_u64()) {
            counts.insert(
                (field.to_owned(), "the mapping does not take it; it is in `flusso_unindexed.document`"),
                count,
            );
        }
    }
    Some(counts)
}

/// One way in which a field may be left out, and the query for such documents.
struct Filter {
    field: String,
    why: &'static str,
    query: Value,
}

/// The filters of every field. Nested fields count for their document.
fn fields(properties: &Map<String, Value>, above: &str, found: &mut Vec<Filter>) {
    for (name, property) in properties {
        let path = format!("{above}{name}");
        if property.get("ignore_malformed") == Some(&json!(true)) {
            let query = json!({ "term": { "_ignored": path } });
            found.push(Filter { field: path.clone(), why: "malformed, out of range or no number or date", query });
        }
        // A keyword that is too long is found by its words alone.
        let words = property.get("fields").and_then(Value::as_object).into_iter().flatten();
        let mut words = words.filter(|(_, one)| one["type"] == "text").map(|(name, _)| name);
        if let (true, Some(words)) = (property.get("ignore_above").is_some(), words.next()) {
            let words = json!({ "exists": { "field": format!("{path}.{words}") } });
            let query = json!({ "bool": { "must": words, "must_not": { "exists": { "field": path } } } });
            found.push(Filter { field: path.clone(), why: "longer than a keyword may be", query });
        }
        if let Some(below) = property.get("properties").and_then(Value::as_object) {
            fields(below, &format!("{path}."), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_left_out_is_looked_for() {
        let properties = json!({
            "n": { "type": "long", "ignore_malformed": true },
            "exact": { "type": "long" },
            "k": { "type": "keyword", "ignore_above": 8191, "fields": { "folded": { "type": "keyword" }, "words": { "type": "text" } } },
            "plain": { "type": "keyword", "ignore_above": 8191 },
            "o": { "type": "nested", "properties": { "day": { "type": "date", "ignore_malformed": true } } },
        });
        let mut found = Vec::new();
        fields(properties.as_object().expect("an object"), "", &mut found);
        let mut found: Vec<_> = found.into_iter().map(|one| (one.field, one.query)).collect();
        // The order of the mapping's keys is that of the build's map type.
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let both = json!({ "bool": { "must": { "exists": { "field": "k.words" } }, "must_not": { "exists": { "field": "k" } } } });
        assert_eq!(
            found,
            [
                ("k".to_owned(), both),
                ("n".to_owned(), json!({ "term": { "_ignored": "n" } })),
                ("o.day".to_owned(), json!({ "term": { "_ignored": "o.day" } })),
            ]
        );
    }
}
