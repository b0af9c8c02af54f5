//! What a request at the loopback redirect is, and the page that it gets.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use crate::login::{CallbackParameters, LoginAttempt, LoginError, ValidatedCallback, validate_callback};
use crate::{IssuerRule, Metadata};

/// What is compared.
pub(super) struct Expected<'a> {
    pub(super) authority: &'a str,
    pub(super) path: &'a str,
    pub(super) rule: &'a IssuerRule,
    pub(super) metadata: &'a Metadata,
    pub(super) attempt: &'a LoginAttempt,
}

/// What a request is.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The answer to the login, good or bad.
    Ours(Result<ValidatedCallback, LoginError>),
    /// Something else, or somebody else's.
    Foreign(Page),
}

/// The pages that there are. Nothing of a request is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Done,
    Failed,
    WrongHost,
    NotFound,
    WrongMethod,
    NotOurs,
    Over,
}

impl Expected<'_> {
    pub(super) fn judge<B>(&self, request: &http::Request<B>) -> Verdict {
        // A name that somebody else has pointed at this machine is not ours (DNS rebinding).
        let mut hosts = request.headers().get_all(HOST).iter();
        if !matches!((hosts.next(), hosts.next()), (Some(host), None) if host.as_bytes() == self.authority.as_bytes()) {
            return Verdict::Foreign(Page::WrongHost);
        }
        if request.uri().path() != self.path {
            return Verdict::Foreign(Page::NotFound);
        }
        if request.method() != Method::GET {
            return Verdict::Foreign(Page::WrongMethod);
        }
        let query = request.uri().query().unwrap_or_default();
        let judged = CallbackParameters::parse(query)
            .and_then(|parameters| validate_callback(self.rule, self.metadata, self.attempt, parameters));
        match judged {
            // Whoever does not know the state is not the provider, and must not be able to end the login.
            Err(LoginError::StateMissing | LoginError::StateMismatch | LoginError::DuplicateParameter(_)) => {
                Verdict::Foreign(Page::NotOurs)
            }
            judged => Verdict::Ours(judged),
        }
    }
}

// === impl Page ===

impl Page {
    pub(super) fn respond(self) -> Response<Full<Bytes>> {
        let (status, title, text) = self.told();
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{title}</title></head>\n<body><h1>{title}</h1>\n<p>{text}</p></body></html>\n"
        );
        let mut response = Response::new(Full::new(Bytes::from(page)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
            ),
            // The address has a code in it.
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
            (CONNECTION, "close"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self == Page::WrongMethod {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }

    fn told(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Page::Done => (
                StatusCode::OK,
                "The answer has arrived",
                "You can close this window and go back to the terminal.",
            ),
            Page::Failed => (
                StatusCode::BAD_REQUEST,
                "The login did not succeed",
                "The terminal says why. You can close this window.",
            ),
            Page::WrongHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "Wrong name",
                "A login waits here under another name.",
            ),
            Page::NotFound => (
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "A login waits at another path.",
            ),
            Page::WrongMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Wrong method",
                "The answer to a login comes by GET.",
            ),
            Page::NotOurs => (
                StatusCode::BAD_REQUEST,
                "Not the answer to this login",
                "It belongs to another login, or to none. The login in the terminal still waits.",
            ),
            Page::Over => (
                StatusCode::GONE,
                "This login is over",
                "Its answer has come already. Start a new one in the terminal if you need it.",
            ),
        }
    }
}
