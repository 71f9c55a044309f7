//! What is answered to which question.

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::search::SearchError;
use super::{Control, ReloadError, Reloaded, Reloads, Searches, Surface, Version};
use crate::engine::{IndexStatus, ReindexError, RowCount, RunHandle, StageError, WaitError, WaitOutcome, WaitTarget};
use crate::limits;

/// The answer to one question.
pub(super) async fn answer(request: Request, surface: Surface, control: &Control) -> Response {
    let Control { run, reloads, searches, metrics, state } = control;
    let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
    let private = surface == Surface::Private;
    let wanted = match request.path.as_str() {
        "/health" | "/healthz" | "/readyz" | "/wait" | "/metrics" | "/status" => "GET",
        "/indexes" if private => "GET",
        "/quarantine" if private && method == "POST" => "POST",
        "/quarantine" if private => "GET",
        "/quarantine/retry" if private => "POST",
        "/reindex" | "/reload" if private => "POST",
        path if private && path.starts_with("/search/") => "GET",
        path => return Response::refusal(404, format!("there is nothing at {path}")),
    };
    if method != wanted {
        return Response::refusal(405, format!("{} is for {wanted}", request.path));
    }
    if wanted == "POST" && request.from_page {
        return Response::refusal(403, "a page in a browser may not ask for this");
    }
    match request.path.as_str() {
        "/wait" => wait(&request, run).await,
        "/metrics" => match metrics.text() {
            Ok(text) => Response { status: 200, body: Value::String(text) },
            Err(error) => Response::refusal(500, error.to_string()),
        },
        "/status" => match serde_json::to_value(metrics.status(run)) {
            Ok(body) => Response { status: 200, body },
            Err(error) => Response::refusal(500, error.to_string()),
        },
        "/indexes" => indexes(run),
        "/quarantine" | "/quarantine/retry" => super::quarantine::answer(&request, state, run).await,
        "/reindex" => reindex(&request, run).await,
        "/reload" => reload(&request, reloads).await,
        path if path.starts_with("/search/") => search(&request, searches).await,
        "/readyz" if !run.is_running() => Response::refusal(503, "the host is starting"),
        "/readyz" => Response { status: 200, body: json!({ "status": "ok", "lag_bytes": run.lag() }) },
        _ => Response { status: 200, body: json!({ "status": "ok" }) },
    }
}

async fn wait(request: &Request, control: &RunHandle) -> Response {
    let Some(index) = request.parameter("index") else {
        return Response::refusal(400, "say which index: ?index=NAME");
    };
    let patience = match request.parameter("timeout").map(humantime::parse_duration) {
        None => limits::server::WAIT_DEFAULT,
        Some(Ok(patience)) => patience.min(limits::server::WAIT_LONGEST),
        Some(Err(_)) => {
            return Response::refusal(400, "`timeout` is no time; write such as timeout=5s or timeout=500ms");
        }
    };
    let until = match request.parameter("position") {
        None | Some("now") => WaitTarget::Now,
        Some(position) => WaitTarget::Position(position.to_owned()),
    };
    match control.wait(index, until, patience).await {
        Ok(WaitOutcome::Found { position }) => {
            Response { status: 200, body: json!({ "found": true, "position": position }) }
        }
        Ok(WaitOutcome::TooLate { position, durable, found, seeding }) => {
            let error = match seeding {
                true => "the index is being seeded, and nothing is promised of it before it is whole",
                false => "not every change up to the position is found by searches yet",
            };
            let stands = json!({ "position": position, "durable": durable, "found": found, "seeding": seeding });
            Response { status: 504, body: json!({ "error": error, "found": false, "stands": stands }) }
        }
        Err(error @ WaitError::Unknown { .. }) => Response::refusal(404, error.to_string()),
        Err(error @ WaitError::NoPosition(_)) => Response::refusal(400, error.to_string()),
    }
}

async fn reindex(request: &Request, control: &RunHandle) -> Response {
    let Some(index) = request.parameter("index") else {
        return Response::refusal(400, "say which index: ?index=NAME");
    };
    match control.reindex(index).await {
        Ok(()) => Response { status: 202, body: json!({ "index": index, "state": "rebuilding" }) },
        Err(error) => {
            let status = match error {
                ReindexError::Unknown { .. } => 404,
                ReindexError::AlreadyRunning(_) => 409,
                ReindexError::NotRunning => 503,
                ReindexError::State(_) => 500,
            };
            Response::refusal(status, error.to_string())
        }
    }
}

