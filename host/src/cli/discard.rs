//! `drop`: removes what the source keeps for this host, and the host's state.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::{Common, Drop};
use super::{failed, print};
use crate::app;
use crate::telemetry::Telemetry;

pub(super) async fn discard(common: &Common, drop: &Drop, telemetry: Arc<Telemetry>) -> ExitCode {
    let config = match common.config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    match app::discard(config, &common.folders(), Some(drop.timeout.0), telemetry).await {
        Ok(removed) if removed.is_empty() => print("there was nothing to remove"),
        Ok(removed) => print(&removed.iter().map(|line| format!("removed {line}")).collect::<Vec<_>>().join("\n")),
        Err(error) => failed(&error),
    }
}
