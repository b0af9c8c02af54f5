use axum::response::Response;
use http::HeaderValue;
use portcullis_jose::random_token;

use super::{AuthorizationRequest, AuthorizeError};
use crate::config::{Client, grantable};
use crate::dev::{LogNote, OTHER_ISSUER};
use crate::device;
use crate::pages::{self, FormPostPage};
use crate::provider::Provider;
use crate::response::{see_other, with_cookies, with_query};
use crate::state::{Grant, Session};

/// Sends a code (RFC 6749 s4.1.2), or an error if the user may have nothing of what is asked for.
pub(super) fn grant(
    provider: &Provider,
    client: &Client,
    request: &AuthorizationRequest,
    session: &Session,
    cookies: Vec<HeaderValue>,
) -> Response {
    let scopes = grantable(&request.scopes, client, provider.registry.person(&session.username));
    if scopes.is_empty() && !request.scopes.is_empty() {
        let error = AuthorizeError::new("invalid_scope", "the user or the client may have none of these scopes");
        return refuse(provider, request, error, cookies);
    }
    let grant = Grant {
        client_id: client.client_id.clone(),
        username: session.username.clone(),
        sub: session.sub.clone(),
        sid: session.sid.clone(),
        scopes,
        resources: request.resources.clone(),
        auth_time: session.auth_time,
        nonce: request.nonce.clone(),
        revoked: false,
        generation: 0,
        rotated: session.auth_time,
    };
    if let Some((device, _)) = &request.device {
        let now = provider.now();
        let still_waiting = provider.state().answer_device(device, Some(grant), now);
        return device::done(still_waiting);
    }
    let challenge = request.code_challenge.as_deref();
    let code = provider.state().issue_code(
        grant,
        &request.redirect_uri,
        challenge,
        request.dpop_jkt.as_deref(),
        provider.now(),
    );
    provider.dev.note_secret(&code);
    to_client(provider, request, &[("code", &code)], cookies)
}

/// Sends an error (RFC 6749 s4.1.2.1).
pub(super) fn refuse(
    provider: &Provider,
    request: &AuthorizationRequest,
    error: AuthorizeError,
    cookies: Vec<HeaderValue>,
) -> Response {
    if let Some((device, _)) = &request.device {
        let now = provider.now();
        provider.state().answer_device(device, None, now);
        return device::done(false);
    }
    let parameters = [("error", error.error), ("error_description", error.description)];
    let mut response = to_client(provider, request, &parameters, cookies);
    response.extensions_mut().insert(LogNote {
        error: Some(error.error.to_owned()),
        ..LogNote::default()
    });
    response
}

fn to_client(
    provider: &Provider,
    request: &AuthorizationRequest,
    parameters: &[(&str, &str)],
    cookies: Vec<HeaderValue>,
) -> Response {
    let behaviour = provider.dev.behaviour().clone();
    let wrong_state = behaviour.wrong_state.then(|| random_token(16));
    let mut parameters = parameters.to_vec();
    if let Some(state) = wrong_state.as_ref().or(request.state.as_ref()) {
        parameters.push(("state", state));
    }
    // RFC 9207 s2: in errors too.
    match (behaviour.omit_iss_parameter, behaviour.wrong_iss_parameter) {
        (true, _) => {}
        (false, true) => parameters.push(("iss", OTHER_ISSUER)),
        (false, false) => parameters.push(("iss", &provider.issuer)),
    }
    if request.form_post {
        let page = FormPostPage {
            action: &request.redirect_uri,
            parameters: &parameters,
        };
        return with_cookies(pages::render_sent(&page, &request.redirect_uri), cookies);
    }
    see_other(&with_query(&request.redirect_uri, &parameters), cookies)
}
