//! `reindex`: asks the host that is running to build an index anew.

use std::process::ExitCode;

use super::args::{Common, Reindex};
use super::{Exit, failed, print, say};
use crate::app::{self, Asked, IndexProgress};

pub(super) async fn reindex(common: &Common, wanted: &Reindex) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let index = &wanted.index;
    let mut last = None;
    let progress = |standing: &IndexProgress| {
        let IndexProgress { rows, of, state, .. } = standing;
        if last != *rows {
            last = *rows;
            tracing::info!(index, rows, of, "{state}");
        }
    };
    match app::reindex(&config, &common.folders(), index, !wanted.no_wait, progress).await {
        Ok(Asked::Done) => print(&format!("index {index} was built anew")),
        Ok(Asked::Begun) => print(&format!("index {index} is being built anew")),
        Ok(Asked::NotRunning(folder)) => say(
            Exit::Failed,
            &format!(
                "no host is running on the state in {}; start it and ask again, or start it with `--reseed {index}`, which builds \
                 the index anew as well",
                folder.display()
            ),
        ),
        Ok(Asked::WentAway) => say(Exit::Failed, "the host ended; the rebuild goes on when it starts again"),
        Ok(Asked::Refused(reason)) => say(Exit::Failed, &reason),
        Ok(Asked::Unknown(reason)) => say(Exit::Usage, &reason),
        Err(error) => failed(&error),
    }
}
