use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::client_auth::{Caller, authenticate};
use crate::config::Client;
use crate::dev::LogNote;
use crate::form::FormBody;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::response::no_store;
use crate::token::scope_text;

/// Token introspection (RFC 7662). A client with a secret may ask about any access token, since APIs are such clients
/// too, and about refresh tokens of its own.
pub(crate) async fn introspect(
    State(provider): State<Arc<Provider>>,
    caller: Caller,
    FormBody(form): FormBody,
) -> Response {
    // RFC 7662 s2.1: the endpoint must require authorization, so a public client cannot use it.
    let client = match authenticate(&provider, &caller, &form).await {
        Ok(client) if !client.is_public() => client,
        Ok(_) => return OAuthError::invalid_client().into_response(),
        Err(error) => return error.into_response(),
    };
    let Some(token) = form.get("token").filter(|_| !form.has_repeated()) else {
        return OAuthError::invalid_request("exactly one token is needed").into_response();
    };
    let mut response = no_store(Json(describe(&provider, &client, token)).into_response());
    response.extensions_mut().insert(LogNote {
        client_id: Some(client.client_id.clone()),
        ..LogNote::default()
    });
    response
}

fn describe(provider: &Provider, client: &Client, token: &str) -> Value {
    let now = provider.now();
    let state = provider.state();
    if let Some(found) = state.live_access_token(token, now) {
        let mut answer = found.claims.clone();
        if let Some(members) = answer.as_object_mut() {
            let as_text = provider.dev.behaviour().introspection_active_as_text;
            members.insert("active".into(), if as_text { "true".into() } else { true.into() });
            members.insert("token_type".into(), "Bearer".into());
            if let Some(username) = &found.username {
                members.insert("username".into(), username.as_str().into());
            }
        }
        return answer;
    }
    match state.live_refresh_token(token, now) {
        Some((_, grant, expires)) if grant.client_id == client.client_id => json!({
            "active": true,
            "iss": provider.issuer,
            "sub": grant.sub,
            "client_id": grant.client_id,
            "scope": scope_text(&grant.scopes),
            "exp": expires,
        }),
        // RFC 7662 s2.2: nothing more is said of a token that is not active.
        _ => json!({ "active": false }),
    }
}
