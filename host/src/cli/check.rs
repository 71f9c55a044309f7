//! `check`: everything that can be said without starting.

use std::io::IsTerminal;
use std::process::ExitCode;

use super::args::{Check, Common, Format};
use super::{Exit, failed, findings, print};
use crate::app::{self, Finding, Level, UNREACHABLE};

pub(super) async fn check(common: &Common, check: &Check) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let found = match app::check(config, &common.folders(), !check.offline).await {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = match check.format {
        Format::Json => serde_json::to_string_pretty(&found).unwrap_or_default(),
        Format::Text => findings::text(&found, colour),
    };
    let printed = print(&text);
    match exit(&found) {
        Exit::Done => printed,
        exit => exit.into(),
    }
}

/// What is wrong goes before what could not be looked at.
fn exit(found: &[Finding]) -> Exit {
    let mut errors = found.iter().filter(|finding| finding.level == Level::Error);
    match (errors.clone().next(), errors.all(|finding| finding.code == UNREACHABLE)) {
        (None, _) => Exit::Done,
        (Some(_), true) => Exit::Unreachable,
        (Some(_), false) => Exit::Usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_has_a_code_of_its_own_unless_something_is_wrong() {
        let of = |level, code| Finding::new(level, code, "s", "m");
        let (away, wrong) = (of(Level::Error, UNREACHABLE), of(Level::Error, "x"));
        assert_eq!(exit(&[of(Level::Warning, "x")]), Exit::Done);
        assert_eq!(exit(&[of(Level::Ok, "x"), away.clone()]), Exit::Unreachable);
        assert_eq!(exit(&[away, wrong]), Exit::Usage);
    }
}
