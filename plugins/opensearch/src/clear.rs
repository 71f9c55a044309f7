//! Removing what an index holds, at a version: documents that were written after it, by an attempt whose answer was lost,
//! are newer and stay, which a deletion by query could not promise.

use flusso_plugin::{Error, Result, Version};
use serde::Deserialize;
use serde_json::json;

use crate::bulk::{Chunk, Keys};
use crate::client::Client;
use crate::cluster;
use crate::http::{Answer, Kind};
use crate::indexes::Generation;
use crate::url::encode;

/// Documents looked at in one step.
const PAGE: u32 = 5_000;

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "_scroll_id")]
    scroll: Option<String>,
    #[serde(default)]
    hits: Hits,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_version")]
    version: Version,
}

/// Removes everything in a generation that is not newer than `version`; returns how much was there. What is gone stays
/// gone when time runs out, so the next attempt has less to do.
pub(crate) fn clear(
    client: &mut Client,
    generation: &Generation,
    version: Version,
    keys: &Keys,
    query: &str,
) -> Result<usize> {
    // What was not refreshed is not found.
    cluster::refresh(client, &[&generation.name])?;
    let fields = "filter_path=_scroll_id,hits.hits._id,hits.hits._version";
    let target = format!("/{}/_search?scroll=1m&{fields}", encode(&generation.name));
    let body = json!({ "size": PAGE, "sort": ["_doc"], "_source": false, "version": true });
    let answer = client.ask("POST", &target, Some(&body))?;
    let mut page = read(client, &answer)?;
    let mut removed = 0;
    while !page.hits.hits.is_empty() {
        let mut chunk = Chunk::new(generation.target, &generation.gate);
        for hit in page.hits.hits.iter().filter(|hit| hit.version <= version) {
            chunk.add(keys, generation.target, &generation.gate, &hit.id, version, None);
        }
        if !chunk.items.is_empty() {
            let target = format!("/{}/_bulk?{query}", encode(&generation.gate));
            let sent = client.send("POST", &target, Kind::Lines, Some(chunk.bytes()))?;
            let answer = client.receive(sent)?;
            settled(client, &answer)?;
            removed += chunk.items.len();
        }
        let Some(scroll) = page.scroll else { break };
        let body = json!({ "scroll": "1m", "scroll_id": scroll });
        let answer = client.ask("POST", &format!("/_search/scroll?{fields}"), Some(&body))?;
        page = read(client, &answer)?;
    }
    if let Some(scroll) = page.scroll {
        // It would end by itself in a minute.
        let _ = client.ask("DELETE", "/_search/scroll", Some(&json!({ "scroll_id": scroll })));
    }
    Ok(removed)
}

fn read(client: &Client, answer: &Answer) -> Result<Page> {
    if !(200..300).contains(&answer.status) {
        return Err(client.refused(answer, "looking for documents to remove"));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        Error::transient(format!("the answer of {} to a search makes no sense: {error}", client.address()))
    })
}

/// A deletion fails only where the cluster is too busy or its index gone; both are the next attempt's.
fn settled(client: &Client, answer: &Answer) -> Result<()> {
    use crate::bulk::leftover;
    if !(200..300).contains(&answer.status) {
        return Err(client.refused(answer, "removing documents"));
    }
    match leftover(&answer.body) {
        None => Ok(()),
        Some(why) => Err(Error::transient(format!("removing documents at {}: {why}", client.address()))),
    }
}
