//! `check`: everything that can be said without starting.

use std::process::ExitCode;

use super::args::{Check, Common, Format};
use super::{Exit, failed, print};
use crate::app::{self, Level};

pub(super) async fn check(common: &Common, check: &Check) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let findings = match app::check(config, &common.folders(), !check.offline).await {
        Ok(findings) => findings,
        Err(error) => return failed(&error),
    };
    let text = match check.format {
        Format::Json => serde_json::to_string_pretty(&findings).unwrap_or_default(),
        Format::Text => {
            let line = |finding: &app::Finding| {
                let mark = match finding.level {
                    Level::Ok => "ok     ",
                    Level::Warning => "warning",
                    Level::Error => "error  ",
                };
                format!("{mark}  {}: {}", finding.subject, finding.message)
            };
            findings.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    };
    let printed = print(&text);
    if findings.iter().any(|finding| finding.level == Level::Error) { Exit::Usage.into() } else { printed }
}
