//! Authorization requests that do not come in a URL: pushed (RFC 9126), signed (RFC 9101).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_jose::{AlgorithmSet, Limits, UnverifiedJws};
use serde_json::{Value, json};

use super::{AuthorizationRequest, AuthorizeError, CHECKS, check_client};
use crate::client_auth::{Caller, authenticate, keys_of};
use crate::config::Client;
use crate::dev::LogNote;
use crate::form::{FormBody, Params};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::response::no_store;

/// Seconds that a pushed request waits for its browser.
const LIFETIME: i64 = 60;
/// RFC 9126 s2.2
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 30;
/// Seconds that a signed request may be good for (FAPI 2.0 Message Signing s5.3.1).
const LONGEST: i64 = 3_600;

/// RFC 9126 s2.1: what is checked at the authorization endpoint is checked here already.
pub(crate) async fn push(State(provider): State<Arc<Provider>>, caller: Caller, FormBody(form): FormBody) -> Response {
    let mut note = LogNote::default();
    let mut response = match accept(&provider, &caller, form, &mut note).await {
        Ok(answer) => no_store((StatusCode::CREATED, Json(answer)).into_response()),
        Err(error) => {
            note.error = Some(error.error.clone().into_owned());
            error.into_response()
        }
    };
    response.extensions_mut().insert(note);
    response
}

async fn accept(provider: &Provider, caller: &Caller, form: Params, note: &mut LogNote) -> Result<Value, OAuthError> {
    let client = authenticate(provider, caller, &form).await?;
    note.client_id = Some(client.client_id.clone());
    if form.get("request_uri").is_some() {
        return Err(OAuthError::invalid_request("request_uri cannot be pushed"));
    }
    let form = form.without(&["client_secret", "client_assertion", "client_assertion_type"]);
    let form = form.with("client_id", &client.client_id);
    let params = unwrap(provider, &client, form)
        .await
        .map_err(|error| OAuthError::new(error.error, error.description))?;
    let (known, redirect_uri) = check_client::run(provider, &params)
        .map_err(|_| OAuthError::invalid_request("redirect_uri is missing or not registered"))?;
    let mut request = AuthorizationRequest::begin(&known, redirect_uri, &params);
    CHECKS
        .iter()
        .try_for_each(|check| check(provider, &known, &params, &mut request))
        .map_err(|error| OAuthError::new(error.error, error.description))?;
    let id = provider
        .state()
        .push_request(&client.client_id, params, provider.now().plus(LIFETIME));
    Ok(json!({ "request_uri": format!("{PREFIX}{id}"), "expires_in": LIFETIME }))
}

/// The parameters that a browser's request stands for: those that were pushed, or that are signed, or its own.
pub(super) async fn resolve(provider: &Provider, params: Params) -> Result<Params, AuthorizeError> {
    let refused = |error, description| Err(AuthorizeError::new(error, description));
    let Some(client) = params.get("client_id").and_then(|id| provider.registry.client(id)) else {
        // It is told to the person.
        return Ok(params);
    };
    if let Some(uri) = params.get("request_uri") {
        let id = uri.strip_prefix(PREFIX).unwrap_or_default();
        let pushed = provider.state().take_request(id, &client.client_id, provider.now());
        return match pushed {
            Some(pushed) => Ok(pushed),
            None => refused(
                "invalid_request_uri",
                "request_uri is unknown, used, expired or another client's",
            ),
        };
    }
    if client.require_pushed_authorization_requests {
        return refused("invalid_request", "this client must push its requests");
    }
    unwrap(provider, &client, params).await
}

/// RFC 9101 s6: of a signed request the claims count, and nothing beside them.
async fn unwrap(provider: &Provider, client: &Client, params: Params) -> Result<Params, AuthorizeError> {
    let invalid = || {
        AuthorizeError::new(
            "invalid_request_object",
            "request is no request object of this client for us",
        )
    };
    let Some(object) = params.get("request") else {
        return match client.require_signed_request_object {
            true => Err(AuthorizeError::new(
                "invalid_request",
                "this client must sign its requests",
            )),
            false => Ok(params),
        };
    };
    let keys = keys_of(provider, client, false).await.ok_or_else(invalid)?;
    let jws = UnverifiedJws::parse(object, &Limits::default()).map_err(|_| invalid())?;
    // RFC 9101 s10.8
    jws.header()
        .require_type(&["oauth-authz-req+jwt", "JWT"])
        .map_err(|_| invalid())?;
    let claims = jws.verify(&keys, AlgorithmSet::asymmetric()).map_err(|_| invalid())?;
    let now = provider.now();
    let (expires, begins) = (claims.time("exp").ok().flatten(), claims.time("nbf").ok().flatten());
    let in_time = expires.is_some_and(|at| now < at.plus(LEEWAY) && at.since(now) <= LONGEST)
        && begins.is_none_or(|at| at <= now.plus(LEEWAY));
    let audiences = claims.strings("aud").ok().flatten().unwrap_or_default();
    let ours = audiences.contains(&provider.issuer.as_str()) && claims.str("iss") == Some(&client.client_id);
    // s5: the client_id beside it is the same.
    if !in_time || !ours || claims.str("client_id") != Some(&client.client_id) {
        return Err(invalid());
    }
    let all = claims.to_json();
    // s10.1: no object within an object.
    if all.get("request").is_some() || all.get("request_uri").is_some() {
        return Err(invalid());
    }
    let members = all.as_object().cloned().unwrap_or_default();
    Ok(Params::of_claims(&members))
}
