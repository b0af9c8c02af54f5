//! The login page.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use portcullis_jose::{Secret, random_token};

use crate::authorize::{AuthorizationRequest, go_on, gone};
use crate::form::{FormBody, Params};
use crate::form_guard::INTERACTION;
use crate::pages::{self, LoginPage};
use crate::provider::Provider;
use crate::state::{Pending, Session, digest};

/// Longer passwords are not hashed.
const LONGEST_PASSWORD: usize = 1024;

pub(crate) async fn show(State(provider): State<Arc<Provider>>, uri: Uri, headers: HeaderMap) -> Response {
    let query = Params::parse(uri.query().unwrap_or_default().as_bytes());
    let (Some(id), Some(browser)) = (query.get(INTERACTION), provider.browser_cookie(&headers)) else {
        return gone();
    };
    let pending = provider.state().interaction(id, digest(browser), provider.now());
    let Some(Pending::Login(request)) = pending else {
        return gone();
    };
    let username = request.login_hint.clone().unwrap_or_default();
    page(&provider, StatusCode::OK, browser, id, &request, &username, false)
}

pub(crate) async fn submit(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    FormBody(form): FormBody,
) -> Response {
    let Some((id, Pending::Login(request))) = provider.posted_interaction(&headers, &form) else {
        return gone();
    };
    let Some(client) = provider.registry.client(&request.client_id) else {
        return gone();
    };
    let username = form.get("username").unwrap_or_default().trim();
    let password = Secret::new(form.get("password").unwrap_or_default());
    let acceptable = password.expose().len() <= LONGEST_PASSWORD;
    let right = acceptable && provider.passwords.verify(username, password).await;
    let Some(person) = provider.registry.person(username).filter(|_| right) else {
        let browser = provider.browser_cookie(&headers).unwrap_or_default();
        // The same page whether the user exists or not.
        return page(
            &provider,
            StatusCode::UNPROCESSABLE_ENTITY,
            browser,
            &id,
            &request,
            username,
            true,
        );
    };
    let now = provider.now();
    let session = Session {
        username: person.username.clone(),
        sub: person.sub.clone(),
        sid: random_token(16),
        auth_time: now,
        expires: now.plus(provider.settings.session_lifetime),
        consents: HashMap::new(),
    };
    // A new value at each login, and the former session is gone: a planted cookie is worth nothing.
    let cookie = random_token(32);
    {
        let mut state = provider.state();
        state.close_interaction(&id);
        if let Some(former) = provider.session_cookie(&headers) {
            state.end_session(former);
        }
        state.open_session(&cookie, session.clone());
    }
    let cookies = provider
        .set_cookie(&provider.session_cookie_name(), &cookie)
        .into_iter()
        .collect();
    go_on(&provider, &headers, &client, request, Some(&session), true, cookies)
}

fn page(
    provider: &Provider,
    status: StatusCode,
    browser: &str,
    id: &str,
    request: &AuthorizationRequest,
    username: &str,
    failed: bool,
) -> Response {
    let template = LoginPage {
        action: &provider.url("/login"),
        interaction: id,
        csrf: &provider.csrf_token(browser, id),
        client: &request.client_id,
        username,
        failed,
    };
    pages::render(status, &template, &[provider.issuer.as_str(), &request.redirect_uri])
}
