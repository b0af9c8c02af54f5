//! The request's headers, as the upstream gets them.

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, TE};

use super::{cookies, forwarded, is_hop_by_hop, nominated, tokens};
use crate::forward::{AuthorizationHeader, ForwardHead};
use crate::upstream::Target;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Removes first and sets after, so that nothing a client sends can remove or double what we set.
pub(crate) fn clean_request(
    headers: &mut HeaderMap,
    target: &Target,
    head: &ForwardHead<'_>,
    request_id: Option<&HeaderValue>,
    trusted_peer: bool,
    allow_underscores: bool,
) {
    let mut doomed = Vec::new();
    // RFC 9110 s10.1.4: `TE: trailers` may be sent on, as we send trailers on.
    let mut trailers = false;
    for name in headers.keys() {
        let text = name.as_str();
        if text == "connection" {
            nominated(headers, &mut doomed);
        } else if text == "te" {
            trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case(b"trailers"));
        }
        if is_unwanted(text, trusted_peer) || is_disguised(text, head, allow_underscores) {
            doomed.push(name.clone());
        }
    }
    for name in &doomed {
        headers.remove(name);
    }
    for name in head.remove {
        headers.remove(name);
    }

    cookies::strip_request(headers, head.remove_cookies);
    match &head.authorization {
        AuthorizationHeader::Keep => {}
        AuthorizationHeader::Remove => {
            headers.remove(AUTHORIZATION);
        }
        AuthorizationHeader::Set(value) => {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    forwarded::add(headers, head.client_addr, head.scheme, head.host);
    if let Some(id) = request_id {
        headers.insert(X_REQUEST_ID, id.clone());
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if !target.tls {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
    }
    for (name, value) in head.set {
        headers.insert(name, value.clone());
    }
    if target.tls {
        // The TLS client sets Host or :authority from the URI, whichever version it talks.
        headers.remove(HOST);
    } else {
        headers.insert(HOST, target.host.clone());
    }
}

/// The names of our own that a request's trailers must not bring back.
pub(crate) fn protected_trailers(head: &ForwardHead<'_>) -> Vec<HeaderName> {
    head.remove
        .iter()
        .chain(head.set.iter().map(|(name, _)| name))
        .cloned()
        .collect()
}

/// What is not believed of a caller, in a header or a trailer.
pub(crate) fn is_unwanted(name: &str, trusted_peer: bool) -> bool {
    if is_hop_by_hop(name) {
        return true;
    }
    if forwarded::tells_the_way(name) {
        return !trusted_peer;
    }
    // Other names of the family carry identities (X-Forwarded-User, -Email, -Access-Token), and these what a proxy says
    // of a client's certificate (X-SSL-Client-Verify, X-Amzn-Mtls-Clientcert-Subject): nobody is trusted for them.
    ["x-forwarded-", "x-amzn-mtls-", "ssl-client-", "x-ssl-"]
        .iter()
        .any(|family| name.starts_with(family))
        || matches!(
            name,
            // RFC 9110 s10.1.1: we answer the expectation ourselves, when the upstream wants the body.
            "expect"
            // CGI and its heirs take it for the variable that names a proxy to call through (CVE-2016-5385).
            | "proxy"
            // The path and method that were checked are the path and method that are served.
            | "x-original-url" | "x-rewrite-url" | "x-http-method-override" | "x-http-method" | "x-method-override"
            | "x-original-uri" | "x-original-method" | "x-original-host" | "x-envoy-original-path"
        )
}

/// A name that an upstream may take for another one: CGI and its heirs turn every odd character into `_`.
fn is_disguised(name: &str, head: &ForwardHead<'_>, allow_underscores: bool) -> bool {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return false;
    }
    if !allow_underscores && name.contains('_') {
        return true;
    }
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let ours = |other: &HeaderName| other.as_str() == plain;
    is_unwanted(&plain, false)
        || matches!(
            plain.as_str(),
            "authorization" | "cookie" | "host" | "content-length" | "x-request-id"
        )
        || head.remove.iter().any(ours)
        || head.set.iter().any(|(name, _)| ours(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hygiene::cookies::CookieMatch;
    use crate::path::normalise_path;
    use crate::upstream::Upstream;

    struct Case {
        authorization: AuthorizationHeader,
        trusted_peer: bool,
        allow_underscores: bool,
    }

    impl Default for Case {
        fn default() -> Self {
            Case {
                authorization: AuthorizationHeader::Remove,
                trusted_peer: false,
                allow_underscores: false,
            }
        }
    }

    /// What the upstream gets of `sent`, sorted, without the fields that every request gets.
    fn clean(sent: &[(&str, &str)], case: Case) -> Vec<String> {
        let always = [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "forwarded",
            "host",
            "x-request-id",
        ];
        let all = clean_all(sent, case);
        all.into_iter()
            .filter(|line| !always.iter().any(|name| line.starts_with(&format!("{name}:"))))
            .collect()
    }

    fn clean_all(sent: &[(&str, &str)], case: Case) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let upstream = Upstream::parse("http://127.0.0.1:5000").unwrap();
        let path = normalise_path("/").unwrap();
        let set = [(
            HeaderName::from_static("x-auth-user"),
            HeaderValue::from_static("alice"),
        )];
        let remove = [HeaderName::from_static("x-auth-groups")];
        let mut head = ForwardHead::new(&path, "192.0.2.7".parse().unwrap());
        head.authorization = case.authorization;
        head.remove_cookies = &[CookieMatch::Name("__Host-shop")];
        head.set = &set;
        head.remove = &remove;
        head.host = "app.test";
        let id = HeaderValue::from_static("id-1");
        clean_request(
            &mut headers,
            &upstream.target,
            &head,
            Some(&id),
            case.trusted_peer,
            case.allow_underscores,
        );
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn ordinary_headers_pass_unchanged() {
        let sent = [
            ("accept", "*/*"),
            ("content-type", "a/b"),
            ("x-custom.v2", "1"),
            ("cookie", "a=b"),
        ];
        let expected = [
            "accept: */*",
            "content-type: a/b",
            "cookie: a=b",
            "x-auth-user: alice",
            "x-custom.v2: 1",
        ];
        assert_eq!(clean(&sent, Case::default()), expected);
    }

    #[test]
    fn every_spelling_of_an_identity_header_is_removed() {
        for name in [
            "X-Auth-User",
            "x-auth-user",
            "x_auth_user",
            "X-Auth_User",
            "X_AUTH-USER",
            "x.auth.user",
            "x-auth~user",
        ] {
            for allow_underscores in [false, true] {
                let case = Case {
                    allow_underscores,
                    ..Case::default()
                };
                assert_eq!(clean(&[(name, "mallory")], case), ["x-auth-user: alice"], "{name}");
            }
        }
        for name in ["x-auth-groups", "x_auth_groups", "X-Auth_Groups"] {
            assert_eq!(
                clean(&[(name, "admin")], Case::default()),
                ["x-auth-user: alice"],
                "{name}: removed, not set"
            );
        }
    }

    #[test]
    fn what_a_client_says_of_its_certificate_goes_nowhere() {
        for name in [
            "x-ssl-client-verify",
            "X-SSL-Client-S-DN",
            "ssl-client-subject-dn",
            "SSL_CLIENT_VERIFY",
            "x-amzn-mtls-clientcert-subject",
            "x_amzn_mtls_clientcert_serial_number",
            "x.ssl.client.dn",
        ] {
            for allow_underscores in [false, true] {
                let case = Case {
                    allow_underscores,
                    ..Case::default()
                };
                assert_eq!(clean(&[(name, "mallory")], case), ["x-auth-user: alice"], "{name}");
            }
        }
        let others = [("x-sslx", "1"), ("ssl", "1")];
        assert_eq!(
            clean(&others, Case::default()),
            ["ssl: 1", "x-auth-user: alice", "x-sslx: 1"]
        );
    }

    #[test]
    fn underscores_pass_only_where_allowed() {
        assert_eq!(clean(&[("x_custom", "1")], Case::default()), ["x-auth-user: alice"]);
        let case = Case {
            allow_underscores: true,
            ..Case::default()
        };
        assert_eq!(clean(&[("x_custom", "1")], case), ["x-auth-user: alice", "x_custom: 1"]);
    }

    #[test]
    fn hop_by_hop_headers_end_here_and_cannot_take_ours_along() {
        let sent = [
            ("connection", "keep-alive, X-Private, x-auth-user"),
            ("connection", "X-Request-Id, host, x-forwarded-for"),
            ("x-private", "1"),
            ("x-kept", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("te", "gzip"),
            ("expect", "100-continue"),
        ];
        assert_eq!(clean(&sent, Case::default()), ["x-auth-user: alice", "x-kept: 1"]);
        let all = clean_all(&sent, Case::default());
        assert!(all.contains(&"x-request-id: id-1".to_owned()), "{all:?}");
        assert!(all.contains(&"x-forwarded-for: 192.0.2.7".to_owned()), "{all:?}");
        assert!(all.contains(&"host: 127.0.0.1:5000".to_owned()), "{all:?}");
    }

    #[test]
    fn what_was_judged_cannot_be_taken_off_on_the_way() {
        let sent = [
            ("connection", "Authorization, cookie, DPoP, content-length, x-private"),
            ("authorization", "Bearer theirs"),
            ("content-length", "2"),
            ("cookie", "a=b"),
            ("dpop", "proof"),
            ("x-private", "1"),
        ];
        let case = Case {
            authorization: AuthorizationHeader::Keep,
            ..Case::default()
        };
        let expected = [
            "authorization: Bearer theirs",
            "content-length: 2",
            "cookie: a=b",
            "dpop: proof",
            "x-auth-user: alice",
        ];
        assert_eq!(clean(&sent, case), expected);
    }

    #[test]
    fn trailers_stay_acceptable() {
        let expected = ["connection: te", "te: trailers", "x-auth-user: alice"];
        assert_eq!(clean(&[("te", "deflate, Trailers")], Case::default()), expected);
    }

    #[test]
    fn authorization_is_kept_removed_or_replaced() {
        let sent = [("authorization", "Bearer theirs"), ("authorization", "Basic theirs")];
        let with = |authorization| {
            clean(
                &sent,
                Case {
                    authorization,
                    ..Case::default()
                },
            )
        };
        let kept = [
            "authorization: Basic theirs",
            "authorization: Bearer theirs",
            "x-auth-user: alice",
        ];
        assert_eq!(with(AuthorizationHeader::Keep), kept);
        assert_eq!(with(AuthorizationHeader::Remove), ["x-auth-user: alice"]);
        let ours = AuthorizationHeader::Set(HeaderValue::from_static("Bearer ours"));
        assert_eq!(with(ours), ["authorization: Bearer ours", "x-auth-user: alice"]);
    }

    #[test]
    fn the_way_is_believed_of_trusted_peers_only() {
        let sent = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/x"),
            ("x-forwarded-user", "admin"),
            ("x-real-ip", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9"),
        ];
        let ours = [
            "forwarded: for=192.0.2.7;host=\"app.test\";proto=http",
            "host: 127.0.0.1:5000",
            "x-auth-user: alice",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: app.test",
            "x-forwarded-proto: http",
            "x-request-id: id-1",
        ];
        assert_eq!(clean_all(&sent, Case::default()), ours);
        let trusted = clean_all(
            &sent,
            Case {
                trusted_peer: true,
                ..Case::default()
            },
        );
        let theirs = [
            "forwarded: for=203.0.113.9, for=192.0.2.7;host=\"app.test\";proto=http",
            "host: 127.0.0.1:5000",
            "x-auth-user: alice",
            "x-forwarded-for: 203.0.113.9, 192.0.2.7",
            "x-forwarded-host: app.test",
            "x-forwarded-prefix: /x",
            "x-forwarded-proto: https",
            "x-real-ip: 203.0.113.9",
            "x-request-id: id-1",
        ];
        assert_eq!(trusted, theirs, "but never for an identity");
    }

    #[test]
    fn path_and_method_cannot_be_overridden() {
        let sent = [
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("x-http-method-override", "DELETE"),
            ("x-http-method", "DELETE"),
            ("x-method-override", "DELETE"),
            ("x-original-uri", "/admin"),
            ("x-original-method", "DELETE"),
            ("x-original-host", "admin.test"),
            ("x-envoy-original-path", "/admin"),
            ("proxy", "http://evil.example"),
        ];
        assert_eq!(clean(&sent, Case::default()), ["x-auth-user: alice"]);
    }
}
