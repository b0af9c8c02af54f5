//! The pages that the endpoints themselves show: small, with a policy that lets nothing else run.

use askama::Template;
use axum_core::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};

/// Puts the part of an address after `#` into the address to come back to.
#[derive(Template)]
#[template(path = "fragment.html")]
pub(crate) struct Fragment<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) login: &'a str,
}

/// Leads on from the callback by a navigation of its own.
#[derive(Template)]
#[template(path = "onward.html")]
pub(crate) struct Onward<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) to: &'a str,
}

/// Keeps a form in the tab until the person has signed in.
#[derive(Template)]
#[template(path = "kept.html")]
pub(crate) struct Kept<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) login: &'a str,
    /// Empty where it cannot be kept.
    pub(crate) sealed: &'a str,
    pub(crate) key: &'a str,
}

/// Gets the kept form out of the tab again.
#[derive(Template)]
#[template(path = "fetch_kept.html")]
pub(crate) struct FetchKept<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) action: &'a str,
    pub(crate) home: &'a str,
    pub(crate) key: &'a str,
}

/// Asks whether the kept form is to be sent now.
#[derive(Template)]
#[template(path = "send_again.html")]
pub(crate) struct SendAgain<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) who: &'a str,
    pub(crate) path: &'a str,
    pub(crate) target: &'a str,
    pub(crate) fields: &'a [(String, String)],
    pub(crate) key: &'a str,
}

/// Tells the page around this frame how a silent login went.
#[derive(Template)]
#[template(path = "silent.html")]
pub(crate) struct Silent<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) signed_in: bool,
    pub(crate) error: &'a str,
}

/// What the provider's page shows in a frame while it signs somebody out.
#[derive(Template)]
#[template(path = "signed_out_there.html")]
pub(crate) struct SignedOutThere<'a> {
    pub(crate) nonce: &'a str,
}

/// Who may show a page in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Nobody.
    None,
    /// Pages of this origin.
    Own,
    /// Everybody: the page says nothing and has no button.
    All,
}

/// A page as a response. `nonce` is the one that the page was made with.
pub(crate) fn response(page: &impl Template, nonce: &str, status: StatusCode, frames: Frames) -> Response<Body> {
    let ancestors = match frames {
        Frames::None => "; frame-ancestors 'none'",
        Frames::Own => "; frame-ancestors 'self'",
        Frames::All => "",
    };
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; \
         form-action 'self'{ancestors}"
    );
    // A template of constants and escaped texts has nothing that could fail.
    let mut response = Response::new(Body::from(page.render().unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: a form would then say `Origin: null`, and be refused as another site's.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
