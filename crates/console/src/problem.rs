//! RFC 9457 answers.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An error as `application/problem+json`.
pub(crate) fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}

pub(crate) async fn not_found() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such page. The admin address has /, /events.json, /metrics, /livez, /readyz, /admin/v1/revocations and /admin/v1/sessions.",
    )
}

pub(crate) async fn no_probe() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such page. This address has /livez, /readyz and /metrics.",
    )
}

pub(crate) async fn method_not_allowed() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This can only be read: use GET or HEAD.",
    )
}
