//! What the demo's page asks this program for: the last events, and real requests with defective tokens.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use portcullis_audit::{Audit, Record, RequestId};
use portcullis_idp::{Control, Defect, Mint};
use portcullis_oidc::{HttpClient, HyperClient};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the endpoints need.
#[derive(Debug)]
pub(super) struct Tries {
    pub(super) app: String,
    pub(super) info: Value,
    pub(super) audit: Audit,
    pub(super) control: Control,
    pub(super) http: HyperClient,
}

#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

pub(super) fn router(tries: Tries) -> Router {
    Router::new()
        .route(
            "/demo/info",
            get(|State(tries): State<Arc<Tries>>| async move { Json(tries.info.clone()) }),
        )
        .route("/demo/events", get(events))
        .route("/demo/try/{failure}", post(attempt))
        .with_state(Arc::new(tries))
}

async fn events(State(tries): State<Arc<Tries>>, Query(After { after }): Query<After>) -> Json<Value> {
    let records = tries.audit.recent(after);
    let last = records
        .last()
        .map_or_else(|| tries.audit.last_seq(), |record| record.seq);
    let events: Vec<&Record> = records.iter().map(|record| &**record).collect();
    Json(json!({ "events": events, "last": last }))
}

async fn attempt(State(tries): State<Arc<Tries>>, Path(failure): Path<String>) -> Response {
    match tries.attempt(&failure).await {
        Ok(answer) => Json(answer).into_response(),
        Err((status, detail)) => {
            let problem =
                json!({ "type": "about:blank", "title": "No such try", "status": status.as_u16(), "detail": detail });
            (status, Json(problem)).into_response()
        }
    }
}

impl Tries {
    async fn attempt(&self, failure: &str) -> Result<Value, (StatusCode, String)> {
        let failed = |why: String| (StatusCode::BAD_GATEWAY, why);
        let defect = match failure {
            "wrong_audience" => Some(Defect::WrongAudience),
            "wrong_issuer" => Some(Defect::WrongIssuer),
            "expired" => Some(Defect::Expired),
            "bad_signature" => Some(Defect::BadSignature),
            "missing_scope" => Some(Defect::MissingScope),
            "token_in_url" => None,
            other => return Err((StatusCode::NOT_FOUND, format!("There is no failure named {other}."))),
        };
        let order = Mint {
            user: Some("alice".into()),
            client: Some("demo-web".into()),
            defect,
            ..Mint::default()
        };
        let token = self.control.mint(&order).map_err(|error| failed(error.to_string()))?;
        let url = format!("{}/api/orders", self.app);
        // Sent by this program, not by the page: the page never sees a token, not even a bad one.
        let (shown, request) = if failure == "token_in_url" {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("access_token", &token)
                .finish();
            (
                "GET /api/orders?access_token=...",
                http::Request::get(format!("{url}?{query}")),
            )
        } else {
            (
                "GET /api/orders",
                http::Request::get(&url).header(AUTHORIZATION, format!("Bearer {token}")),
            )
        };
        let request = request.body(Bytes::new()).map_err(|error| failed(error.to_string()))?;
        let response = self
            .http
            .send(request, 64 * 1024)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let id = header("x-request-id").and_then(RequestId::accept);
        let records = id.map(|id| self.audit.of_request(&id)).unwrap_or_default();
        let event = records.iter().find(|record| record.event.refused().is_some());
        Ok(json!({
            "request": shown,
            "status": response.status().as_u16(),
            "www_authenticate": header(WWW_AUTHENTICATE.as_str()).unwrap_or_default(),
            "body": serde_json::from_slice::<Value>(response.body()).unwrap_or_default(),
            "event": event.map(|record| &**record),
        }))
    }
}
