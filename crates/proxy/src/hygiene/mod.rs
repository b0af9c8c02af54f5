//! What is taken out of messages, and what is put in.

pub(crate) mod cookies;
mod forwarded;
mod request;
mod response;

pub(crate) use request::{clean_request, is_unwanted, protected_trailers};
pub use response::forbid_caching;
pub(crate) use response::{clean_response, clean_response_trailers, finish_switch};

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue};

/// RFC 9110 s7.6.1: fields that concern one connection only, whether `Connection` names them or not.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// What `Connection` takes from no request or response: RFC 9110 s7.6.1 forbids to nominate what is meant for the
/// recipient, and what was judged here must be what is judged there.
const KEPT: [&str; 12] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "dpop",
    "host",
    "origin",
    "range",
    "set-cookie",
    "x-csrf",
];

/// Adds the names that `Connection` lists to `doomed`.
fn nominated(headers: &HeaderMap<HeaderValue>, doomed: &mut Vec<HeaderName>) {
    for token in tokens(headers, &CONNECTION) {
        if token.eq_ignore_ascii_case(b"close") || token.eq_ignore_ascii_case(b"keep-alive") {
            continue;
        }
        if let Ok(name) = HeaderName::from_bytes(token)
            && !KEPT.contains(&name.as_str())
        {
            doomed.push(name);
        }
    }
}

/// The members of a comma-separated field.
pub(crate) fn tokens<'a>(
    headers: &'a HeaderMap<HeaderValue>,
    name: &'a HeaderName,
) -> impl Iterator<Item = &'a [u8]> + 'a {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}
