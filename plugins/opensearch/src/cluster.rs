//! What is asked of the cluster beside bulk requests: indexes, aliases, marks. One function a request.

use std::collections::BTreeMap;

use flusso_plugin::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::Client;
use crate::cluster_error::ClusterError;
use crate::http::Response;
use crate::names::Names;
use crate::url::encode;

/// An index as it is found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Tells this index from any other that had or will have its name.
    pub(crate) token: String,
    /// Its aliases, with the conditions that they were given (`filter`, `index_routing`, `is_write_index`).
    pub(crate) aliases: BTreeMap<String, Value>,
    /// Whether it was closed.
    pub(crate) closed: bool,
    /// Its blocks, as `index.blocks` names them: `write`, `read_only_allow_delete`.
    pub(crate) blocks: Vec<String>,
    pub(crate) shards: u32,
    /// Whether refreshing is off, as while seeding.
    pub(crate) sleeps: bool,
    /// When it was made, in milliseconds since 1970.
    pub(crate) made: u64,
    /// What it was made for, where it was made by this plugin.
    pub(crate) origin: Option<Origin>,
}

/// What an index was made for, as its mapping says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) index: String,
    pub(crate) hash: String,
    #[serde(default)]
    pub(crate) prefix: String,
    /// How often its documents were found to be in the wrong shards. It counts as another index after each time.
    #[serde(default)]
    pub(crate) renewed: u64,
}

/// What is remembered of an index: one document of the meta index, under the alias with the mapping's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// For people: the generation's name.
    pub(crate) active_generation: String,
    pub(crate) seeded: bool,
    /// Of what index this speaks. One that was removed and made again, or restored from a backup, is another.
    #[serde(default)]
    pub(crate) token: String,
    #[serde(default)]
    pub(crate) history: String,
}

/// What the cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Version {
    pub(crate) number: String,
    /// `opensearch`, or empty.
    pub(crate) distribution: String,
}

impl Version {
    /// Whether writing only to an alias can be asked for: everything but Elasticsearch before 7.10.
    pub(crate) fn can_require_alias(&self) -> bool {
        let mut parts = self.number.split('.').map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
        let (major, minor) = (parts.next().unwrap_or(u32::MAX), parts.next().unwrap_or(u32::MAX));
        self.distribution == "opensearch" || self.number.is_empty() || (major, minor) >= (7, 10)
    }
}

fn read<T: DeserializeOwned>(client: &Client, answer: &Response, doing: &str) -> Result<T> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        Error::transient(format!(
            "{doing}: the answer of {} makes no sense ({error}); is it a search cluster?",
            client.address()
        ))
    })
}

fn is_fine(answer: &Response) -> bool {
    (200..300).contains(&answer.status)
}

/// The product and version that the cluster reports. One that reports none (a managed service, a user with few rights) is
/// treated as a current OpenSearch.
pub(crate) fn version(client: &mut Client) -> Result<Version> {
    #[derive(Deserialize)]
    struct Root {
        version: Version,
    }
    let answer = client.ask("GET", "/", None)?;
    match answer.status {
        200..300 => Ok(serde_json::from_slice::<Root>(&answer.body).map(|root| root.version).unwrap_or_default()),
        403 | 404 => Ok(Version::default()),
        _ => Err(client.refused(&answer, "greeting")),
    }
}

/// The ingest pipeline that documents go through must be there: each document would be refused for it otherwise.
pub(crate) fn check_pipeline(client: &mut Client, name: &str) -> Result<()> {
    let answer = client.ask("GET", &format!("/_ingest/pipeline/{}", encode(name)), None)?;
    match answer.status {
        404 => Err(Error::configuration(
            "pipeline",
            format!("the cluster has no ingest pipeline {name:?}; create it there"),
        )),
        // Without the right to look, the first document will tell.
        200..300 | 403 => Ok(()),
        _ => Err(client.refused(&answer, "looking for the ingest pipeline")),
    }
}

/// The indexes whose names begin with `prefix`, by name.
pub(crate) fn indexes(client: &mut Client, prefix: &str) -> Result<BTreeMap<String, Found>> {
    look(client, &format!("{}*", encode(prefix)))
}

/// The longest list of names in one request: its first line may have 4 096 bytes.
const MAX_LIST_BYTES: usize = 2_800;

/// The generations of these, and every index that one of their aliases stands before, whoever put it there; also an index that
/// has the plain name itself.
pub(crate) fn owned(client: &mut Client, names: &[Names]) -> Result<BTreeMap<String, Found>> {
    let list: Vec<String> = names.iter().map(expression).collect();
    look(client, &list.join(","))
}

