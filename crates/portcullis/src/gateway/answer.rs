//! The one place where a refusal that is not about a bearer token becomes a response.

use askama::Template;
use axum::body::Body;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use portcullis_audit::{Refused, RequestId};
use portcullis_jose::random_token;
use serde_json::json;

use super::{X_REQUEST_ID, words};

/// In what form the answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A person looks at it.
    Page,
    /// A program reads it: RFC 9457.
    Problem,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Page<'a> {
    title: &'a str,
    text: &'a str,
    code: &'a str,
    request_id: &'a str,
    /// Where to start again, where that helps.
    again: Option<&'a str>,
    home: &'a str,
    nonce: &'a str,
}

/// The answer to a request that was refused.
pub(crate) struct Answer<'a> {
    pub(crate) refused: &'a Refused,
    pub(crate) status: StatusCode,
    pub(crate) form: Form,
    pub(crate) id: &'a RequestId,
    /// Where a person may start again.
    pub(crate) again: Option<&'a str>,
    /// Where the frontend begins.
    pub(crate) home: &'a str,
    /// Where a person could sign in, for a program that asks.
    pub(crate) login: Option<&'a str>,
    pub(crate) challenges: &'a [String],
    pub(crate) set_cookies: Vec<HeaderValue>,
}

impl<'a> Answer<'a> {
    /// An answer without cookies, challenges and ways to go on.
    pub(crate) fn new(refused: &'a Refused, status: StatusCode, form: Form, id: &'a RequestId) -> Answer<'a> {
        Answer {
            refused,
            status,
            form,
            id,
            again: None,
            home: "/",
            login: None,
            challenges: &[],
            set_cookies: Vec::new(),
        }
    }

    pub(crate) fn response(self) -> Response<Body> {
        refused(self)
    }
}

fn refused(answer: Answer<'_>) -> Response<Body> {
    let Answer {
        refused,
        status,
        form,
        id,
        login,
        challenges,
        ..
    } = answer;
    let entry = refused.entry();
    let mut response = match form {
        Form::Page => page(&answer),
        Form::Problem => {
            let mut problem = json!({
                "type": "about:blank", "title": entry.title, "status": status.as_u16(), "detail": refused.cause,
                "code": refused.code, "request_id": id.as_str(),
            });
            if let (Some(login), Some(problem)) = (login, problem.as_object_mut()) {
                problem.insert("login_url".into(), login.into());
            }
            let mut response = Response::new(Body::from(problem.to_string()));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            response
        }
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    // RFC 9110 s15.5.6: a 405 says which methods there are.
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = refused.expected.as_deref().unwrap_or_default();
        headers.insert(
            ALLOW,
            HeaderValue::from_str(allowed).unwrap_or_else(|_| HeaderValue::from_static("")),
        );
    }
    // RFC 9110 s11.6.1: a 401 says how to do better.
    for challenge in challenges {
        if let Ok(challenge) = HeaderValue::from_str(challenge) {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
    }
    for cookie in answer.set_cookies {
        headers.append(SET_COOKIE, cookie);
    }
    response
}

fn page(answer: &Answer<'_>) -> Response<Body> {
    let nonce = random_token(16);
    let words = words::of(answer.refused.code);
    let page = Page {
        title: words.title,
        text: words.text,
        code: answer.refused.code,
        request_id: answer.id.as_str(),
        again: answer.again.filter(|_| words.again),
        home: answer.home,
        nonce: &nonce,
    };
    // A template of constants and escaped texts has nothing that could fail.
    let mut response = Response::new(Body::from(page.render().unwrap_or_default()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
