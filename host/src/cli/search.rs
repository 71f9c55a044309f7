//! `search`: what a sink that can be searched holds for a query.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::args::{Common, Format, Search};
use super::{failed, print};
use crate::app;
use crate::plugin::found::{Found, Hit};

/// Characters of a document in a line for a person.
const BODY: usize = 160;

pub(super) async fn search(common: &Common, wanted: Search) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let Search { index, query, limit, offset, sink, format } = wanted;
    let asked = app::Search { index, query, limit, offset, sink };
    let started = Instant::now();
    match app::search(&config, &common.folders(), &asked).await {
        Ok(found) if format == Format::Json => print(&format!("{:#}", found.to_json())),
        Ok(found) => print(&as_text(&found, started.elapsed(), std::io::stdout().is_terminal())),
        Err(error) => failed(&error),
    }
}

fn as_text(found: &Found, took: Duration, is_terminal: bool) -> String {
    let count = if found.total == 1 { "1 document".to_owned() } else { format!("{} documents", found.total) };
    let mut text = format!("{count}, in {} ms", took.as_millis());
    for Hit { id, body, highlights, .. } in &found.hits {
        let body = String::from_utf8_lossy(body);
        let short: String = body.chars().take(BODY).collect();
        let more = if short.len() < body.len() { "…" } else { "" };
        let _ = write!(text, "\n\n{id}  {short}{more}");
        for place in highlights {
            let _ = write!(text, "\n  {}: {}", place.field, shown(&place.text, is_terminal));
        }
    }
    text
}

/// A highlight for a person: what was found is bold on a terminal, and between asterisks elsewhere.
fn shown(text: &str, is_terminal: bool) -> String {
    let (on, off) = if is_terminal { ("\x1b[1m", "\x1b[0m") } else { ("*", "*") };
    let mut text = text.replace("<b>", on).replace("</b>", off);
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2F;", "/"), ("&amp;", "&")]
    {
        text = text.replace(entity, character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::found::Highlight;

    #[test]
    fn a_person_sees_what_was_found_and_where() {
        let hit = Hit {
            id: "7".to_owned(),
            score: 1.0,
            body: br#"{"name":"Ada & Co"}"#.to_vec(),
            highlights: vec![Highlight { field: "name".to_owned(), text: "<b>Ada</b> &amp; Co".to_owned() }],
        };
        let found = Found { total: 1, hits: vec![hit] };
        let text = as_text(&found, Duration::from_millis(2), false);
        assert_eq!(text, "1 document, in 2 ms\n\n7  {\"name\":\"Ada & Co\"}\n  name: *Ada* & Co");
        assert!(as_text(&found, Duration::ZERO, true).contains("\x1b[1mAda\x1b[0m"));
    }
}
