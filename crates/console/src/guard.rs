//! Who may ask, and what a browser may do with the answer.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use portcullis_audit::{Credential, Event, Refused};

use crate::problem::problem;
use crate::{ConsoleInfo, ConsoleState};

/// Nothing from elsewhere, nothing inline, no frame around it, no form out of it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SAFE_HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Refuses a request under a name that is not ours: DNS rebinding makes a foreign page's own name lead here.
///
/// An IP address is always fine: a page can only have an address as its host where that address served it.
pub(crate) async fn known_host(State(state): State<Arc<ConsoleState>>, request: Request, next: Next) -> Response {
    match wrong_host(&state.info, request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(found) => {
            let refused = Refused::new("request.misdirected")
                .expected(expected(&state.info))
                .found(&found);
            let event = Event::CallRefused {
                route: Some("admin".to_owned()),
                method: request.method().to_string(),
                path: request.uri().path().to_owned(),
                credential: Credential::None,
                subject: None,
                client: None,
                checks: Vec::new(),
                status: refused.status(),
                refused,
            };
            state.audit.emit(None, event);
            // RFC 9110 s15.5.20.
            problem(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected_request",
                "The admin address is not served under this host name. Use localhost, an IP address or the configured name.",
            )
        }
    }
}

pub(crate) async fn safe_headers(mut response: Response) -> Response {
    for (name, value) in SAFE_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The name that must not be used, if the request has one. Every name that it gives has to be known.
fn wrong_host(info: &ConsoleInfo, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let in_headers: Vec<_> = headers.get_all(header::HOST).iter().collect();
    let names = in_headers
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut names: Vec<_> = uri
        .authority()
        .map(ToString::to_string)
        .into_iter()
        .chain(names)
        .collect();
    // RFC 9112 s3.2: no Host, or more than one, is no request that a browser makes.
    if names.is_empty() {
        return Some("no Host header".to_owned());
    }
    if in_headers.len() > 1 {
        return Some("several Host headers".to_owned());
    }
    names.retain(|name| !is_known(info, name));
    names.pop()
}

fn is_known(info: &ConsoleInfo, name: &str) -> bool {
    let Some(host) = without_port(name) else {
        return false;
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok()
        || in_brackets.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
        || info.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

/// RFC 3986 s3.2: `host` or `host:port`. Stricter than `http::uri::Authority`, to which `[::1].evil.example` is `[::1]`.
fn without_port(name: &str) -> Option<&str> {
    let end_of_host = name.find(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match name.get(end_of_host..)?.find(':') {
        Some(colon) => name.split_at_checked(end_of_host + colon)?,
        None => (name, ""),
    };
    port.bytes().skip(1).all(|b| b.is_ascii_digit()).then_some(host)
}

fn expected(info: &ConsoleInfo) -> String {
    let mut expected = "localhost, an IP address".to_owned();
    for host in &info.hosts {
        expected.push_str(", ");
        expected.push_str(host);
    }
    expected
}
