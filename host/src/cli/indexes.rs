//! `indexes`: what the sinks hold, and how it stands.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{Common, Format, Indexes, IndexesAction};
use super::{failed, print};
use crate::app::{self, IndexProgress, ListedIndex, SinkIndexes};

pub(super) async fn indexes(common: &Common, wanted: &Indexes) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let folders = common.folders();
    if let Some(IndexesAction::Remove { name, sink, force }) = &wanted.action {
        return match app::remove(&config, &folders, name, sink.as_deref(), *force).await {
            Ok(sink) => print(&format!("removed {name} from sink {sink}")),
            Err(error) => failed(&error),
        };
    }
    let held = match app::stored_indexes(&config, &folders).await {
        Ok(held) => held,
        Err(error) => return failed(&error),
    };
    let progress = match app::index_progress(&config, &folders).await {
        Ok(progress) => progress,
        Err(error) => return failed(&error),
    };
    print(&match wanted.format {
        Format::Json => serde_json::to_string_pretty(&as_json(&held, progress.as_deref())).unwrap_or_default(),
        Format::Text => as_text(&held, progress.as_deref()),
    })
}

fn as_json(held: &[SinkIndexes], progress: Option<&[IndexProgress]>) -> Value {
    let one = |held: &ListedIndex| {
        let ListedIndex { stored, configured } = held;
        json!({
            "name": stored.name, "index": stored.index, "hash": stored.hash, "standing": stored.state.to_string(),
            "documents": stored.documents, "bytes": stored.bytes, "seeded": stored.seeded, "configured": configured,
        })
    };
    let sink = |by: &SinkIndexes| {
        let held = by.indexes.as_ref().map(|held| held.iter().map(one).collect::<Vec<_>>());
        json!({ "sink": by.sink, "holds": held })
    };
    json!({ "running": progress.is_some(), "indexes": progress, "sinks": held.iter().map(sink).collect::<Vec<_>>() })
}

fn as_text(held: &[SinkIndexes], progress: Option<&[IndexProgress]>) -> String {
    let mut out = String::new();
    for by in held {
        let _ = writeln!(out, "sink {}", by.sink);
        match &by.indexes {
            None => out.push_str("  cannot say what it holds\n"),
            Some(held) if held.is_empty() => out.push_str("  holds nothing\n"),
            Some(held) => table(held, &mut out),
        }
    }
    match progress {
        None => out.push_str("no host is running"),
        Some(progress) => {
            out.push_str("the host is running");
            for standing in progress.iter().filter(|standing| standing.state != "seeded") {
                let IndexProgress { name, state, rows, of } = standing;
                let _ = write!(out, "\n  {name}  {state}");
                if let Some(rows) = rows {
                    let of = of.map(|of| format!(" of about {of}")).unwrap_or_default();
                    let _ = write!(out, ", {rows} rows{of}");
                }
            }
        }
    }
    out
}

fn table(held: &[ListedIndex], out: &mut String) {
    let width = held.iter().map(|one| one.stored.name.chars().count()).max().unwrap_or_default().min(60);
    for ListedIndex { stored, configured } in held {
        let documents = stored.documents.map(|count| format!("{count} documents"));
        let bytes = stored.bytes.map(size);
        let seeded = if stored.seeded.is_some() { "seeded" } else { "not seeded" };
        let strange = (*configured == Some(false)).then(|| "not in the configuration".to_owned());
        let words: Vec<String> = documents.into_iter().chain(bytes).chain([seeded.to_owned()]).chain(strange).collect();
        let state = stored.state.to_string();
        let _ = writeln!(out, "  {:width$}  {state:8}  {}", stored.name, words.join(", "));
    }
}

fn size(bytes: u64) -> String {
    let mut unit = (bytes, "B");
    for name in ["KiB", "MiB", "GiB", "TiB"] {
        if unit.0 < 10_240 {
            break;
        }
        unit = (unit.0 / 1_024, name);
    }
    format!("{} {}", unit.0, unit.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::stored_index::{IndexState, StoredIndex};

    fn held(name: &str, state: IndexState, seeded: bool, configured: bool) -> ListedIndex {
        let stored = StoredIndex {
            name: name.to_owned(),
            index: "users".to_owned(),
            hash: "1a2b".to_owned(),
            state,
            documents: Some(20_000),
            bytes: Some(12 << 20),
            seeded: seeded.then(|| "h#1".to_owned()),
        };
        ListedIndex { stored, configured: Some(configured) }
    }

    #[test]
    fn a_person_sees_what_there_is_and_what_is_going_on() {
        let sinks = [
            SinkIndexes {
                sink: "primary".to_owned(),
                indexes: Some(vec![
                    held("users_1a2b_2", IndexState::Serving, true, true),
                    held("users_0f0f_1", IndexState::Leftover, false, false),
                ]),
            },
            SinkIndexes { sink: "files".to_owned(), indexes: None },
        ];
        let progress = [
            IndexProgress {
                name: "users".to_owned(),
                state: "rebuilding".to_owned(),
                rows: Some(10),
                of: Some(20_000),
            },
            IndexProgress { name: "orders".to_owned(), state: "seeded".to_owned(), rows: None, of: None },
        ];
        let wanted = "\
sink primary
  users_1a2b_2  serving   20000 documents, 12 MiB, seeded
  users_0f0f_1  leftover  20000 documents, 12 MiB, not seeded, not in the configuration
sink files
  cannot say what it holds
the host is running
  users  rebuilding, 10 rows of about 20000";
        assert_eq!(as_text(&sinks, Some(&progress)), wanted);
        assert_eq!(as_text(&sinks[1..], None), "sink files\n  cannot say what it holds\nno host is running");
        let json = as_json(&sinks, None);
        assert_eq!(json.pointer("/sinks/0/holds/1/standing"), Some(&json!("leftover")));
        assert_eq!(json.pointer("/sinks/1/holds"), Some(&Value::Null));
        assert_eq!(json.pointer("/running"), Some(&json!(false)));
    }

    #[test]
    fn sizes_keep_two_digits_at_least() {
        assert_eq!([size(9_999), size(12 << 20), size(3 << 30)], ["9999 B", "12 MiB", "3072 MiB"]);
    }
}
