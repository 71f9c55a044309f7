//! `status`: the host that runs on this configuration's state, as it stands now.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::args::{Common, Format, Status as Wanted};
use super::{Exit, failed, print, say};
use crate::app;
use crate::metrics::{IndexNow, Phase, Problem, SinkNow, Status};

pub(super) async fn status(common: &Common, wanted: &Wanted) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    match app::status(&config, &common.folders()).await {
        Ok(Some(status)) => print(&match wanted.format {
            Format::Json => serde_json::to_string_pretty(&status).unwrap_or_default(),
            Format::Text => as_text(&status, SystemTime::now()),
        }),
        Ok(None) => say(Exit::Failed, "no host is running on this configuration's state; start one with `flusso-host`"),
        Err(error) => failed(&error),
    }
}

fn as_text(status: &Status, now: SystemTime) -> String {
    let phase = match status.phase {
        Phase::Starting => "starting: no run follows the source yet",
        Phase::Backfilling => "seeding; changes follow meanwhile",
        Phase::Live => "live: every index is whole, and changes follow",
        Phase::Stopping => "stopping: what is in flight is written",
    };
    let up = humantime::format_duration(Duration::from_secs(status.uptime_seconds));
    let mut text = format!("flusso-host {}, for {up}\n{phase}\n", status.version);
    let lag =
        status.slot_lag_bytes.map(|bytes| format!(", {bytes} bytes of its log not confirmed")).unwrap_or_default();
    let behind =
        status.behind_seconds.map(|seconds| format!(", durable {seconds:.2} s after the commit")).unwrap_or_default();
    let _ = write!(
        text,
        "\nchanges    {} captured, {} committed, {} in flight{lag}{behind}",
        status.changes_captured, status.changes_committed, status.changes_in_flight
    );
    let _ =
        write!(text, "\ndocuments  {} built, {} in quarantine", status.documents_built, status.documents_quarantined);
    let name = |name: &str| name.len();
    let width =
        status.each_index.iter().map(|it| name(&it.name)).chain(status.each_sink.iter().map(|it| name(&it.name)));
    let width = width.max().unwrap_or_default();
    for IndexNow { name, state, rows, of, built, quarantined } in &status.each_index {
        let progress = match (rows, of) {
            (Some(rows), Some(of)) => format!(" {rows} of about {of} rows,"),
            (Some(rows), None) => format!(" {rows} rows,"),
            (None, _) => ",".to_owned(),
        };
        let _ = write!(
            text,
            "\nindex      {name:width$}  {state}{progress} {built} documents built, {quarantined} in quarantine"
        );
    }
    for SinkNow { name, written, last_flush_micros, busy } in &status.each_sink {
        let flush = Duration::from_micros(*last_flush_micros).as_secs_f64() * 1e3;
        let busy = busy * 100.0;
        let _ = write!(
            text,
            "\nsink       {name:width$}  {written} written, the last in {flush:.1} ms, busy {busy:.0} % of the last minute"
        );
    }
    if let Some(Problem { stage, message, at }) = &status.last_problem {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(*at);
        let ago = now.duration_since(at).unwrap_or_default();
        let ago = humantime::format_duration(Duration::from_secs(ago.as_secs()));
        let _ = write!(text, "\nerrors     {}, the last {ago} ago: {stage}: {message}", status.errors);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_each_index_and_sink_and_what_went_wrong() {
        let status = Status {
            phase: Phase::Backfilling,
            version: "1.2.3".to_owned(),
            uptime_seconds: 61,
            indexes: 1,
            changes_captured: 7,
            changes_committed: 5,
            changes_in_flight: 2,
            documents_built: 9,
            documents_quarantined: 1,
            batches: 3,
            last_flush_micros: 1_500,
            slot_lag_bytes: Some(1_024),
            behind_seconds: Some(0.25),
            errors: 1,
            last_error: Some("away".to_owned()),
            last_problem: Some(Problem { stage: "sink \"out\"".to_owned(), message: "away".to_owned(), at: 100 }),
            each_index: vec![IndexNow {
                name: "users".to_owned(),
                state: "seeding".to_owned(),
                rows: Some(10),
                of: Some(20),
                built: 9,
                quarantined: 1,
            }],
            each_sink: vec![SinkNow { name: "out".to_owned(), written: 9, last_flush_micros: 1_500, busy: 0.5 }],
        };
        let text = as_text(&status, SystemTime::UNIX_EPOCH + Duration::from_secs(103));
        for wanted in [
            "flusso-host 1.2.3, for 1m 1s",
            "7 captured, 5 committed, 2 in flight, 1024 bytes of its log not confirmed, durable 0.25 s after the commit",
            "index      users  seeding 10 of about 20 rows, 9 documents built, 1 in quarantine",
            "sink       out    9 written, the last in 1.5 ms, busy 50 % of the last minute",
            "errors     1, the last 3s ago: sink \"out\": away",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }
}
