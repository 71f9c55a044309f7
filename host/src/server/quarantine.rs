//! The quarantine of the run, while it goes on.

use std::sync::{Arc, Mutex, PoisonError};

use super::http::{Request, Response};
use crate::engine::stage::State;
use crate::engine::{QuarantineFilter, RunHandle, discard_quarantined, quarantined};
use crate::limits;

/// The state of the run, in which the quarantine is; exchanged with every round.
#[derive(Clone, Default)]
pub struct RunState(Arc<Mutex<Option<Arc<dyn State>>>>);

impl RunState {
    /// Sets the state.
    pub fn set(&self, state: Arc<dyn State>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    fn get(&self) -> Option<Arc<dyn State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `/quarantine`: shows what is in it (GET), or removes it (POST). `/quarantine/retry`: builds it again.
pub(super) async fn answer(request: &Request, state: &RunState, run: &RunHandle) -> Response {
    let Some(state) = state.get() else { return Response::refusal(503, "the host is starting") };
    let text = |name: &str| request.parameter(name).map(str::to_owned);
    let filter = QuarantineFilter { index: text("index"), id: text("id") };
    if request.path == "/quarantine/retry" {
        let documents = match quarantined(&*state, &filter).await {
            Ok(documents) => documents,
            Err(error) => return Response::refusal(500, error.to_string()),
        };
        let total = documents.len();
        let named = documents.into_iter().filter_map(|document| Some((document.index, document.key?.into())));
        return match run.build_again(named.collect()).await {
            Ok(built) => {
                Response { status: 200, body: serde_json::json!({ "total": total, "built": built, "documents": [] }) }
            }
            Err(error) => Response::refusal(503, error.to_string()),
        };
    }
    if request.method == "POST" {
        return match discard_quarantined(&*state, &filter).await {
            Ok(removed) => Response { status: 200, body: serde_json::json!({ "total": removed, "documents": [] }) },
            Err(error) => Response::refusal(500, error.to_string()),
        };
    }
    let limit = match request.parameter("limit").map(str::parse::<usize>) {
        None => limits::program::QUARANTINE_SHOWN,
        Some(Ok(limit)) => limit.min(limits::program::QUARANTINE_MOST),
        Some(Err(_)) => return Response::refusal(400, "`limit` is a number"),
    };
    match quarantined(&*state, &filter).await {
        Ok(documents) => {
            let shown = documents.get(..limit.min(documents.len()));
            Response { status: 200, body: serde_json::json!({ "total": documents.len(), "documents": shown }) }
        }
        Err(error) => Response::refusal(500, error.to_string()),
    }
}
