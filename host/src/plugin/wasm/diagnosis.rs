//! Asking a plugin to look at what it would work with, where it can.

use super::bindings::flusso::connector::types as wit;
use super::builder::Request;
use super::convert;
use super::fault::Checked;
use super::plugin::Plugin;
use super::roles::call;
use crate::engine::StageError;
use crate::limits;
use crate::model::{Mapping, TableInterest};
use crate::plugin::finding::{Finding, Level};
use crate::plugin::plain::plain;

/// What a plugin finds; `None` where it has no such ability. `indexes`: what it would build, `None` where another plugin
/// builds and wants `tables` from it.
///
/// # Errors
///
/// When it could not look at all.
pub async fn examine(
    plugin: &Plugin,
    indexes: Option<Vec<Request>>,
    tables: &[TableInterest],
    online: bool,
) -> Result<Option<Vec<Finding>>, StageError> {
    if !plugin.prepared().exports("diagnosis") {
        return Ok(None);
    }
    let guest = plugin.spawn(None).await?;
    let settings = plugin.settings();
    let tables: Vec<_> = tables.iter().map(convert::to_interest).collect();
    let examining = guest.ask(
        "diagnosis.examine",
        move |live| {
            Box::pin(async move {
                let indexes: Option<Vec<_>> =
                    indexes.as_ref().map(|indexes| indexes.iter().map(Request::examined).collect());
                let tables: Vec<_> = tables.iter().collect();
                call!(live, diagnosis.call_examine(&settings, indexes.as_deref(), &tables, online, None::<&str>))
            })
        },
        findings,
    );
    examining.await.map(Some)
}

/// What a sink finds in the store that it would write to; `None` where it has no such ability. `mappings`: as the engine would
/// give them to it, none where they are not known.
///
/// # Errors
///
/// When it could not look at all.
pub async fn examine_sink(plugin: &Plugin, mappings: &[Mapping]) -> Result<Option<Vec<Finding>>, StageError> {
    if !plugin.prepared().exports("sink-diagnosis") {
        return Ok(None);
    }
    let guest = plugin.spawn(None).await?;
    let settings = plugin.settings();
    let mappings: Vec<_> = mappings.iter().map(convert::to_mapping).collect();
    let examining = guest.ask(
        "sink-diagnosis.examine",
        move |live| {
            Box::pin(async move {
                let mappings: Vec<_> = mappings.iter().collect();
                call!(live, sink_diagnosis.call_examine(&settings, &mappings, None::<&str>))
            })
        },
        findings,
    );
    examining.await.map(Some)
}

fn findings(found: Vec<wit::Finding>) -> Checked<Vec<Finding>> {
    Ok(convert::counted(found, limits::guest::FINDINGS, "findings")?.into_iter().map(finding).collect())
}

/// What a guest says is shown to a person: cut, and without control characters but for the ends of a remedy's lines.
fn finding(found: wit::Finding) -> Finding {
    let lines =
        |text: String| text.lines().map(|line| plain(line, limits::guest::TEXT_BYTES)).collect::<Vec<_>>().join("\n");
    Finding {
        level: match found.severity {
            wit::Severity::Ok => Level::Ok,
            wit::Severity::Warning => Level::Warning,
            wit::Severity::Error => Level::Error,
        },
        subject: plain(&found.subject, limits::guest::TEXT_BYTES),
        code: plain(&found.code, limits::guest::TEXT_BYTES),
        message: plain(&found.message, limits::guest::TEXT_BYTES),
        remedy: found.remedy.map(lines),
    }
}
