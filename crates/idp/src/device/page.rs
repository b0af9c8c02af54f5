//! Where a person enters the code of a device, and then signs in and agrees (RFC 8628 s3.3).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use portcullis_jose::random_token;

use crate::authorize::{AuthorizationRequest, go_on, gone};
use crate::form::{FormBody, Params};
use crate::form_guard::INTERACTION;
use crate::pages::{self, DeviceDonePage, DevicePage};
use crate::provider::Provider;
use crate::state::{Entered, Pending, digest};

/// A longer text is no code.
const LONGEST: usize = 32;

pub(crate) async fn show(State(provider): State<Arc<Provider>>, uri: Uri, headers: HeaderMap) -> Response {
    let query = Params::parse(uri.query().unwrap_or_default().as_bytes());
    // RFC 8628 s3.3.1: the code of a QR code is filled in, and the person still has to send it.
    let code = query
        .get("user_code")
        .filter(|code| code.len() <= LONGEST)
        .unwrap_or_default();
    let known = provider
        .browser_cookie(&headers)
        .filter(|cookie| cookie.len() == 43)
        .map(str::to_owned);
    let mut cookies = Vec::new();
    let browser = known.unwrap_or_else(|| {
        let fresh = random_token(32);
        cookies.extend(provider.set_cookie(&provider.browser_cookie_name(), &fresh));
        fresh
    });
    let interaction = provider
        .state()
        .open_interaction(digest(&browser), Pending::Device, provider.now());
    page(&provider, StatusCode::OK, (&browser, &interaction), code, "", cookies)
}

pub(crate) async fn submit(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    FormBody(form): FormBody,
) -> Response {
    let Some((id, Pending::Device)) = provider.posted_interaction(&headers, &form) else {
        return gone();
    };
    let typed = form.get("user_code").unwrap_or_default();
    let now = provider.now();
    let entered = provider.state().enter_user_code(typed, now);
    let (status, fault) = match entered {
        Entered::Waiting(key, device) => {
            provider.state().close_interaction(&id);
            let Some(client) = provider.registry.client(&device.client_id) else {
                return gone();
            };
            let request = AuthorizationRequest::of_device(&device, key);
            let cookie = provider.session_cookie(&headers);
            let session = cookie.and_then(|cookie| provider.state().session(cookie, now).cloned());
            return go_on(
                &provider,
                &headers,
                &client,
                request,
                session.as_ref(),
                false,
                Vec::new(),
            );
        }
        Entered::Wrong => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "That is no code that waits. Compare it with your device; it may have expired.",
        ),
        Entered::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong codes were entered. Wait a minute and try again.",
        ),
    };
    let browser = provider.browser_cookie(&headers).unwrap_or_default();
    let interaction = form.get(INTERACTION).unwrap_or_default();
    page(&provider, status, (browser, interaction), "", fault, Vec::new())
}

fn page(
    provider: &Provider,
    status: StatusCode,
    (browser, interaction): (&str, &str),
    user_code: &str,
    fault: &str,
    cookies: Vec<HeaderValue>,
) -> Response {
    let template = DevicePage {
        action: &provider.url("/device"),
        interaction,
        csrf: &provider.csrf_token(browser, interaction),
        user_code,
        fault,
    };
    let mut response = pages::render(status, &template, &[provider.issuer.as_str()]);
    for cookie in cookies {
        response.headers_mut().append(http::header::SET_COOKIE, cookie);
    }
    response
}

/// The end, in place of the redirect that a browser's own login has.
pub(crate) fn done(allowed: bool) -> Response {
    pages::render(StatusCode::OK, &DeviceDonePage { allowed }, &[])
}
