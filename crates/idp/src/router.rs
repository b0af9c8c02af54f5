use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;

use crate::dev::{Endpoint, LogNote, RequestLogEntry, http as dev};
use crate::host::is_for_us;
use crate::oauth_error::OAuthError;
use crate::pages::{PageError, Reason};
use crate::provider::Provider;
use crate::{
    authorize, consent, device, discovery, introspect, login, logout, pages, registration, revoke, token, userinfo,
};

/// No form or JSON text that we read is larger.
const BODY_LIMIT: usize = 64 * 1024;

/// Every address of the provider.
pub(crate) fn router(provider: Arc<Provider>) -> Router {
    let routes = Router::new()
        .route("/", get(pages::home))
        .route("/.well-known/openid-configuration", get(discovery::discovery))
        .route("/.well-known/oauth-authorization-server", get(discovery::discovery))
        .route("/jwks", get(discovery::jwks))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/par", post(authorize::push))
        .route("/login", get(login::show).post(login::submit))
        .route("/consent", get(consent::show).post(consent::submit))
        .route("/token", post(token::token))
        .route("/device_authorization", post(device::authorization))
        .route("/device", get(device::show).post(device::submit))
        .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
        .route("/revoke", post(revoke::revoke))
        .route("/introspect", post(introspect::introspect))
        .route("/end-session", get(logout::get).post(logout::post))
        .route("/end-session/confirm", post(logout::confirm))
        .route("/register", post(registration::register))
        .route(
            "/register/{client_id}",
            get(registration::read)
                .put(registration::update)
                .delete(registration::delete),
        )
        .route("/dev/behaviour", get(dev::get_behaviour).post(dev::set_behaviour))
        .route("/dev/mint", post(dev::mint))
        .route("/dev/rotate-keys", post(dev::rotate_keys))
        .route("/dev/requests", get(dev::requests));
    let routes = if provider.prefix.is_empty() {
        routes
    } else {
        Router::new().nest(&provider.prefix, routes)
    };
    routes
        .fallback(async || PageError::new(Reason::NotFound))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(Arc::clone(&provider), front))
        .with_state(provider)
}

/// What every request passes: the host, the misbehaviour, the log.
async fn front(State(provider): State<Arc<Provider>>, request: Request, next: Next) -> Response {
    if !is_for_us(request.uri(), request.headers()) {
        return PageError::new(Reason::WrongHost).into_response();
    }
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let below = path.strip_prefix(&provider.prefix).unwrap_or_default();
    if below.starts_with("/dev/") {
        return next.run(request).await;
    }
    let at = provider.now();
    let mut response = match Endpoint::of_path(below) {
        Some(endpoint) => misbehave(&provider, endpoint, request, next).await,
        None => next.run(request).await,
    };
    let note = response.extensions_mut().remove::<LogNote>().unwrap_or_default();
    let LogNote {
        client_id,
        grant_type,
        error,
    } = note;
    let status = response.status().as_u16();
    provider.dev.record(RequestLogEntry {
        method,
        path,
        at,
        status,
        client_id,
        grant_type,
        error,
    });
    response
}

async fn misbehave(provider: &Provider, endpoint: Endpoint, request: Request, next: Next) -> Response {
    let (latency, failure) = {
        let mut behaviour = provider.dev.behaviour();
        (behaviour.latency_of(endpoint), behaviour.take_failure(endpoint))
    };
    if let Some(latency) = latency {
        let mut stopping = provider.dev.stopping.subscribe();
        tokio::select! {
            () = tokio::time::sleep(latency) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return failed(503),
        }
    }
    match failure {
        Some(status) => failed(status),
        None => next.run(request).await,
    }
}

fn failed(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_success() || status.is_redirection() {
        return (status, Body::empty()).into_response();
    }
    let error = if status == StatusCode::SERVICE_UNAVAILABLE {
        "temporarily_unavailable"
    } else {
        "server_error"
    };
    OAuthError {
        status,
        ..OAuthError::new(error, "fails on request")
    }
    .into_response()
}
