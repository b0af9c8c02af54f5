//! The token endpoint (RFC 6749 s3.2): one file for each grant.

mod access;
mod audience;
mod client_credentials;
mod code;
mod device;
mod exchange;
mod id;
mod issue;
mod pkce;
mod proof;
mod refresh;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use crate::client_auth::{Caller, authenticate};
use crate::config::GrantType;
use crate::dev::LogNote;
use crate::form::{FormBody, Params};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::response::no_store;

pub(crate) use access::{AccessClaims, access_claims};
pub(crate) use id::{IdClaims, id_claims, person_claims};
pub(crate) use proof::Binding;

pub(crate) async fn token(State(provider): State<Arc<Provider>>, caller: Caller, FormBody(form): FormBody) -> Response {
    let mut note = LogNote::default();
    let mut response = match handle(&provider, &caller, &form, &mut note).await {
        Ok(answer) => no_store(Json(answer).into_response()),
        Err(error) => {
            note.error = Some(error.error.clone().into_owned());
            error.into_response()
        }
    };
    if let Some(nonce) = &provider.dev.behaviour().dpop_nonce
        && let Ok(nonce) = HeaderValue::from_str(nonce)
    {
        response.headers_mut().insert("dpop-nonce", nonce);
    }
    response.extensions_mut().insert(note);
    response
}

async fn handle(provider: &Provider, caller: &Caller, form: &Params, note: &mut LogNote) -> Result<Value, OAuthError> {
    let grant_type = grant_type(form);
    note.grant_type = grant_type.map(name);
    let ordered = provider.dev.behaviour().token_error.clone();
    if let Some(ordered) = ordered {
        return Err(OAuthError {
            status: StatusCode::from_u16(ordered.status).unwrap_or(StatusCode::BAD_REQUEST),
            error: ordered.error.into(),
            description: ordered.description.unwrap_or_default().into(),
        });
    }
    if form.has_repeated() {
        return Err(OAuthError::invalid_request("a parameter comes twice"));
    }
    let client = authenticate(provider, caller, form).await?;
    note.client_id = Some(client.client_id.clone());
    if form.get("grant_type").is_none() {
        return Err(OAuthError::invalid_request("grant_type is missing"));
    }
    let grant_type = grant_type.ok_or_else(|| {
        OAuthError::new(
            "unsupported_grant_type",
            "authorization_code, refresh_token, client_credentials, token-exchange and device_code are supported",
        )
    })?;
    if !client.may(grant_type) {
        return Err(OAuthError::new(
            "unauthorized_client",
            "the client's configuration does not have this grant",
        ));
    }
    let client = &*client;
    let binding = &proof::binding(provider, client, caller)?;
    match grant_type {
        GrantType::AuthorizationCode => code::exchange(provider, client, form, binding),
        GrantType::RefreshToken => refresh::exchange(provider, client, form, binding),
        GrantType::ClientCredentials => client_credentials::exchange(provider, client, form, binding),
        GrantType::TokenExchange => exchange::exchange(provider, client, form, binding),
        GrantType::DeviceCode => device::exchange(provider, client, form, binding),
    }
}

/// The scopes of a `scope` parameter or claim.
pub(crate) fn parse_scopes(text: &str) -> BTreeSet<String> {
    text.split(' ')
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The value of the `scope` claim or parameter (RFC 6749 s3.3).
pub(crate) fn scope_text(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The scopes that an access token's claims name.
pub(crate) fn scopes_of(claims: &Value) -> BTreeSet<String> {
    parse_scopes(claims.get("scope").and_then(Value::as_str).unwrap_or_default())
}

fn grant_type(form: &Params) -> Option<GrantType> {
    [
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::TokenExchange,
        GrantType::DeviceCode,
    ]
    .into_iter()
    .find(|grant| form.get("grant_type") == Some(name(*grant)))
}

fn name(grant: GrantType) -> &'static str {
    match grant {
        GrantType::AuthorizationCode => "authorization_code",
        GrantType::RefreshToken => "refresh_token",
        GrantType::ClientCredentials => "client_credentials",
        GrantType::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        GrantType::DeviceCode => crate::device::GRANT_TYPE,
    }
}

/// The one `resource` of a token request. RFC 8707 s2.2 allows more; a token here is for one API.
fn resource(form: &Params) -> Result<Option<&str>, OAuthError> {
    if form.repeats("resource") {
        return Err(OAuthError::new(
            "invalid_target",
            "a token is for one resource; ask for each on its own",
        ));
    }
    Ok(form.get("resource"))
}