async fn reload(request: &Request, reloads: &Reloads) -> Response {
    let Some(plugin) = request.parameter("plugin") else {
        return Response::refusal(400, "say which plugin: ?plugin=NAME");
    };
    match reloads.reload(plugin).await {
        Ok(Reloaded { plugin, now, before, pause }) => {
            let version = |Version { version, sha256 }| json!({ "version": version, "sha256": sha256 });
            let (now, before) = (version(now), before.map(version));
            let pause = pause.as_secs_f64();
            Response {
                status: 200,
                body: json!({ "plugin": plugin, "now": now, "before": before, "pause_seconds": pause }),
            }
        }
        Err(error) => {
            let status = match error {
                ReloadError::Unknown { .. } => 404,
                ReloadError::Ending => 503,
                ReloadError::Refused(_) => 409,
            };
            Response::refusal(status, error.to_string())
        }
    }
}

async fn search(request: &Request, searches: &Searches) -> Response {
    let index = request.path.strip_prefix("/search/").unwrap_or_default();
    let index = percent_encoding::percent_decode_str(index).decode_utf8_lossy();
    let Some(query) = request.parameter("q") else {
        return Response::refusal(400, "say what is looked for: /search/INDEX?q=QUERY");
    };
    let number = |name: &str, default: u32| match request.parameter(name).map(str::parse) {
        None => Ok(default),
        Some(Ok(number)) if number <= limits::program::SEARCH_MOST => Ok(number),
        Some(_) => Err(format!("`{name}` is a number of at most {}", limits::program::SEARCH_MOST)),
    };
    let (limit, offset) = match (number("limit", limits::program::SEARCH_DOCUMENTS), number("offset", 0)) {
        (Ok(limit), Ok(offset)) => (limit, offset),
        (Err(wrong), _) | (_, Err(wrong)) => return Response::refusal(400, wrong),
    };
    match searches.query(request.parameter("sink"), &index, query, limit, offset).await {
        Ok(found) => Response { status: 200, body: found.to_json() },
        Err(error @ SearchError::None) => Response::refusal(404, error.to_string()),
        Err(SearchError::Refused(error @ StageError::Configuration(_))) => Response::refusal(400, error.to_string()),
        Err(error) => Response::refusal(503, error.to_string()),
    }
}

fn indexes(control: &RunHandle) -> Response {
    let Some(indexes) = control.indexes() else { return Response::refusal(503, "the host is starting") };
    let one = |(name, progress)| {
        let (state, rows): (_, Option<RowCount>) = match progress {
            IndexStatus::Unseeded => ("unseeded", None),
            IndexStatus::Seeding(rows) => ("seeding", Some(rows)),
            IndexStatus::Rebuilding(rows) => ("rebuilding", Some(rows)),
            IndexStatus::Seeded => ("seeded", None),
        };
        json!({ "name": name, "state": state, "rows": rows.map(|rows| rows.done), "of": rows.and_then(|rows| rows.estimated) })
    };
    Response { status: 200, body: json!({ "indexes": indexes.into_iter().map(one).collect::<Vec<Value>>() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::control;
    use crate::metrics::Metrics;
    use crate::server::RunState;

    async fn status(method: &str, path: &str, surface: Surface, from_page: bool) -> u16 {
        let (run, _registry) = control();
        let (reloads, _requests) = crate::server::reloads();
        let metrics = Metrics::new(&run, crate::plugin::metrics::Metrics::default());
        let metrics = std::sync::Arc::new(metrics.unwrap_or_else(|error| panic!("{error}")));
        let control = Control { run, reloads, searches: Searches::default(), metrics, state: RunState::default() };
        let (method, path) = (method.to_owned(), path.to_owned());
        answer(Request { method, path, from_page, ..Request::default() }, surface, &control).await.status
    }

    #[tokio::test]
    async fn what_changes_something_is_not_to_be_had_in_public() {
        for (method, path) in [
            ("GET", "/indexes"),
            ("GET", "/search/users"),
            ("GET", "/quarantine"),
            ("POST", "/quarantine"),
            ("POST", "/quarantine/retry"),
            ("POST", "/reindex"),
            ("POST", "/reload"),
        ] {
            assert_eq!(status(method, path, Surface::Public, false).await, 404, "{path}");
            assert_ne!(status(method, path, Surface::Private, false).await, 404, "{path}");
        }
        for path in ["/reindex", "/reload", "/quarantine", "/quarantine/retry"] {
            assert_eq!(status("POST", path, Surface::Private, true).await, 403, "from a page");
        }
        assert_eq!(status("GET", "/reindex", Surface::Private, false).await, 405);
    }

    #[tokio::test]
    async fn a_host_that_starts_is_well_and_not_ready() {
        assert_eq!(status("GET", "/healthz", Surface::Public, false).await, 200);
        assert_eq!(status("HEAD", "/health", Surface::Public, false).await, 200);
        assert_eq!(status("GET", "/readyz", Surface::Public, false).await, 503);
        for path in ["/metrics", "/status"] {
            assert_eq!(status("GET", path, Surface::Public, false).await, 200, "{path}");
            assert_eq!(status("POST", path, Surface::Private, false).await, 405, "{path}");
        }
        assert_eq!(status("GET", "/wait", Surface::Public, false).await, 400, "which index");
    }
}
