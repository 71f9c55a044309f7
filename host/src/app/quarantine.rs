//! The documents in quarantine, of the host that is running or of the state it left.

use std::path::Path;

use serde::{Deserialize, Serialize};

use tokio::time::{Instant, sleep};

use super::remote::folder;
use super::{AppError, Folders};
use crate::config::Config;
use crate::engine::{QuarantineFilter, Quarantined, discard_quarantined, quarantined};
use crate::limits;
use crate::plugin::state::StateFolder;
use crate::server::client::{ask, encoded};

/// Documents in quarantine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QuarantinedDocuments {
    /// How many there are.
    pub total: usize,
    /// The first of them, by stage, index and id.
    pub documents: Vec<Quarantined>,
    /// How many documents were built again.
    #[serde(default, skip_serializing)]
    built: Option<usize>,
}

/// The documents in quarantine, at most `limit` of them.
///
/// # Errors
///
/// When neither the running host nor its state can be asked.
pub async fn quarantine(
    config: &Config,
    folders: &Folders,
    filter: &QuarantineFilter,
    limit: usize,
) -> Result<QuarantinedDocuments, AppError> {
    let folder = folder(config, folders).await?;
    if let Some(found) = asked(&folder, "GET", &format!("{}&limit={limit}", query(filter))).await? {
        return Ok(found);
    }
    let Some(state) = left(&folder)? else { return Ok(QuarantinedDocuments::default()) };
    let mut documents = quarantined(&state.host(), filter).await.map_err(AppError::Quarantine)?;
    let total = documents.len();
    documents.truncate(limit);
    Ok(QuarantinedDocuments { total, documents, built: None })
}

/// What came of building documents in quarantine again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// No host is running, and only a host builds.
    NotRunning,
    /// So many were built again; of `without_key` an older host did not keep how to ask for them. `left` are still refused.
    Built {
        /// How many.
        built: usize,
        /// How many cannot be asked for.
        without_key: usize,
        /// How many are in quarantine still.
        left: usize,
    },
}

/// Builds documents in quarantine again, from what is in the database now, in the host that is running, and waits until they are taken
/// or refused.
///
/// # Errors
///
/// When the running host cannot be asked.
pub async fn retry_quarantined(
    config: &Config,
    folders: &Folders,
    filter: &QuarantineFilter,
) -> Result<Retried, AppError> {
    let folder = folder(config, folders).await?;
    let path = query(filter);
    let before = match asked(&folder, "GET", &format!("{path}&limit={}", limits::program::QUARANTINE_MOST)).await? {
        None => return Ok(Retried::NotRunning),
        Some(found) => found.documents,
    };
    let again = path.replacen("/quarantine?", "/quarantine/retry?", 1);
    let Some(answer) = asked(&folder, "POST", &again).await? else { return Ok(Retried::NotRunning) };
    let without_key = before.iter().filter(|document| document.key.is_none()).count();
    // A document that is refused again was refused at another time.
    let end = Instant::now() + limits::program::RETRY_WAIT;
    loop {
        let Some(found) = asked(&folder, "GET", &format!("{path}&limit={}", limits::program::QUARANTINE_MOST)).await?
        else {
            return Ok(Retried::NotRunning);
        };
        let is_waited_for = |document: &Quarantined| {
            let same = |other: &&Quarantined| {
                (&other.by, &other.index, &other.id) == (&document.by, &document.index, &document.id)
            };
            document.key.is_some() && before.iter().find(same).is_some_and(|other| other.at == document.at)
        };
        let waiting = found.documents.iter().any(is_waited_for);
        if !waiting || Instant::now() > end {
            let built = answer.built.unwrap_or_default();
            return Ok(Retried::Built { built, without_key, left: found.total });
        }
        sleep(limits::program::RETRY_POLL).await;
    }
}

/// Removes documents from the quarantine. Says how many. Sinks keep what they have of them.
///
/// # Errors
///
/// As [`quarantine`].
pub async fn discard_from_quarantine(
    config: &Config,
    folders: &Folders,
    filter: &QuarantineFilter,
) -> Result<usize, AppError> {
    let folder = folder(config, folders).await?;
    if let Some(found) = asked(&folder, "POST", &query(filter)).await? {
        return Ok(found.total);
    }
    let Some(state) = left(&folder)? else { return Ok(0) };
    discard_quarantined(&state.host(), filter).await.map_err(AppError::Quarantine)
}

fn query(QuarantineFilter { index, id }: &QuarantineFilter) -> String {
    let pair = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("&{name}={}", encoded(value)));
    let pairs = [pair("index", index), pair("id", id)];
    format!("/quarantine?{}", pairs.into_iter().flatten().collect::<String>().trim_start_matches('&'))
}

/// What the running host answers; `None`: none is running.
async fn asked(folder: &Path, method: &str, path: &str) -> Result<Option<QuarantinedDocuments>, AppError> {
    let failed = |source| AppError::Ask { folder: folder.to_path_buf(), source };
    let Some((status, body)) = ask(folder, method, path).await.map_err(failed)? else { return Ok(None) };
    if status != 200 {
        let why = body.get("error").and_then(|error| error.as_str()).unwrap_or_default().to_owned();
        return Err(failed(std::io::Error::other(why)));
    }
    serde_json::from_value(body).map(Some).map_err(|error| failed(std::io::Error::other(error)))
}

/// The state that a host left; `None`: there is none.
fn left(folder: &Path) -> Result<Option<StateFolder>, AppError> {
    Ok(if folder.exists() { Some(StateFolder::open(folder)?) } else { None })
}
