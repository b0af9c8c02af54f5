//! Who asked, over what, for which host: `X-Forwarded-*` and RFC 7239 `Forwarded`.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::HeaderMap;
use http::header::{Entry, FORWARDED, HOST, HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether a header tells of the way a request came, which only a trusted peer may.
pub(super) fn tells_the_way(name: &str) -> bool {
    matches!(
        name,
        "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-proto"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-prefix"
            | "x-forwarded-by"
            | "x-forwarded-server"
            | "x-forwarded-ssl"
            | "x-forwarded-scheme"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "true-client-ip"
            | "cf-connecting-ip"
    )
}

/// Adds what we know. What a trusted peer said has stayed in `headers`: lists grow, the rest is kept.
pub(super) fn add(headers: &mut HeaderMap, client: IpAddr, scheme: &str, host: &str) {
    let client = client.to_canonical();
    let mut text = String::with_capacity(96);
    // Writing to a string cannot fail.
    let _ = write!(text, "{client}");
    extend(headers, FOR, &text);

    text.clear();
    // RFC 7239 s6: an IPv6 address stands in brackets and quotes.
    let _ = match client {
        IpAddr::V4(client) => write!(text, "for={client}"),
        IpAddr::V6(client) => write!(text, "for=\"[{client}]\""),
    };
    if !host.is_empty() && !host.contains(['"', '\\']) {
        let _ = write!(text, ";host=\"{host}\"");
    }
    let _ = write!(text, ";proto={scheme}");
    extend(headers, FORWARDED, &text);

    if !headers.contains_key(PROTO) {
        let value = match scheme {
            "https" => Ok(HeaderValue::from_static("https")),
            "http" => Ok(HeaderValue::from_static("http")),
            other => HeaderValue::from_str(other),
        };
        if let Ok(value) = value {
            headers.insert(PROTO, value);
        }
    }
    if !host.is_empty() && !headers.contains_key(FORWARDED_HOST) {
        // The inbound Host is mostly the same text, and sharing it costs nothing.
        let value = match headers.get(HOST) {
            Some(value) if value.as_bytes() == host.as_bytes() => Some(value.clone()),
            _ => HeaderValue::from_str(host).ok(),
        };
        if let Some(value) = value {
            headers.insert(FORWARDED_HOST, value);
        }
    }
}

/// Sets a list field, after the members that are there already.
fn extend(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let fresh = || HeaderValue::from_str(member).ok();
    match headers.entry(name) {
        Entry::Vacant(entry) => {
            if let Some(value) = fresh() {
                entry.insert(value);
            }
        }
        Entry::Occupied(mut entry) => {
            let mut list = Vec::new();
            for value in entry.iter() {
                list.extend_from_slice(value.as_bytes());
                list.extend_from_slice(b", ");
            }
            list.extend_from_slice(member.as_bytes());
            if let Some(value) = HeaderValue::from_bytes(&list).ok().or_else(fresh) {
                entry.insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(headers: &HeaderMap, name: &str) -> String {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        values.join(" | ")
    }

    #[test]
    fn the_way_is_told_once() {
        let mut headers = HeaderMap::new();
        add(
            &mut headers,
            "::ffff:192.0.2.7".parse().unwrap(),
            "https",
            "app.test:8443",
        );
        assert_eq!(text(&headers, "x-forwarded-for"), "192.0.2.7");
        assert_eq!(text(&headers, "x-forwarded-proto"), "https");
        assert_eq!(text(&headers, "x-forwarded-host"), "app.test:8443");
        assert_eq!(
            text(&headers, "forwarded"),
            "for=192.0.2.7;host=\"app.test:8443\";proto=https"
        );
    }

    #[test]
    fn lists_of_a_trusted_peer_grow() {
        let mut headers = HeaderMap::new();
        headers.append(FOR, HeaderValue::from_static("203.0.113.1"));
        headers.append(FOR, HeaderValue::from_static("203.0.113.2"));
        headers.append(FORWARDED, HeaderValue::from_static("for=203.0.113.1"));
        headers.append(PROTO, HeaderValue::from_static("https"));
        add(&mut headers, "2001:db8::1".parse().unwrap(), "http", "app.test");
        assert_eq!(
            text(&headers, "x-forwarded-for"),
            "203.0.113.1, 203.0.113.2, 2001:db8::1"
        );
        let forwarded = "for=203.0.113.1, for=\"[2001:db8::1]\";host=\"app.test\";proto=http";
        assert_eq!(text(&headers, "forwarded"), forwarded);
        assert_eq!(text(&headers, "x-forwarded-proto"), "https", "what the peer said");
        assert_eq!(text(&headers, "x-forwarded-host"), "app.test");
    }

    #[test]
    fn a_host_cannot_break_out_of_its_quotes() {
        let mut headers = HeaderMap::new();
        add(&mut headers, "192.0.2.7".parse().unwrap(), "http", "a\";for=evil");
        assert_eq!(text(&headers, "forwarded"), "for=192.0.2.7;proto=http");
    }
}
