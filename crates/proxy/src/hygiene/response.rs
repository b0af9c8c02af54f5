//! The response's headers, as the client gets them.

use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, EXPIRES, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
    TRANSFER_ENCODING, UPGRADE, VARY,
};

use super::cookies::{self, CookieMatch};
use super::{is_hop_by_hop, nominated};
use crate::upstream::Target;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Removes what concerns the connection to the upstream, and cookies that only we may set.
pub(crate) fn clean_response(
    headers: &mut HeaderMap,
    target: &Target,
    ours: &[CookieMatch<'_>],
    request_id: Option<HeaderValue>,
) {
    let mut doomed = Vec::new();
    // RFC 9112 s6.3: the length is not that of a body that came in chunks.
    if headers.contains_key(TRANSFER_ENCODING) {
        doomed.push(CONTENT_LENGTH);
    }
    for name in headers.keys() {
        let text = name.as_str();
        if text == "connection" {
            nominated(headers, &mut doomed);
        }
        // What a gateway further in says of its refusals is not for callers of this one.
        if is_hop_by_hop(text) || text == "portcullis-reason" {
            doomed.push(name.clone());
        }
    }
    for name in &doomed {
        headers.remove(name);
    }
    cookies::strip_response(headers, ours);
    // The upstream builds absolute redirects from the Host that we sent it, which no client can reach.
    let path = headers
        .get(LOCATION)
        .and_then(|value| target.strip(value.to_str().ok()?));
    if let Some(path) = path.and_then(|path| HeaderValue::from_str(&path).ok()) {
        headers.insert(LOCATION, path);
    }
    if let Some(id) = request_id {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// Removes from a response's trailers what would mean something as a header.
pub(crate) fn clean_response_trailers(trailers: &mut HeaderMap) {
    let doomed: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_hop_by_hop(name.as_str()) || **name == SET_COOKIE)
        .cloned()
        .collect();
    for name in &doomed {
        trailers.remove(name);
    }
}

/// Puts back what `101 Switching Protocols` needs.
pub(crate) fn finish_switch(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Tells every cache to keep no copy of an answer, whatever the upstream said: for answers that set a cookie of ours,
/// or that were made for one session.
///
/// ```
/// let mut headers = http::HeaderMap::new();
/// headers.insert("cache-control", http::HeaderValue::from_static("public, s-maxage=600"));
/// portcullis_proxy::forbid_caching(&mut headers);
/// assert_eq!(headers["cache-control"], "no-store");
/// ```
pub fn forbid_caching(headers: &mut HeaderMap) {
    // RFC 9111 s5.2.2.5; `Expires` and `CDN-Cache-Control` (RFC 9213) would speak against it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(EXPIRES);
    for name in ["cdn-cache-control", "surrogate-control", "x-accel-expires"] {
        headers.remove(name);
    }
    headers.append(VARY, HeaderValue::from_static("cookie"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;

    fn clean(sent: &[(&str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let upstream = Upstream::parse("http://127.0.0.1:5000").unwrap();
        let id = HeaderValue::from_static("id-1");
        clean_response(
            &mut headers,
            &upstream.target,
            &[CookieMatch::Name("__Host-shop")],
            Some(id),
        );
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let sent = [
            ("connection", "close, X-Internal"),
            ("x-internal", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "2"),
            ("upgrade", "h2c"),
            ("proxy-authenticate", "Basic"),
            ("portcullis-reason", "token.expired"),
            ("server", "kestrel"),
            ("trailer", "x-sum"),
            ("x-request-id", "upstream's"),
        ];
        assert_eq!(
            clean(&sent),
            ["server: kestrel", "trailer: x-sum", "x-request-id: id-1"]
        );
    }

    #[test]
    fn a_length_alone_is_the_bodys() {
        assert_eq!(
            clean(&[("content-length", "2")]),
            ["content-length: 2", "x-request-id: id-1"]
        );
    }

    #[test]
    fn redirects_to_the_upstream_become_local() {
        let location = |value| clean(&[("location", value)]).remove(0);
        assert_eq!(location("http://127.0.0.1:5000/a?b=c"), "location: /a?b=c");
        assert_eq!(location("http://other.test/a"), "location: http://other.test/a");
        assert_eq!(location("/a"), "location: /a");
    }

    #[test]
    fn our_cookies_are_ours() {
        let sent = [
            ("set-cookie", "__Host-shop=evil"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
        ];
        assert_eq!(
            clean(&sent),
            ["set-cookie: a=b", "set-cookie: c=d", "x-request-id: id-1"]
        );
    }

    #[test]
    fn a_cache_is_told_once_and_for_all() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cache-control", "public"),
            ("cache-control", "s-maxage=600"),
            ("cdn-cache-control", "max-age=600"),
            ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
            ("vary", "accept"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        forbid_caching(&mut headers);
        let lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(lines, ["cache-control: no-store", "vary: accept", "vary: cookie"]);
    }

    #[test]
    fn trailers_set_no_cookies() {
        let mut trailers = HeaderMap::new();
        trailers.insert("set-cookie", HeaderValue::from_static("a=b"));
        trailers.insert("connection", HeaderValue::from_static("close"));
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        clean_response_trailers(&mut trailers);
        assert_eq!(
            trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["grpc-status"]
        );
    }
}