/// How many of these one request can ask for; one at least.
pub(crate) fn names_in_one_request(names: &[Names]) -> usize {
    let mut bytes = 0;
    let fit = names.iter().take_while(|names| {
        bytes += expression(names).len() + 1;
        bytes <= MAX_LIST_BYTES
    });
    fit.count().max(1).min(names.len())
}

fn expression(names: &Names) -> String {
    let (alias, index) = (encode(&names.alias), encode(&names.index));
    format!("{alias}_*,{alias},{index}")
}

fn look(client: &mut Client, list: &str) -> Result<BTreeMap<String, Found>> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        aliases: BTreeMap<String, Value>,
        #[serde(default)]
        settings: Value,
        #[serde(default)]
        mappings: Value,
    }
    let keys =
        ["uuid", "history", "refresh_interval", "creation_date", "number_of_shards", "verified_before_close", "blocks"];
    let keys = keys.map(|key| format!("*.settings.index.{key}")).join(",");
    let fields = format!("*.aliases,*.mappings._meta.flusso,{keys}");
    let target = format!("/{list}?ignore_unavailable=true&expand_wildcards=open,closed&filter_path={fields}");
    let answer = client.ask("GET", &target, None)?;
    if answer.status == 404 {
        return Ok(BTreeMap::new());
    }
    if !is_fine(&answer) {
        return Err(client.refused(&answer, "looking for indexes"));
    }
    let entries: BTreeMap<String, Entry> = read(client, &answer, "looking for indexes")?;
    let found = |Entry { aliases, settings, mappings }: Entry| {
        let text = |pointer| settings.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let origin = mappings.pointer("/_meta/flusso").and_then(|origin| Origin::deserialize(origin).ok());
        // A backup that is restored over an index keeps its number, but gets another history.
        let mut token = format!("{}.{}", text("/index/uuid"), text("/index/history/uuid"));
        if let Some(renewed) = origin.as_ref().map(|origin: &Origin| origin.renewed).filter(|renewed| *renewed > 0) {
            token.push_str(&format!(".{renewed}"));
        }
        Found {
            token,
            aliases,
            closed: text("/index/verified_before_close") == "true",
            blocks: set_blocks(settings.pointer("/index/blocks")),
            shards: text("/index/number_of_shards").parse().unwrap_or(1),
            sleeps: text("/index/refresh_interval") == "-1",
            made: text("/index/creation_date").parse().unwrap_or(0),
            origin,
        }
    };
    Ok(entries.into_iter().map(|(name, entry)| (name, found(entry))).collect())
}

/// The blocks that are set, from the object that holds them.
fn set_blocks(blocks: Option<&Value>) -> Vec<String> {
    let is_set = |value: &Value| value == "true" || *value == Value::Bool(true);
    let all = blocks.and_then(Value::as_object).into_iter().flatten();
    all.filter(|(_, value)| is_set(value)).map(|(name, _)| name.clone()).collect()
}

/// The blocks of the whole cluster: `read_only`, `create_index`. None where it does not say.
pub(crate) fn blocks(client: &mut Client) -> Result<Vec<String>> {
    let answer = client.ask("GET", "/_cluster/settings?filter_path=*.cluster.blocks", None)?;
    if !is_fine(&answer) {
        return Ok(Vec::new());
    }
    let all: BTreeMap<String, Value> = read(client, &answer, "looking at the cluster's settings")?;
    let mut blocks: Vec<String> = all.values().flat_map(|one| set_blocks(one.pointer("/cluster/blocks"))).collect();
    blocks.sort();
    blocks.dedup();
    Ok(blocks)
}

/// Whether the cluster has the plugin analysis-icu; also where it does not say.
pub(crate) fn has_icu(client: &mut Client) -> Result<bool> {
    let body = json!({ "tokenizer": "icu_tokenizer", "text": "a" });
    Ok(client.ask("POST", "/_analyze", Some(&body))?.status != 400)
}

/// The indexes behind an alias, or an index of that name itself.
pub(crate) fn behind(client: &mut Client, alias: &str) -> Result<Vec<String>> {
    let target = format!("/{}?filter_path=*.settings.index.uuid&expand_wildcards=open,closed", encode(alias));
    let answer = client.ask("GET", &target, None)?;
    match answer.status {
        404 => Ok(Vec::new()),
        200..300 => {
            Ok(read::<BTreeMap<String, Value>>(client, &answer, "looking behind an alias")?.into_keys().collect())
        }
        _ => Err(client.refused(&answer, "looking behind an alias")),
    }
}

