//! `indexes`: what the sinks hold, and how it stands.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{Common, Format, Indexes, IndexesAction};
use super::{failed, print};
use crate::app::{self, Held, HeldBy, Standing};

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
    let held = match app::holdings(&config, &folders).await {
        Ok(held) => held,
        Err(error) => return failed(&error),
    };
    let standings = match app::standing(&config, &folders).await {
        Ok(standings) => standings,
        Err(error) => return failed(&error),
    };
    print(&match wanted.format {
        Format::Json => serde_json::to_string_pretty(&as_json(&held, standings.as_deref())).unwrap_or_default(),
        Format::Text => as_text(&held, standings.as_deref()),
    })
}

fn as_json(held: &[HeldBy], standings: Option<&[Standing]>) -> Value {
    let one = |held: &Held| {
        let Held { holding, configured } = held;
        json!({
            "name": holding.name, "index": holding.index, "hash": holding.hash, "standing": holding.standing.to_string(),
            "documents": holding.documents, "bytes": holding.bytes, "seeded": holding.seeded, "configured": configured,
        })
    };
    let sink = |by: &HeldBy| {
        let held = by.held.as_ref().map(|held| held.iter().map(one).collect::<Vec<_>>());
        json!({ "sink": by.sink, "holds": held })
    };
    json!({ "running": standings.is_some(), "indexes": standings, "sinks": held.iter().map(sink).collect::<Vec<_>>() })
}

fn as_text(held: &[HeldBy], standings: Option<&[Standing]>) -> String {
    let mut out = String::new();
    for by in held {
        let _ = writeln!(out, "sink {}", by.sink);
        match &by.held {
            None => out.push_str("  cannot say what it holds\n"),
            Some(held) if held.is_empty() => out.push_str("  holds nothing\n"),
            Some(held) => table(held, &mut out),
        }
    }
    match standings {
        None => out.push_str("no host is running"),
        Some(standings) => {
            out.push_str("the host is running");
            for standing in standings.iter().filter(|standing| standing.state != "seeded") {
                let Standing { name, state, rows, of } = standing;
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

fn table(held: &[Held], out: &mut String) {
    let width = held.iter().map(|one| one.holding.name.chars().count()).max().unwrap_or_default().min(60);
    for Held { holding, configured } in held {
        let documents = holding.documents.map(|count| format!("{count} documents"));
        let bytes = holding.bytes.map(size);
        let seeded = if holding.seeded.is_some() { "seeded" } else { "not seeded" };
        let strange = (*configured == Some(false)).then(|| "not in the configuration".to_owned());
        let words: Vec<String> = documents.into_iter().chain(bytes).chain([seeded.to_owned()]).chain(strange).collect();
        let standing = holding.standing.to_string();
        let _ = writeln!(out, "  {:width$}  {standing:8}  {}", holding.name, words.join(", "));
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
    use crate::plugin::holding::{Holding, Standing as Stands};

    fn held(name: &str, standing: Stands, seeded: bool, configured: bool) -> Held {
        let holding = Holding {
            name: name.to_owned(),
            index: "users".to_owned(),
            hash: "1a2b".to_owned(),
            standing,
            documents: Some(20_000),
            bytes: Some(12 << 20),
            seeded: seeded.then(|| "h#1".to_owned()),
        };
        Held { holding, configured: Some(configured) }
    }

    #[test]
    fn a_person_sees_what_there_is_and_what_is_going_on() {
        let sinks = [
            HeldBy {
                sink: "primary".to_owned(),
                held: Some(vec![
                    held("users_1a2b_2", Stands::Serving, true, true),
                    held("users_0f0f_1", Stands::Leftover, false, false),
                ]),
            },
            HeldBy { sink: "files".to_owned(), held: None },
        ];
        let standings = [
            Standing { name: "users".to_owned(), state: "rebuilding".to_owned(), rows: Some(10), of: Some(20_000) },
            Standing { name: "orders".to_owned(), state: "seeded".to_owned(), rows: None, of: None },
        ];
        let wanted = "\
sink primary
  users_1a2b_2  serving   20000 documents, 12 MiB, seeded
  users_0f0f_1  leftover  20000 documents, 12 MiB, not seeded, not in the configuration
sink files
  cannot say what it holds
the host is running
  users  rebuilding, 10 rows of about 20000";
        assert_eq!(as_text(&sinks, Some(&standings)), wanted);
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
