//! Removing what an index holds, at a version: documents that were written after it, by an attempt whose answer was lost,
//! are newer and stay, which a deletion by query could not promise.

use flusso_plugin::{Error, Result, Target, Version};
use serde::Deserialize;
use serde_json::json;

use crate::bulk::{Chunk, Keys};
use crate::client::Client;
use crate::cluster;
use crate::http::Response;
use crate::indexes::Generation;
use crate::url::encode;

/// Documents looked at in one step.
const PAGE_DOCUMENTS: u32 = 5_000;
/// What is asked for of each.
const FIELDS: &str = "filter_path=_scroll_id,hits.hits._id,hits.hits._version";

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

/// A clear that is under way.
pub(crate) struct Clear {
    pub(crate) target: Target,
    pub(crate) version: Version,
    /// Where the search for what is there goes on; none: it begins.
    scroll: Option<String>,
}

impl Clear {
    pub(crate) fn new(target: Target, version: Version) -> Self {
        Self { target, version, scroll: None }
    }

    /// Deletions of some of what is not newer, to be written like any other; none: nothing is left. They are done before
    /// more is asked for. What is gone stays gone when time runs out, so the next attempt has less to do.
    pub(crate) fn next(&mut self, client: &mut Client, generation: &Generation, keys: &Keys) -> Result<Option<Chunk>> {
        loop {
            let page = match &self.scroll {
                Some(scroll) => more(client, scroll)?,
                None => Some(first(client, generation)?),
            };
            // The cluster forgot the search: it took long to remove what the last page said.
            let Some(page) = page else {
                self.scroll = None;
                continue;
            };
            self.scroll = page.scroll;
            if page.hits.hits.is_empty() {
                self.end(client);
                return Ok(None);
            }
            let mut chunk = Chunk::new(generation.target, &generation.write_alias);
            for hit in page.hits.hits.iter().filter(|hit| hit.version <= self.version) {
                chunk.add(keys, generation.target, &generation.write_alias, &hit.id, self.version, None);
            }
            if !chunk.items.is_empty() {
                return Ok(Some(chunk));
            }
            if self.scroll.is_none() {
                return Ok(None);
            }
        }
    }

    fn end(&mut self, client: &mut Client) {
        if let Some(scroll) = self.scroll.take() {
            // It would end by itself in a minute.
            let _ = client.ask("DELETE", "/_search/scroll", Some(&json!({ "scroll_id": scroll })));
        }
    }
}

fn first(client: &mut Client, generation: &Generation) -> Result<Page> {
    // What was not refreshed is not found.
    cluster::refresh(client, &[&generation.name])?;
    let target = format!("/{}/_search?scroll=1m&{FIELDS}", encode(&generation.name));
    let body = json!({ "size": PAGE_DOCUMENTS, "sort": ["_doc"], "_source": false, "version": true });
    let answer = client.ask("POST", &target, Some(&body))?;
    read(client, &answer)
}

/// The next page of a search; none: the cluster does not know the search any more.
fn more(client: &mut Client, scroll: &str) -> Result<Option<Page>> {
    let body = json!({ "scroll": "1m", "scroll_id": scroll });
    let answer = client.ask("POST", &format!("/_search/scroll?{FIELDS}"), Some(&body))?;
    if answer.status == 404 { Ok(None) } else { read(client, &answer).map(Some) }
}

fn read(client: &Client, answer: &Response) -> Result<Page> {
    if !(200..300).contains(&answer.status) {
        return Err(client.refused(answer, "looking for documents to remove"));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        Error::transient(format!("the answer of {} to a search makes no sense: {error}", client.address()))
    })
}