/// Makes an index.
pub(crate) fn create(client: &mut Client, name: &str, body: &Value) -> Result<()> {
    let answer = client.ask("PUT", &format!("/{}", encode(name)), Some(body))?;
    if is_fine(&answer) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body);
    if text.contains("resource_already_exists_exception") {
        // Its answer was lost, or another host makes the same: what is there is looked at again.
        return Err(Error::transient(format!(
            "index {name} was created by another client at the same moment; it is looked up again"
        )));
    }
    if text.contains("invalid_alias_name_exception") {
        let message = format!(
            "an index in the cluster has the name of an alias that index {name} needs; rename or remove it there"
        );
        return Err(Error::fatal(message));
    }
    if answer.status == 400 && text.contains("icu_") {
        let message = "the cluster does not have icu; install its plugin analysis-icu on every node, or set `text_analysis = \"builtin\"`";
        return Err(Error::configuration("text_analysis", message));
    }
    Err(client.refused(&answer, &format!("making index {name}")))
}

/// Removes an index; one that is not there is fine.
pub(crate) fn remove(client: &mut Client, name: &str) -> Result<()> {
    let answer = client.ask("DELETE", &format!("/{}", encode(name)), None)?;
    if is_fine(&answer) || answer.status == 404 {
        Ok(())
    } else {
        Err(client.refused(&answer, &format!("removing index {name}")))
    }
}

/// Changes aliases, all at one moment.
pub(crate) fn aliases(client: &mut Client, actions: &[Value]) -> Result<()> {
    let answer = client.ask("POST", "/_aliases", Some(&json!({ "actions": actions })))?;
    if is_fine(&answer) {
        return Ok(());
    }
    if String::from_utf8_lossy(&answer.body).contains("invalid_alias_name_exception") {
        let cause = ClusterError::of(&answer).cause.text();
        let message = format!("an index in the cluster has the name of an alias; rename or remove it there: {cause}");
        return Err(Error::fatal(message));
    }
    Err(client.refused(&answer, "changing aliases"))
}

/// Changes an index's settings.
pub(crate) fn configure(client: &mut Client, name: &str, settings: &Value) -> Result<()> {
    let answer = client.ask("PUT", &format!("/{}/_settings", encode(name)), Some(settings))?;
    if is_fine(&answer) {
        Ok(())
    } else {
        Err(client.refused(&answer, &format!("changing the settings of index {name}")))
    }
}

/// Makes an index count as another one from now on: its number in the cluster stays, its mark and its target do not hold for
/// it any more.
pub(crate) fn renew(client: &mut Client, name: &str, origin: &Origin) -> Result<()> {
    let origin = Origin { renewed: origin.renewed + 1, ..origin.clone() };
    let body = json!({ "_meta": { "flusso": origin } });
    let answer = client.ask("PUT", &format!("/{}/_mapping", encode(name)), Some(&body))?;
    if is_fine(&answer) { Ok(()) } else { Err(client.refused(&answer, &format!("changing index {name}"))) }
}

/// Makes everything that was written visible to searches.
pub(crate) fn refresh(client: &mut Client, names: &[&str]) -> Result<()> {
    let list: Vec<String> = names.iter().map(|name| encode(name)).collect();
    let answer = client.ask("POST", &format!("/{}/_refresh?filter_path=_shards.total", list.join(",")), None)?;
    if is_fine(&answer) { Ok(()) } else { Err(client.refused(&answer, "refreshing")) }
}

/// Whether an index holds no document. It is refreshed first: one that sleeps does not count what it was given.
pub(crate) fn is_empty(client: &mut Client, name: &str) -> Result<bool> {
    refresh(client, &[name])?;
    Ok(count(client, name, "?terminate_after=1")? == 0)
}

/// How many documents a search in an index finds.
pub(crate) fn count(client: &mut Client, name: &str, how: &str) -> Result<u64> {
    #[derive(Deserialize)]
    struct Count {
        count: u64,
    }
    let answer = client.ask("GET", &format!("/{}/_count{how}", encode(name)), None)?;
    if !is_fine(&answer) {
        return Err(client.refused(&answer, &format!("counting index {name}")));
    }
    Ok(read::<Count>(client, &answer, "counting")?.count)
}

