use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::client_auth::{Caller, authenticate};
use crate::dev::LogNote;
use crate::form::FormBody;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::response::no_store;

/// Token revocation (RFC 7009).
pub(crate) async fn revoke(
    State(provider): State<Arc<Provider>>,
    caller: Caller,
    FormBody(form): FormBody,
) -> Response {
    let client = match authenticate(&provider, &caller, &form).await {
        Ok(client) => client,
        Err(error) => return error.into_response(),
    };
    let Some(token) = form.get("token").filter(|_| !form.has_repeated()) else {
        return OAuthError::invalid_request("exactly one token is needed").into_response();
    };
    let mut state = provider.state();
    let family = state
        .refresh_token_grant(token)
        .map(|(id, grant)| (id, grant.client_id == client.client_id));
    match family {
        // RFC 7009 s2.1: with a refresh token go the access tokens of the same grant.
        Some((id, true)) => state.revoke_grant(id),
        Some((_, false)) => {}
        None => {
            // s2.1: only what was issued to this client.
            if let Some(kept) = state
                .access_token_mut(token)
                .filter(|kept| kept.client_id == client.client_id)
            {
                kept.revoked = true;
            }
        }
    }
    drop(state);
    // s2.2: 200 also for a token that is unknown, so that nothing can be learnt.
    let mut response = no_store(StatusCode::OK.into_response());
    response.extensions_mut().insert(LogNote {
        client_id: Some(client.client_id.clone()),
        ..LogNote::default()
    });
    response
}
