//! What the admin address answers.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portcullis_audit::{Counts, Metrics, Record};
use serde::{Deserialize, Serialize};

use crate::ConsoleState;
use crate::problem::problem;

type Shared = State<Arc<ConsoleState>>;

#[derive(Template)]
#[template(path = "console.html")]
struct Page<'a> {
    name: &'a str,
    version: &'a str,
    dangers: &'a [String],
}

/// Which events are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    refused: bool,
}

#[derive(Serialize)]
struct Events<'a> {
    events: Vec<&'a Record>,
    /// What to ask for next as `after`. Less than what was asked for: the program has started anew.
    last: u64,
    counts: Counts,
}

pub(crate) async fn index(State(state): Shared) -> Response {
    let info = &state.info;
    match (Page {
        name: &info.name,
        version: &info.version,
        dangers: &info.dangers,
    })
    .render()
    {
        Ok(page) => typed("text/html; charset=utf-8", page),
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The page could not be made.",
        ),
    }
}

pub(crate) async fn style() -> Response {
    typed("text/css; charset=utf-8", include_str!("../static/console.css"))
}

pub(crate) async fn script() -> Response {
    typed("text/javascript; charset=utf-8", include_str!("../static/console.js"))
}

pub(crate) async fn icon() -> Response {
    typed("image/svg+xml", include_str!("../static/favicon.svg"))
}

/// `/events.json?after=SEQ&refused=true`
pub(crate) async fn events(State(state): Shared, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    let Ok(Query(wanted)) = wanted else {
        let detail = "The parameters are `after`, a whole number, and `refused`, true or false.";
        return problem(StatusCode::BAD_REQUEST, "invalid_request", detail);
    };
    let newest = state.audit.last_seq();
    // A number from before a restart: everything is new.
    let after = if wanted.after > newest { 0 } else { wanted.after };
    let records = state.audit.recent(after);
    let last = records.last().map_or(after, |record| record.seq);
    let shown = records
        .iter()
        .filter(|record| !wanted.refused || record.event.refused().is_some());
    let body = Events {
        events: shown.map(|record| &**record).collect(),
        last,
        counts: state.audit.metrics().counts(),
    };
    json(StatusCode::OK, &body)
}

pub(crate) async fn metrics(State(state): Shared) -> Response {
    typed(Metrics::CONTENT_TYPE, state.audit.metrics().render())
}

/// The process runs and answers; nothing else is looked at, so that a provider that is down restarts nobody.
pub(crate) async fn livez() -> Response {
    json(StatusCode::OK, &serde_json::json!({ "live": true }))
}

/// 200 while requests should be sent here, else 503; the body says why.
pub(crate) async fn readyz(State(state): Shared) -> Response {
    let readiness = (state.info.readiness)();
    json(
        if readiness.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        &readiness,
    )
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, typed("application/json", text)).into_response(),
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The answer could not be made.",
        ),
    }
}

fn typed(content_type: &'static str, body: impl IntoResponse) -> Response {
    const NAME: HeaderName = header::CONTENT_TYPE;
    ([(NAME, content_type)], body).into_response()
}
