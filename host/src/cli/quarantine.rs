//! `quarantine`: the documents that could not be built, or were not taken by a sink.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::args::{Common, Format, Meant, Quarantine};
use super::{Exit, failed, print, say};
use crate::app::{self, QuarantinedDocuments, Retried};
use crate::engine::{QuarantineFilter, Quarantined};

pub(super) async fn quarantine(common: &Common, wanted: &Quarantine) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let folders = common.folders();
    match wanted {
        Quarantine::List { index, limit, format } => {
            let filter = QuarantineFilter { index: index.clone(), id: None };
            match app::quarantine(&config, &folders, &filter, *limit).await {
                Ok(found) if *format == Format::Json => print(&as_json(&found)),
                Ok(found) => print(&as_text(&found)),
                Err(error) => failed(&error),
            }
        }
        Quarantine::Show { index, id, format } => {
            let filter = QuarantineFilter { index: Some(index.clone()), id: Some(id.clone()) };
            match app::quarantine(&config, &folders, &filter, usize::MAX).await {
                Ok(found) if found.total == 0 => {
                    say(Exit::Failed, &format!("the document {id:?} of {index:?} is not in quarantine"))
                }
                Ok(found) if *format == Format::Json => print(&as_json(&found)),
                Ok(found) => print(&whole(&found)),
                Err(error) => failed(&error),
            }
        }
        Quarantine::Retry(meant) | Quarantine::Discard(meant) if meant.index.is_none() && !meant.all => {
            say(Exit::Usage, "say of which index: --index NAME, with --id ID one document of it; or --all")
        }
        Quarantine::Retry(Meant { index, id, .. }) => {
            let filter = QuarantineFilter { index: index.clone(), id: id.clone() };
            match app::retry_quarantined(&config, &folders, &filter).await {
                Ok(Retried::NotRunning) => say(
                    Exit::Failed,
                    "no host is running on this configuration's state, and only a host builds; start one",
                ),
                Ok(Retried::Built { built, without_key, left }) => print(&retried(built, without_key, left)),
                Err(error) => failed(&error),
            }
        }
        Quarantine::Discard(Meant { index, id, .. }) => {
            let filter = QuarantineFilter { index: index.clone(), id: id.clone() };
            match app::discard_from_quarantine(&config, &folders, &filter).await {
                Ok(1) => print("removed 1 document from the quarantine"),
                Ok(count) => print(&format!("removed {count} documents from the quarantine")),
                Err(error) => failed(&error),
            }
        }
    }
}

fn retried(built: usize, without_key: usize, left: usize) -> String {
    let mut text = format!("built {built} again; ");
    match left {
        0 => text.push_str("the quarantine holds none of them any more"),
        left => {
            let _ = write!(text, "{left} are in quarantine still, `quarantine list` says why");
        }
    }
    if without_key > 0 {
        let _ = write!(text, "; {without_key} were put there by an older host and are built with `reindex`");
    }
    text
}

fn as_json(found: &QuarantinedDocuments) -> String {
    serde_json::to_string_pretty(found).unwrap_or_default()
}

fn as_text(found: &QuarantinedDocuments) -> String {
    let mut text = match found.total {
        0 => return "nothing is in quarantine".to_owned(),
        1 => "1 document is in quarantine".to_owned(),
        count => format!("{count} documents are in quarantine"),
    };
    for Quarantined { by, index, id, class, reason, .. } in &found.documents {
        let _ = write!(text, "\n{index}  {id}  {class}, by {by}: {}", reason.lines().next().unwrap_or_default());
    }
    match found.total.saturating_sub(found.documents.len()) {
        0 => {}
        more => {
            let _ = write!(text, "\n… and {more} more; --limit shows more of them");
        }
    }
    text
}

fn whole(found: &QuarantinedDocuments) -> String {
    let one = |Quarantined { by, index, id, version, class, reason, at, .. }: &Quarantined| {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at / 1_000_000);
        let at = humantime::format_rfc3339_seconds(at);
        format!(
            "index    {index}\nid       {id}\nby       {by}\nclass    {class}\nat       {at}, version {version}\nreason   {reason}"
        )
    };
    let all: Vec<String> = found.documents.iter().map(one).collect();
    let index = found.documents.first().map(|document| document.index.as_str()).unwrap_or_default();
    format!(
        "{}\n\nOnce the cause is removed: `flusso-host quarantine retry --index {index}`. A document leaves the quarantine when it is taken, also after a change of one of its rows.",
        all.join("\n\n")
    )
}
