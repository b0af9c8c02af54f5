//! Logout that the client begins (OpenID Connect RP-Initiated Logout).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use portcullis_jose::random_token;

use crate::authorize::gone;
use crate::backchannel::tell_clients;
use crate::form::{FormBody, Params};
use crate::pages::{self, PageError, Reason, SignOutPage, SignedOutPage};
use crate::provider::Provider;
use crate::response::{see_other, with_query};
use crate::state::{Pending, digest};

/// What happens once the user is signed out.
#[derive(Debug, Clone)]
pub(crate) struct LogoutRequest {
    /// Where to go, without and with the state.
    target: Option<(String, String)>,
}

/// Whom an ID token of ours was for.
pub(crate) struct Hint {
    pub(crate) client_id: String,
    pub(crate) sub: String,
    sid: Option<String>,
}

pub(crate) async fn get(State(provider): State<Arc<Provider>>, uri: Uri, headers: HeaderMap) -> Response {
    end_session(
        &provider,
        &headers,
        &Params::parse(uri.query().unwrap_or_default().as_bytes()),
    )
}

pub(crate) async fn post(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    FormBody(form): FormBody,
) -> Response {
    end_session(&provider, &headers, &form)
}

/// The user said yes.
pub(crate) async fn confirm(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    FormBody(form): FormBody,
) -> Response {
    let Some((id, Pending::Logout(request))) = provider.posted_interaction(&headers, &form) else {
        return gone();
    };
    provider.state().close_interaction(&id);
    sign_out(&provider, &headers, &request)
}

fn end_session(provider: &Arc<Provider>, headers: &HeaderMap, params: &Params) -> Response {
    let (request, hint) = match read(provider, params) {
        Ok(read) => read,
        Err(reason) => return PageError::new(reason).into_response(),
    };
    let cookie = provider.session_cookie(headers);
    let session = cookie.and_then(|cookie| provider.state().session(cookie, provider.now()).cloned());
    // RP-Initiated Logout s2: without proof that the request is about this very user, the user is asked. Otherwise
    // any page could sign anybody out.
    let proven = match (&hint, &session) {
        (Some(hint), Some(session)) => hint
            .sid
            .as_ref()
            .map_or(hint.sub == session.sub, |sid| *sid == session.sid),
        (Some(_), None) => true,
        // s2: `logout_hint` is ours to define: the `sid` of the session, which only the session's own client knows.
        (None, Some(session)) => params.get("logout_hint").is_some_and(|sid| sid == session.sid),
        // There is nothing to end.
        (None, None) => params.get("logout_hint").is_some(),
    };
    if proven {
        sign_out(provider, headers, &request)
    } else {
        ask(provider, headers, request)
    }
}

fn read(provider: &Provider, params: &Params) -> Result<(LogoutRequest, Option<Hint>), Reason> {
    if params.has_repeated() {
        return Err(Reason::Repeated);
    }
    // A hint that is not ours counts as none.
    let hint = params.get("id_token_hint").and_then(|token| hint(provider, token));
    let client_id = match (&hint, params.get("client_id")) {
        // s2: client_id must be the one that the ID token was issued to.
        (Some(hint), Some(client_id)) if hint.client_id != client_id => return Err(Reason::LogoutClientMismatch),
        (Some(hint), _) => Some(hint.client_id.as_str()),
        (None, client_id) => client_id,
    };
    let client = client_id.and_then(|id| provider.registry.client(id));
    let target = match params.get("post_logout_redirect_uri") {
        None => None,
        // s3: exactly one of those that the client has registered.
        Some(uri)
            if client
                .as_ref()
                .is_some_and(|client| client.post_logout_redirect_uris.iter().any(|known| known == uri)) =>
        {
            let state = params.get("state").map(|state| ("state", state));
            Some((uri.to_owned(), with_query(uri, state.as_slice())))
        }
        Some(_) => return Err(Reason::UnknownLogoutUri),
    };
    Ok((LogoutRequest { target }, hint))
}

fn sign_out(provider: &Arc<Provider>, headers: &HeaderMap, request: &LogoutRequest) -> Response {
    if let Some(cookie) = provider.session_cookie(headers) {
        let session = provider.state().session(cookie, provider.now()).cloned();
        provider.state().end_session(cookie);
        if let Some(session) = session {
            tell_clients(provider, &session);
        }
    }
    let cleared = provider.clear_cookie(&provider.session_cookie_name());
    match &request.target {
        Some((_, location)) => see_other(location, cleared.into_iter().collect()),
        None => with_cookie(pages::render(StatusCode::OK, &SignedOutPage {}, &[]), cleared),
    }
}

fn ask(provider: &Provider, headers: &HeaderMap, request: LogoutRequest) -> Response {
    let known = provider
        .browser_cookie(headers)
        .filter(|cookie| cookie.len() == 43)
        .map(str::to_owned);
    let (browser, cookie) = match known {
        Some(browser) => (browser, None),
        None => {
            let fresh = random_token(32);
            let cookie = provider.set_cookie(&provider.browser_cookie_name(), &fresh);
            (fresh, cookie)
        }
    };
    let target = request.target.as_ref().map_or_else(String::new, |(uri, _)| uri.clone());
    let id = provider
        .state()
        .open_interaction(digest(&browser), Pending::Logout(request), provider.now());
    let template = SignOutPage {
        action: &provider.url("/end-session/confirm"),
        interaction: &id,
        csrf: &provider.csrf_token(&browser, &id),
    };
    with_cookie(
        pages::render(StatusCode::OK, &template, &[provider.issuer.as_str(), &target]),
        cookie,
    )
}

/// Reads an ID token of ours. It may have expired (s2), but it must be signed by a key that is still published.
pub(crate) fn hint(provider: &Provider, token: &str) -> Option<Hint> {
    let claims = provider.keys.verify(token)?;
    // An access token has a client_id; an ID token here never has.
    if claims.str("iss") != Some(&provider.issuer) || claims.get("client_id").is_some() {
        return None;
    }
    let client_id = claims.str("aud").filter(|id| provider.registry.client(id).is_some())?;
    let sid = claims.str("sid").map(str::to_owned);
    Some(Hint {
        client_id: client_id.to_owned(),
        sub: claims.str("sub")?.to_owned(),
        sid,
    })
}

fn with_cookie(mut response: Response, cookie: Option<http::HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(http::header::SET_COOKIE, cookie);
    }
    response
}
