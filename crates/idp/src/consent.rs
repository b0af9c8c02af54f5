//! The consent page: what a client wants to do in the user's name.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};

use crate::authorize::{agreed, denied, gone};
use crate::config::grantable;
use crate::form::{FormBody, Params};
use crate::form_guard::INTERACTION;
use crate::pages::{self, ConsentPage, describe_scope};
use crate::provider::Provider;
use crate::state::{Pending, Session, digest};

pub(crate) async fn show(State(provider): State<Arc<Provider>>, uri: Uri, headers: HeaderMap) -> Response {
    let query = Params::parse(uri.query().unwrap_or_default().as_bytes());
    let (Some(id), Some(browser)) = (query.get(INTERACTION), provider.browser_cookie(&headers)) else {
        return gone();
    };
    let pending = provider.state().interaction(id, digest(browser), provider.now());
    let Some(Pending::Consent(request, sub)) = pending else {
        return gone();
    };
    let Some(session) = session_of(&provider, &headers, &sub) else {
        return gone();
    };
    let Some(client) = provider.registry.client(&request.client_id) else {
        return gone();
    };
    let granted = grantable(&request.scopes, &client, provider.registry.person(&session.username));
    let template = ConsentPage {
        action: &provider.url("/consent"),
        interaction: id,
        csrf: &provider.csrf_token(browser, id),
        client: &request.client_id,
        username: &session.username,
        device: request.device.as_ref().map(|(_, code)| code.as_str()),
        scopes: granted
            .iter()
            .map(|scope| (scope.as_str(), describe_scope(scope)))
            .collect(),
    };
    pages::render(
        StatusCode::OK,
        &template,
        &[provider.issuer.as_str(), &request.redirect_uri],
    )
}

pub(crate) async fn submit(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    FormBody(form): FormBody,
) -> Response {
    let Some((id, Pending::Consent(request, sub))) = provider.posted_interaction(&headers, &form) else {
        return gone();
    };
    // The one who was asked must still be the one who is signed in.
    let Some(session) = session_of(&provider, &headers, &sub) else {
        return gone();
    };
    let Some(client) = provider.registry.client(&request.client_id) else {
        return gone();
    };
    provider.state().close_interaction(&id);
    if form.get("answer") != Some("allow") {
        return denied(&provider, &request);
    }
    if let Some(cookie) = provider.session_cookie(&headers) {
        provider.state().agree(cookie, &request.client_id, &request.scopes);
    }
    agreed(&provider, &client, &request, &session)
}

fn session_of(provider: &Provider, headers: &HeaderMap, sub: &str) -> Option<Session> {
    let cookie = provider.session_cookie(headers)?;
    provider
        .state()
        .session(cookie, provider.now())
        .filter(|session| session.sub == sub)
        .cloned()
}
