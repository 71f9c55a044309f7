//! Searching what a sink holds, where it can.

use super::bindings::exports::flusso::connector::search as wit;
use super::convert;
use super::plugin::Plugin;
use super::roles::call;
use crate::engine::StageError;
use crate::limits;
use crate::plugin::found::{Found, Highlight, Hit};
use crate::plugin::plain::plain;

/// The best documents of a query; `None` where the sink cannot be searched.
///
/// # Errors
///
/// When there is no such index, the query cannot be read, or the sink could not look.
pub async fn search(
    plugin: &Plugin,
    index: &str,
    query: &str,
    limit: u32,
    offset: u32,
) -> Result<Option<Found>, StageError> {
    if !plugin.prepared().exports("search") {
        return Ok(None);
    }
    let guest = plugin.spawn(None).await?;
    let (settings, index, query) = (plugin.settings(), index.to_owned(), query.to_owned());
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let searching = guest.ask(
        "search.query",
        move |live| {
            Box::pin(
                async move { call!(live, search.call_query(&settings, &index, &query, limit, offset, None::<&str>)) },
            )
        },
        |found: wit::Found| {
            let hits = convert::counted(found.hits, most, "documents")?.into_iter().map(hit).collect();
            Ok(Found { total: found.total, hits })
        },
    );
    searching.await.map(Some)
}

/// What a guest says is shown to a person: cut, and without control characters.
fn hit(hit: wit::Hit) -> Hit {
    let text = |text: &str| plain(text, limits::guest::TEXT_BYTES);
    let highlight = |found: wit::Highlight| Highlight { field: text(&found.field), text: text(&found.text) };
    Hit {
        id: text(&hit.id),
        score: hit.score,
        body: hit.body,
        highlights: hit.highlights.into_iter().take(limits::guest::HIGHLIGHTS).map(highlight).collect(),
    }
}