/// How much room an index takes with its replicas, in bytes; none where the cluster does not say.
pub(crate) fn bytes(client: &mut Client, name: &str) -> Option<u64> {
    let target = format!("/{}/_stats/store?filter_path=_all.total.store.size_in_bytes", encode(name));
    let answer = client.ask("GET", &target, None).ok().filter(is_fine)?;
    serde_json::from_slice::<Value>(&answer.body).ok()?.pointer("/_all/total/store/size_in_bytes")?.as_u64()
}

/// The mapping of an index; none where the cluster does not say.
pub(crate) fn mapping(client: &mut Client, name: &str) -> Option<Value> {
    let answer = client.ask("GET", &format!("/{}/_mapping", encode(name)), None).ok().filter(is_fine)?;
    let mut all: BTreeMap<String, Value> = serde_json::from_slice(&answer.body).ok()?;
    all.get_mut(name)?.get_mut("mappings").map(Value::take)
}

/// What aggregations of an index come to; none where the cluster does not say.
pub(crate) fn aggregations(client: &mut Client, name: &str, body: &Value) -> Option<Value> {
    let target = format!("/{}/_search?filter_path=aggregations", encode(name));
    let answer = client.ask("POST", &target, Some(body)).ok().filter(is_fine)?;
    serde_json::from_slice::<Value>(&answer.body).ok()?.get_mut("aggregations").map(Value::take)
}

/// What is remembered under a name.
pub(crate) fn mark(client: &mut Client, meta: &str, name: &str) -> Result<Option<Mark>> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(rename = "_source")]
        source: Option<Mark>,
    }
    let answer = client.ask("GET", &format!("/{}/_doc/{}", encode(meta), encode(name)), None)?;
    match answer.status {
        404 => Ok(None),
        // A mark that cannot be read (by another program, of another time) is none.
        200..300 => Ok(serde_json::from_slice::<Document>(&answer.body).ok().and_then(|document| document.source)),
        _ => Err(client.refused(&answer, &format!("reading what is seeded from index {meta}"))),
    }
}

/// Remembers, durably.
pub(crate) fn remember(client: &mut Client, meta: &str, name: &str, mark: &Mark) -> Result<()> {
    let body = serde_json::to_value(mark).unwrap_or_default();
    let target = format!("/{}/_doc/{}?refresh=true", encode(meta), encode(name));
    let answer = client.ask("PUT", &target, Some(&body))?;
    if is_fine(&answer) {
        Ok(())
    } else {
        Err(client.refused(&answer, &format!("remembering what is seeded in index {meta}")))
    }
}

/// Forgets what is remembered under a name.
pub(crate) fn forget(client: &mut Client, meta: &str, name: &str) -> Result<()> {
    let answer = client.ask("DELETE", &format!("/{}/_doc/{}?refresh=true", encode(meta), encode(name)), None)?;
    if is_fine(&answer) || answer.status == 404 {
        Ok(())
    } else {
        Err(client.refused(&answer, &format!("forgetting what is seeded in index {meta}")))
    }
}

/// Makes the meta index if it is absent.
pub(crate) fn ensure_meta(client: &mut Client, meta: &str) -> Result<()> {
    let target = format!("/{}", encode(meta));
    let answer = client.ask("GET", &format!("{target}?filter_path=*.settings.index.uuid"), None)?;
    if is_fine(&answer) {
        return Ok(());
    }
    if answer.status != 404 {
        return Err(client.refused(&answer, &format!("looking for index {meta}")));
    }
    let keyword = || json!({ "type": "keyword" });
    let body = json!({
        "settings": { "index": { "number_of_shards": 1, "auto_expand_replicas": "0-1" } },
        "mappings": { "properties": {
            "active_generation": keyword(), "token": keyword(), "history": keyword(), "seeded": { "type": "boolean" },
        } },
    });
    let answer = client.ask("PUT", &target, Some(&body))?;
    if is_fine(&answer) || String::from_utf8_lossy(&answer.body).contains("resource_already_exists_exception") {
        return Ok(());
    }
    Err(client.refused(&answer, &format!("making index {meta}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_elasticsearch_cannot_be_told_to_write_to_aliases_alone() {
        let can = |number: &str, distribution: &str| {
            Version { number: number.into(), distribution: distribution.into() }.can_require_alias()
        };
        assert!(
            can("2.19.1", "opensearch")
                && can("3.0.0", "opensearch")
                && can("8.15.0", "")
                && can("7.10.2", "")
                && can("", "")
        );
        assert!(!can("7.9.3", "") && !can("7.0.0", ""));
    }
}
